"""From waking early to the instant of a tick: what keeps the tick short and on time."""

import math
from collections import deque
from collections.abc import Callable

KEPT_INTERVALS = 9


class EarlyWake:
    """Rehearses until a tick is due, so that the tick finds core and caches warm and begins on time.

    A core that was idle, or busy with other programs, for most of a period needs several times as long for its first
    run of a policy as for the next ones. So the tick is not the first. Messages are taken in between the rehearsals, so
    that what arrives meanwhile is still in time for the tick.

    Args:
        early_s: How long before a tick the node wakes; 0: just then.
        rehearsal_s: What a rehearsal takes; none begins later than that before the tick.
        now_ns: The clock of the ticks.
        rehearse: Does what a tick does, for nothing.
        receive: Takes in what has arrived.
    """

    def __init__(
        self,
        early_s: float,
        rehearsal_s: float,
        *,
        now_ns: Callable[[], int],
        rehearse: Callable[[], None],
        receive: Callable[[], None],
    ) -> None:
        self.early_ns = round(early_s * 1e9)
        self._rehearsal_ns = round(rehearsal_s * 1e9)
        self._now_ns = now_ns
        self._rehearse = rehearse
        self._receive = receive

    def until(self, due_ns: int) -> int:
        """Rehearse and receive until a tick is due, but never longer than `early_s`.

        Returns:
            How late it is then, in nanoseconds; below 0 only if the clock was set back.
        """
        end_ns = min(due_ns, self._now_ns() + self.early_ns)
        self._receive()
        while (now_ns := self._now_ns()) < end_ns:
            if now_ns + self._rehearsal_ns <= end_ns:
                self._rehearse()
            self._receive()
        return now_ns - due_ns


class Anticipation:
    """Rehearses before the next observation is expected, and then watches for it, so that it finds a warm core.

    The next one is expected as long after the last as is usual: the median of the last intervals.

    Args:
        early_s: How long before, and how long after that instant it stays awake; 0: not at all.
        rehearsal_s: What a rehearsal takes; none begins later than that before the instant.
        now_ns: The clock.
        rehearse: Does what a tick does, for nothing.
        receive: Takes in what has arrived.
        news: Whether there is something to tick for.
    """

    def __init__(
        self,
        early_s: float,
        rehearsal_s: float,
        *,
        now_ns: Callable[[], int],
        rehearse: Callable[[], None],
        receive: Callable[[], None],
        news: Callable[[], bool],
    ) -> None:
        self._early_ns = round(early_s * 1e9)
        self._rehearsal_ns = round(rehearsal_s * 1e9)
        self._now_ns = now_ns
        self._rehearse = rehearse
        self._receive = receive
        self._news = news
        self._intervals: deque[int] = deque(maxlen=KEPT_INTERVALS)
        self._last_ns: int | None = None
        self._expected_ns: int | None = None

    def arrived(self) -> None:
        """Note that an observation has arrived."""
        now_ns = self._now_ns()
        if self._last_ns is not None:
            self._intervals.append(now_ns - self._last_ns)
        self._last_ns = now_ns
        if self._early_ns and len(self._intervals) == KEPT_INTERVALS:
            self._expected_ns = now_ns + sorted(self._intervals)[KEPT_INTERVALS // 2]

    def sleep_s(self) -> float:
        """Return for how long there is nothing to do but to wait; infinite where nothing is expected."""
        if self._expected_ns is None:
            return math.inf
        return max(0.0, 1e-9 * (self._expected_ns - self._early_ns - self._now_ns()))

    def watch(self) -> None:
        """Stay awake until there is news; where there is none in time, expect nothing until the next arrival."""
        expected_ns = self._expected_ns
        if expected_ns is None:
            return
        self._receive()
        while not self._news():
            now_ns = self._now_ns()
            if now_ns > expected_ns + self._early_ns:
                self._expected_ns = None
                return
            if now_ns + self._rehearsal_ns <= expected_ns:
                self._rehearse()
            self._receive()
