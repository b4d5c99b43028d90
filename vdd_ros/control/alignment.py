"""Time alignment of a tick's inputs: their ages, and the time between their stamps."""

import itertools
import math
from collections.abc import Mapping, Sequence

from vdd_ros.robot.inputs import Input


class TimeAlignment:
    """Ages of inputs, and the guard `max_skew_s` of the robot file.

    Args:
        inputs: Inputs of the robot file.
        max_skew_s: Largest time between the stamps of the inputs without `when_stale: keep`, in seconds; None: any.
        stamps_s: Stamp of each input's newest message, in seconds; the observer keeps it up to date.
        since_s: Origin of each input's age, in seconds; likewise.

    Attributes:
        names: The inputs, in order.
        max_skew_s: The same; infinite if any is allowed.
        skew_s: The time between the stamps at the last call of `is_skewed`.
        common_s: The newest stamp common to all, likewise.
        last: The last excessive skew, with the inputs of the oldest and the newest stamp; or None.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        max_skew_s: float | None,
        stamps_s: Mapping[str, float],
        since_s: Mapping[str, float],
    ) -> None:
        self.names = tuple(source.name for source in inputs)
        self.max_skew_s = math.inf if max_skew_s is None else max_skew_s
        self.skew_s, self.common_s = math.nan, -math.inf
        self.last: tuple[str, str, float] | None = None
        self._stamps_s, self._since_s = stamps_s, since_s
        counts = [not source.is_kept for source in inputs]
        self._counts = None if all(counts) else counts
        self._prompt = list(itertools.compress(self.names, counts))

    def newest_s(self) -> float:
        """Return the newest stamp common to all inputs without `when_stale: keep`; -inf if one has no value."""
        stamps_s = self._stamps_s
        return min([stamps_s[name] for name in self._prompt])

    def is_skewed(self) -> bool:
        """Return whether stamps are more than `max_skew_s` apart; inputs with `when_stale: keep` do not count."""
        stamps = self._stamps_s
        stamps_s = [stamps[name] for name in self._prompt]
        self.common_s = oldest_s = min(stamps_s)
        newest_s = max(stamps_s)
        self.skew_s = newest_s - oldest_s
        if self.skew_s <= self.max_skew_s:
            return False
        ends = self._prompt[stamps_s.index(oldest_s)], self._prompt[stamps_s.index(newest_s)]
        self.last = (*ends, self.skew_s)
        return True

    def ages_s(self, now_s: float) -> list[float]:
        """Return the age of each input in seconds; infinite without a value."""
        since_s = self._since_s
        return [now_s - since_s[name] for name in self.names]

    def oldest_s(self, ages_s: list[float]) -> float:
        """Return the largest of these ages, in seconds, among inputs without `when_stale: keep`."""
        return max(ages_s) if self._counts is None else max(itertools.compress(ages_s, self._counts))
