"""Padded arrays of Relay Kitchen and Block Push, with random numbers."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTHS = (4, 7, 5)
LONGEST = 8


def episodes(size: int) -> list[NDArray[Any]]:
    random = np.random.default_rng(size)
    return [random.normal(size=(length, size)) for length in LENGTHS]


def padded(parts: list[NDArray[Any]]) -> NDArray[Any]:
    found = np.zeros((len(parts), LONGEST, parts[0].shape[1]))
    for row, part in zip(found, parts, strict=True):
        row[: len(part)] = part
    return found


MASK = np.array([[step < length for step in range(LONGEST)] for length in LENGTHS], dtype=np.float64)


def write_kitchen(folder: Path, **changes: Any) -> list[list[NDArray[Any]]]:
    folder.mkdir()
    parts = [episodes(60), episodes(9)]
    arrays = {
        "observations_seq": padded(parts[0]).swapaxes(0, 1),
        "actions_seq": padded(parts[1]).swapaxes(0, 1),
        "existence_mask": MASK.T,
    }
    for name, values in (arrays | changes).items():
        np.save(folder / f"{name}.npy", values, allow_pickle=True)
    return parts


def write_block_push(folder: Path, **changes: Any) -> list[list[NDArray[Any]]]:
    folder.mkdir()
    parts = [episodes(16), episodes(2)]
    arrays = {"observations": padded(parts[0]), "actions": padded(parts[1]), "masks": MASK}
    for name, values in (arrays | changes).items():
        np.save(folder / f"multimodal_push_{name}.npy", values, allow_pickle=True)
    return parts
