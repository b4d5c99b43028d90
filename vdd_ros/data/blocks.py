"""Arrays larger than memory, read a block of rows at a time."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 64 << 20


def blocks(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield the rows of an array in order, as views of at most `BLOCK_BYTES` (or one row)."""
    rows = max(BLOCK_BYTES // max(values[:1].nbytes, 1), 1)
    for start in range(0, len(values), rows):
        yield values[start : start + rows]


class Moments(NamedTuple):
    """Moments of the columns of an array (M, D), each (D,) float64."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def moments(values: NDArray[np.float64]) -> Moments:
    """Return mean, standard deviation, minimum and maximum of each column of (M, D), M at least 1."""
    parts = list(blocks(values))
    low = np.min([part.min(axis=0) for part in parts], axis=0)
    high = np.max([part.max(axis=0) for part in parts], axis=0)
    if len(parts) == 1:
        return Moments(parts[0].mean(axis=0), parts[0].std(axis=0), low, high)
    mean = np.sum([part.sum(axis=0) for part in parts], axis=0) / len(values)
    squares = np.sum([np.square(part - mean).sum(axis=0) for part in parts], axis=0)
    return Moments(mean, np.sqrt(squares / len(values)), low, high)
