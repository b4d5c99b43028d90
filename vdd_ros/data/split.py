"""Splits a demonstration set into training and held-out episodes."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
from vdd_ros.data.joining import joined
from vdd_ros.errors import DemonstrationError
from vdd_ros.locks import holding
from vdd_ros.text import printable

TRAIN, HELD_OUT = "train", "held_out"
"""Folders of the two sets."""


class Split(NamedTuple):
    """Numbers of the episodes of each set, from 0, in order."""

    train: list[int]
    held_out: list[int]


def choose(episodes: int, hold_out: int, seed: int = 0) -> Split:
    """Choose the held-out episodes at random.

    Args:
        episodes: Number of episodes.
        hold_out: Number of held-out episodes.
        seed: Seed of the choice.

    Raises:
        DemonstrationError: No episode would be held out, or none would remain.
    """
    if not 1 <= hold_out < episodes:
        raise DemonstrationError(
            f"--hold-out is {hold_out}; of {episodes} episodes, 1 to {episodes - 1} can be held out"
        )
    if seed < 0:
        raise DemonstrationError(f"--seed is {seed}; it must be 0 or more")
    chosen = set(np.random.default_rng(seed).permutation(episodes)[:hold_out].tolist())
    numbers = range(episodes)
    return Split([n for n in numbers if n not in chosen], [n for n in numbers if n in chosen])


def copies(demonstrations: DemonstrationSet, split: Split) -> list[tuple[int, int]]:
    """Return the held-out episodes that are copies, to the bit, of one for training, with the number of that one."""
    digests = [_digest(demonstrations, pairs) for pairs in demonstrations.episodes()]
    trained = {digests[number]: number for number in reversed(split.train)}
    return [(number, trained[digests[number]]) for number in split.held_out if digests[number] in trained]


def _digest(demonstrations: DemonstrationSet, pairs: slice) -> bytes:
    found = hashlib.sha256()
    for values in (demonstrations.observation, demonstrations.action, *demonstrations.arrays.values()):
        found.update(np.ascontiguousarray(values[pairs]).tobytes())
    return found.digest()


def write_split(demonstrations: DemonstrationSet, split: Split, folder: Path, *, force: bool = False) -> list[Path]:
    """Write both sets into separate folders, and return their files.

    Args:
        demonstrations: The set.
        split: Its episodes.
        folder: Parent of the folders `TRAIN` and `HELD_OUT`.
        force: Replace existing sets.

    Raises:
        DemonstrationError: Sets exist already.
        HeldError: Another process uses the folder.
    """
    places = [folder / TRAIN, folder / HELD_OUT]
    if there := [place / FILE_NAME for place in places if (place / FILE_NAME).exists() and not force]:
        raise DemonstrationError(
            f"{printable(there[0])} exists already; replace it with --force, or name another folder with --out"
        )
    if demonstrations.file is not None and any(place.resolve() == demonstrations.file.parent for place in places):
        raise DemonstrationError(
            f"{printable(demonstrations.file)} would be replaced by a part of it; give another --out"
        )
    files = []
    for place, numbers in zip(places, split, strict=True):
        with holding(place):
            files.append(_write(demonstrations, numbers, place))
    return files


def _write(demonstrations: DemonstrationSet, numbers: Sequence[int], folder: Path) -> Path:
    parts = (demonstrations.part(range(number, number + 1)) for number in numbers)
    lengths = demonstrations.lengths[list(numbers)].tolist()
    with joined(parts, lengths, folder) as chosen:
        return chosen.save(folder)
