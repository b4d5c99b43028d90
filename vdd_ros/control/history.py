"""The observation history of a tick, assembled from inputs that arrive asynchronously."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.control.rings import ArrayRing, NumbersRing
from vdd_ros.errors import ConfigurationError, ObservationError
from vdd_ros.features import Feature

STAMP_TOLERANCE_S = 1e-6
"""Tolerance for too-new stamps, in seconds: double precision resolves seconds since 1970 only to 0.24 us."""
INPUT_RATE_HZ = 1000.0
"""The fastest rate at which every value of an input is kept."""
MOST_BYTES = 1 << 30
"""Memory limit for all stored array values together, in bytes."""
_SMALL = 4096  # bytes of an array that is kept as often as single numbers
_LARGE_INPUT_HZ = 100.0
SPARE, _SPARE_LARGE = 16, 4  # values that may be newer than a sample, 8 and 20 ms of them at the fastest rate


class ObservationHistory:
    """Newest values of each input at `now`, `now - period_s`, ..., at any rates of the inputs.

    Row k of a sample holds each input's newest value whose stamp is not after that row's time (zero-order hold). Rows
    before an input's first value repeat that value.

    All times are in seconds on one clock. A value that is not newer than the newest of its input, or that is not
    finite in single precision, is refused and counted. Call `reset` after a clock jumped back.

    If an input exceeds `max_input_rate_hz`, intermediate values are dropped, never the newest one, so the stored values
    still cover all rows. After a gap longer than `max_gaps_s` an input restarts: values before the gap are no longer in
    any row.

    Args:
        inputs: For each input of single numbers, the indices of the vector that it fills; each index exactly once.
        history: Number of rows.
        period_s: Time between rows.
        max_input_rate_hz: The fastest rate of an input; determines how many values are kept.
        max_gaps_s: Longest gap by input, in seconds; other inputs may have gaps.
        arrays: Feature of each input that is an array, by name. Those of more than 4096 bytes are kept at most 100
            times a second.
        optional: Inputs of single numbers that need no value; without one, a sample leaves their indices as they are.

    Attributes:
        windows: The arrays of the newest sample by the feature's name, (history, *shape), oldest first; None where
            there is no array.
        out_of_order: Values refused because of their stamp, by input.
        non_finite: Values refused as non-finite in single precision, by input.
        too_fast: Values overwritten by their successor because the input is too fast, by input.

    Raises:
        ConfigurationError: The inputs do not fill each index once, or another argument is out of range.
    """

    def __init__(
        self,
        inputs: Mapping[str, Sequence[int]],
        *,
        history: int,
        period_s: float,
        max_input_rate_hz: float = INPUT_RATE_HZ,
        max_gaps_s: Mapping[str, float] | None = None,
        arrays: Mapping[str, Feature] | None = None,
        optional: Collection[str] = (),
    ) -> None:
        indices = sorted(index for columns in inputs.values() for index in columns)
        arrays = arrays or {}
        if not (indices or arrays) or indices != list(range(len(indices))) or not all(map(len, inputs.values())):
            raise ConfigurationError(f"The inputs fill the indices {indices}; they must fill 0, 1, 2, ... once each.")
        if history < 1:
            raise ConfigurationError(f"history is {history}; it must be 1 or more.")
        for name, value in (("period_s", period_s), ("max_input_rate_hz", max_input_rate_hz)):
            if not (math.isfinite(value) and value > 0):
                raise ConfigurationError(f"{name} is {value}; it must be finite and above 0.")
        apart_s = spacing_s(max_input_rate_hz)
        reach_s = (history - 1) * period_s
        gaps_s = {name: math.inf for name in (*inputs, *arrays)} | dict(max_gaps_s or {})
        self._numbers = {
            name: NumbersRing(columns, math.ceil(reach_s / apart_s) + SPARE, apart_s, gaps_s[name])
            for name, columns in inputs.items()
        }
        self._optional = [ring for name, ring in self._numbers.items() if name in optional]
        self._arrays = _array_rings(arrays, reach_s, apart_s, gaps_s)
        self._rings: dict[str, NumbersRing | ArrayRing] = {**self._numbers, **self._arrays}
        self._required = {name: ring for name, ring in self._rings.items() if name not in optional}
        self._copied = [(ring, np.zeros((history, *ring.shape), ring.free.dtype)) for ring in self._arrays.values()]
        self.windows: dict[str, NDArray[Any]] | None = {
            feature.name: window for feature, (_, window) in zip(arrays.values(), self._copied, strict=True)
        } or None
        self._ages_of_rows = [(history - 1 - row) * period_s for row in range(history)]
        self._sample = np.zeros((history, len(indices)), np.float32)
        self.out_of_order = dict.fromkeys(self._rings, 0)
        self.non_finite = dict.fromkeys(self._rings, 0)
        self.too_fast = dict.fromkeys(self._rings, 0)

    @property
    def complete(self) -> bool:
        """Whether every input has a value."""
        return all(ring.count for ring in self._required.values())

    def missing(self) -> tuple[str, ...]:
        """Return the names of the inputs without a value."""
        return tuple(name for name, ring in self._required.items() if not ring.count)

    def push(self, name: str, stamp_s: float, values: NDArray[np.floating]) -> bool:
        """Store a value of an input at this stamp: the numbers of its indices in order, or its array.

        An array is copied, unless it is the one that `free` returned.

        Returns:
            Whether it was stored; if not, a counter says why.

        Raises:
            ObservationError: The input is unknown, or the number of values is wrong.
        """
        ring = self._ring(name)
        if values.shape != ring.shape:
            raise ObservationError(f"Input {name!r} gave values of the shape {values.shape}; it must be {ring.shape}.")
        if not (math.isfinite(stamp_s) and stamp_s > ring.newest_stamp_s):
            self.out_of_order[name] += 1
            return False
        if not ring.usable(values):
            self.non_finite[name] += 1
            return False
        self.too_fast[name] += ring.append(stamp_s, values)
        return True

    def is_empty(self, name: str) -> bool:
        """Return whether an input has no value."""
        return not self._ring(name).count

    def free(self, name: str) -> NDArray[Any]:
        """Return the buffer for the next value of an array, to be written before `push`."""
        return self._arrays[name].free

    def age_s(self, name: str, now_s: float) -> float:
        """Return the age of an input's newest value in seconds; infinite if there is none."""
        return now_s - self._ring(name).newest_stamp_s

    def covers(self, now_s: float) -> bool:
        """Whether each row of a sample at this time has a value of its own, rather than a later one repeated."""
        first_s = now_s - self._ages_of_rows[0] + STAMP_TOLERANCE_S
        return all(ring.count > 0 and ring.oldest_stamp_s() <= first_s for ring in self._required.values())

    def sample(self, now_s: float) -> NDArray[np.float32]:
        """Return the vectors at a time, (history, obs_dim), oldest first, and fill `windows` with the arrays.

        The next call overwrites both.

        Raises:
            ObservationError: An input has no value yet.
        """
        times_s = [now_s - age_s + STAMP_TOLERANCE_S for age_s in self._ages_of_rows]
        for ring in self._numbers.values():
            if not ring.count:
                if ring in self._optional:
                    continue
                raise self._incomplete()
            self._sample[:, ring.columns] = ring.at(times_s)
        for array_ring, window in self._copied:
            if not array_ring.count:
                raise self._incomplete()
            array_ring.copy_at(times_s, window)
        return self._sample

    def reset(self) -> None:
        """Forget all values; the counters go on."""
        for ring in self._rings.values():
            ring.clear()

    def _incomplete(self) -> ObservationError:
        return ObservationError(f"No value yet of {', '.join(self.missing())}; wait until `complete` is true.")

    def _ring(self, name: str) -> NumbersRing | ArrayRing:
        try:
            return self._rings[name]
        except KeyError:
            known = ", ".join(self._rings)
            raise ObservationError(f"Input {name!r} is unknown; the inputs are {known}.") from None


