"""Joins parts of a demonstration set without holding all of them in memory."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.errors import DemonstrationError

IN_MEMORY = 64 << 20
"""Size limit of sets that are joined in memory, in bytes; larger ones are joined in files."""


@contextmanager
def joined(parts: Iterable[DemonstrationSet], lengths: Sequence[int], scratch: Path) -> Iterator[DemonstrationSet]:
    """Provide one set with the episodes of several, while the block runs.

    Args:
        parts: The sets, at least one, all with the same header; each is needed only until the next one.
        lengths: Pairs of each set.
        scratch: Folder for temporary files.

    Raises:
        DemonstrationError: Their headers differ.
    """
    pairs, begin = sum(lengths), 0
    header: Header | None = None
    rows: dict[str, NDArray[Any]] = {}
    episodes: dict[str, list[NDArray[Any]]] = {"lengths": [], "modes": [], "contexts": []}
    with TemporaryDirectory(dir=scratch) as folder:
        for part, length in zip(parts, lengths, strict=True):
            columns = {"observation": part.observation, "action": part.action, **part.arrays}
            if header is None:
                header, rows = part.header, _rows(columns, pairs, Path(folder))
            if part.header != header:
                raise DemonstrationError("demonstrations: parts with different headers cannot be joined")
            for name, values in columns.items():
                rows[name][begin : begin + length] = values
            for name, found in episodes.items():
                found.append(getattr(part, name))
            begin += length
        if header is None:
            raise DemonstrationError("demonstrations: there is no part to join; give at least one")
        per_episode = {name: np.concatenate(found) for name, found in episodes.items()}
        observation, action = rows.pop("observation"), rows.pop("action")
        yield DemonstrationSet(header, observation, action, arrays=rows, **per_episode)


def _rows(columns: dict[str, NDArray[Any]], pairs: int, folder: Path) -> dict[str, NDArray[Any]]:
    """Return storage for the rows of every array, in memory or in files."""
    size = sum(pairs * values[:1].nbytes for values in columns.values())
    found = {}
    for place, (name, values) in enumerate(columns.items()):
        shape = (pairs, *values.shape[1:])
        if size < IN_MEMORY:
            found[name] = np.empty(shape, values.dtype)
        else:
            found[name] = np.lib.format.open_memmap(folder / f"{place}.npy", "w+", values.dtype, shape)
    return found
