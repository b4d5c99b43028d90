"""The observation history of a tick, put together from inputs that arrive at times of their own."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ConfigurationError, ObservationError

STAMP_TOLERANCE_S = 1e-6
"""Stamps this much too new still count: seconds since 1970 in double precision are only good to 0.24 us."""
_LARGEST = float(np.finfo(np.float32).max)


def usable(values: NDArray[np.floating]) -> bool:
    """Tell whether every value is a finite number in single precision, in which policies observe."""
    return bool((np.abs(values) <= _LARGEST).all())


class ObservationHistory:
    """Newest values of each input at `now`, `now - period_s`, ..., whatever rates the inputs arrive at.

    Row k of a sample holds, of each input, the newest value whose stamp is not after that row's time (zero-order
    hold). Rows before an input's first value repeat that value.

    All times are in seconds on one clock. A value that is not newer than the newest of its input, or that is not
    finite in single precision, is refused and counted. After a clock jumped back, call `reset`.

    Of an input that is faster than `max_input_rate_hz`, values are left out, but never the newest one, so that what is
    kept reaches back over all rows. After a gap of more than `max_gaps_s`, an input begins anew: what was before the
    gap is no longer in any row.

    Args:
        inputs: For each input by name, the indices of the observation that it fills; together each index once.
        history: Number of rows.
        period_s: Time between rows.
        max_input_rate_hz: The fastest rate of an input; decides how many values are kept.
        max_gaps_s: By input; one that is not there may have gaps.

    Attributes:
        out_of_order: Values refused for their stamp, by input.
        non_finite: Values refused because one was not finite in single precision, by input.
        too_fast: Values that the next one replaced because they came faster than allowed for, by input.

    Raises:
        ConfigurationError: The inputs do not fill each index once, or another argument is out of range.
    """

    def __init__(
        self,
        inputs: Mapping[str, Sequence[int]],
        *,
        history: int,
        period_s: float,
        max_input_rate_hz: float = 1000.0,
        max_gaps_s: Mapping[str, float] | None = None,
    ) -> None:
        indices = sorted(index for columns in inputs.values() for index in columns)
        if not indices or indices != list(range(len(indices))) or not all(map(len, inputs.values())):
            raise ConfigurationError(f"The inputs fill the indices {indices}; they must fill 0, 1, 2, ... once each.")
        if history < 1:
            raise ConfigurationError(f"history is {history}; it must be 1 or more.")
        for name, value in (("period_s", period_s), ("max_input_rate_hz", max_input_rate_hz)):
            if not (math.isfinite(value) and value > 0):
                raise ConfigurationError(f"{name} is {value}; it must be finite and above 0.")
        spacing_s = 0.5 / max_input_rate_hz  # half: a sensor at that rate may jitter
        capacity = math.ceil((history - 1) * period_s / spacing_s) + 16
        gaps_s = max_gaps_s or {}
        self._rings = {
            name: _Ring(columns, capacity, spacing_s, gaps_s.get(name, math.inf)) for name, columns in inputs.items()
        }
        self._ages_of_rows = [(history - 1 - row) * period_s for row in range(history)]
        self._sample = np.zeros((history, len(indices)), np.float32)
        self.out_of_order = dict.fromkeys(inputs, 0)
        self.non_finite = dict.fromkeys(inputs, 0)
        self.too_fast = dict.fromkeys(inputs, 0)

    @property
    def complete(self) -> bool:
        """Whether every input was seen."""
        return all(ring.count for ring in self._rings.values())

    def missing(self) -> tuple[str, ...]:
        """Return the names of the inputs that were not seen yet."""
        return tuple(name for name, ring in self._rings.items() if not ring.count)

    def push(self, name: str, stamp_s: float, values: NDArray[np.floating]) -> bool:
        """Take in a value of an input: what its observation indices hold at this stamp, in their order.

        Returns:
            Whether it was taken; if not, a counter says why.

        Raises:
            ObservationError: The input is unknown, or the number of values is wrong.
        """
        ring = self._ring(name)
        if values.shape != ring.shape:
            raise ObservationError(f"Input {name!r} gave values of the shape {values.shape}; it must be {ring.shape}.")
        if not (math.isfinite(stamp_s) and stamp_s > ring.newest_stamp_s):
            self.out_of_order[name] += 1
            return False
        if not usable(values):
            self.non_finite[name] += 1
            return False
        self.too_fast[name] += ring.append(stamp_s, values)
        return True

    def age_s(self, name: str, now_s: float) -> float:
        """Return the age of an input's newest value in seconds; infinite if there is none."""
        return now_s - self._ring(name).newest_stamp_s

    def covers(self, now_s: float) -> bool:
        """Whether every row of a sample at a time would hold a value of that time, not a later one in its place."""
        first_s = now_s - self._ages_of_rows[0] + STAMP_TOLERANCE_S
        return all(ring.count > 0 and ring.oldest_stamp_s() <= first_s for ring in self._rings.values())

    def sample(self, now_s: float) -> NDArray[np.float32]:
        """Return the observation at a time, (history, obs_dim), oldest first; the next call overwrites it.

        Raises:
            ObservationError: An input was not seen yet.
        """
        times_s = [now_s - age_s + STAMP_TOLERANCE_S for age_s in self._ages_of_rows]
        for ring in self._rings.values():
            if not ring.count:
                raise ObservationError(f"No value yet of {', '.join(self.missing())}; wait until `complete` is true.")
            self._sample[:, ring.columns] = ring.at(times_s)
        return self._sample

    def reset(self) -> None:
        """Forget all values; the counters go on."""
        for ring in self._rings.values():
            ring.clear()

    def _ring(self, name: str) -> "_Ring":
        try:
            return self._rings[name]
        except KeyError:
            known = ", ".join(self._rings)
            raise ObservationError(f"Input {name!r} is unknown; the inputs are {known}.") from None