def spacing_s(rate_hz: float) -> float:
    """Return the spacing in seconds below which a value replaces its predecessor, for inputs of a rate."""
    return 0.5 / rate_hz  # half: a sensor at that rate may jitter


def _array_rings(
    arrays: Mapping[str, Feature], reach_s: float, least_s: float, gaps_s: Mapping[str, float]
) -> dict[str, ArrayRing]:
    """Allocate the array memory; raises ConfigurationError if it would be too large."""
    rings, total = {}, 0
    for name, feature in arrays.items():
        size = math.prod(feature.shape) * np.dtype(feature.dtype).itemsize
        large = size > _SMALL
        apart_s = max(least_s, spacing_s(_LARGE_INPUT_HZ)) if large else least_s
        capacity = math.ceil(reach_s / apart_s) + (_SPARE_LARGE if large else SPARE)
        total += (capacity + 1) * size
        if total > MOST_BYTES:
            raise ConfigurationError(
                f"The window of {feature.name} ({feature.form}) reaches back over {reach_s:.3g} s and would "
                f"need {total:,} bytes; the limit is {MOST_BYTES:,}. Use a policy with smaller arrays, or with a "
                "shorter history."
            )
        rings[name] = ArrayRing(feature.shape, feature.dtype, capacity, apart_s, gaps_s[name])
    return rings
