"""Ring buffers for the last values of one input: single numbers, or an array."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.policy.observed import all_finite

_LARGEST = float(np.finfo(np.float32).max)
_largest, _least = np.maximum.reduce, np.minimum.reduce


def usable(values: NDArray[np.floating]) -> bool:
    """Return whether every value of (n,) is finite in single precision, the precision of observations."""
    return bool(_largest(values) <= _LARGEST and _least(values) >= -_LARGEST)  # both false for NaN


def usable_rows(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return for each row of (n, k) whether `usable` is true."""
    usable_ones: NDArray[np.bool_] = (np.abs(values) <= _LARGEST).all(axis=1)
    return usable_ones


class Ring:
    """Stamps of the last values; subclasses store the values.

    Stamps are written twice, `capacity` apart, so the stored ones are always contiguous and sorted.

    Args:
        capacity: Number of values stored.
        spacing_s: A value that follows the second newest sooner than this replaces the newest.
        max_gap_s: After a longer gap, in seconds, earlier values are forgotten.
    """

    def __init__(self, capacity: int, spacing_s: float, max_gap_s: float) -> None:
        self._capacity = capacity
        self._spacing_s = spacing_s
        self._max_gap_s = max_gap_s
        self._stamps = [0.0] * (2 * capacity)
        self.clear()

    def clear(self) -> None:
        """Forget all values."""
        self.count = 0
        self.newest_stamp_s = -math.inf
        self._stamp_before_s = -math.inf

    def oldest_stamp_s(self) -> float:
        """Return the stamp of the oldest stored value."""
        oldest = max(0, self.count - self._capacity)
        return self._stamps[oldest % self._capacity]

    def _place(self, stamp_s: float) -> tuple[int, bool]:
        """Return the slot of a new value, and whether it replaces the newest one."""
        if stamp_s - self.newest_stamp_s > self._max_gap_s:
            self.clear()
        replaces = self.newest_stamp_s - self._stamp_before_s < self._spacing_s
        if not replaces:
            self._stamp_before_s = self.newest_stamp_s
            self.count += 1
        slot = (self.count - 1) % self._capacity
        self._stamps[slot] = self._stamps[slot + self._capacity] = stamp_s
        self.newest_stamp_s = stamp_s
        return slot, replaces

    def _behind(self, times_s: list[float]) -> list[int]:
        """Return for each time, in rising order, the index after the newest stamp not later than it, or the oldest."""
        stamps, oldest = self._stamps, max(0, self.count - self._capacity)
        start = oldest % self._capacity
        end = start + self.count - oldest
        found = [bisect_right(stamps, time_s, start, end) for time_s in times_s]
        if found[0] == start:  # before the oldest
            found = [max(index, start + 1) for index in found]
        return found


class NumbersRing(Ring):
    """The last values of some entries of the vector.

    Values are written twice, like the stamps. A value is stored one row after its stamp, where bisection for a time at
    or after the stamp points.

    Args:
        columns: Vector columns that the entries fill.
    """

    def __init__(self, columns: Sequence[int], capacity: int, spacing_s: float, max_gap_s: float) -> None:
        first, last = columns[0], columns[-1]
        in_a_row = list(columns) == list(range(first, last + 1))
        self.columns = slice(first, last + 1) if in_a_row else np.array(columns)
        self.shape: tuple[int, ...] = (len(columns),)
        self._values = np.zeros((1 + 2 * capacity, len(columns)), np.float32)
        super().__init__(capacity, spacing_s, max_gap_s)

    usable = staticmethod(usable)

    def append(self, stamp_s: float, values: NDArray[np.floating]) -> bool:
        """Store a value; return whether it replaced the newest one, which had followed its predecessor too soon."""
        slot, replaces = self._place(stamp_s)
        self._values[slot + 1] = self._values[slot + 1 + self._capacity] = values
        return replaces

    def at(self, times_s: list[float]) -> NDArray[np.float32]:
        """Return for each time, in rising order, the newest value not after it, or the oldest: (times, columns)."""
        return self._values.take(self._behind(times_s), axis=0)


class ArrayRing(Ring):
    """The last values of an array, such as images: each is written once and never moved.

    Args:
        shape: Shape of the array.
        dtype: Number type.

    Attributes:
        free: Buffer for the next value, written before `append`; content that is not appended is lost.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str, capacity: int, spacing_s: float, max_gap_s: float) -> None:
        self.shape = shape
        memory = np.empty((capacity + 1, *shape), dtype)
        memory.fill(0)  # commits the memory now, not in a tick
        *self._frames, self.free = memory
        self._is_float = memory.dtype.kind == "f"
        super().__init__(capacity, spacing_s, max_gap_s)

    def usable(self, values: NDArray[Any]) -> bool:
        """Return whether every value is finite."""
        return not self._is_float or all_finite(values)

    def append(self, stamp_s: float, values: NDArray[Any]) -> bool:
        """Store a value, copied unless it is `free`; return as `NumbersRing.append`."""
        if values is not self.free:
            self.free[...] = values
        slot, replaces = self._place(stamp_s)
        self._frames[slot], self.free = self.free, self._frames[slot]
        return replaces

    def copy_at(self, times_s: list[float], out: NDArray[Any]) -> None:
        """Copy into `out`, (times, *shape), the values selected as in `NumbersRing.at`."""
        for row, behind in enumerate(self._behind(times_s)):
            out[row] = self._frames[(behind - 1) % self._capacity]