class _Ring:
    """The last values of one input in a fixed memory.

    Stamps and values are written twice, `capacity` apart, so that those kept always are one stretch, sorted by stamp.
    A value is one row behind its stamp: it is where bisecting for a time not before its stamp points to.
    """

    def __init__(self, columns: Sequence[int], capacity: int, spacing_s: float, max_gap_s: float) -> None:
        first, last = columns[0], columns[-1]
        in_a_row = list(columns) == list(range(first, last + 1))
        self.columns = slice(first, last + 1) if in_a_row else np.array(columns)
        self.shape = (len(columns),)
        self._capacity = capacity
        self._spacing_s = spacing_s
        self._max_gap_s = max_gap_s
        self._stamps = [0.0] * (2 * capacity)
        self._values = np.zeros((1 + 2 * capacity, len(columns)), np.float32)
        self.clear()

    def clear(self) -> None:
        self.count = 0
        self.newest_stamp_s = -math.inf
        self._stamp_before_s = -math.inf

    def append(self, stamp_s: float, values: NDArray[np.floating]) -> bool:
        """Keep a value; return whether it took the place of the newest one, which came too soon after another."""
        if stamp_s - self.newest_stamp_s > self._max_gap_s:
            self.clear()
        replaces = self.newest_stamp_s - self._stamp_before_s < self._spacing_s
        if not replaces:
            self._stamp_before_s = self.newest_stamp_s
            self.count += 1
        slot = (self.count - 1) % self._capacity
        self._stamps[slot] = self._stamps[slot + self._capacity] = stamp_s
        self._values[slot + 1] = self._values[slot + 1 + self._capacity] = values
        self.newest_stamp_s = stamp_s
        return replaces

    def oldest_stamp_s(self) -> float:
        oldest = max(0, self.count - self._capacity)
        return self._stamps[oldest % self._capacity]

    def at(self, times_s: list[float]) -> NDArray[np.float32]:
        """Return for each time, in rising order, the newest value not after it, or the oldest: (times, columns)."""
        stamps, oldest = self._stamps, max(0, self.count - self._capacity)
        start = oldest % self._capacity
        end = start + self.count - oldest
        found = [bisect_right(stamps, time_s, start, end) for time_s in times_s]
        if found[0] == start:  # before the oldest
            found = [max(index, start + 1) for index in found]
        return self._values.take(found, axis=0)
