"""From waking early to the instant of a tick: what keeps the tick short and on time."""

import math
from collections import deque
from collections.abc import Callable

KEPT_INTERVALS = 9
_GROWING, _SHRINKING, _FORGETTING = 4, 16, 128
_SMOOTHING = 8
_FIRST_LOOK_NS = 20_000
_ROOM = 1.25  # times a rehearsal that must be left after one, or that one is the last, so that none fits half


class Rehearsals:
    """Keeps core and caches warm until an instant, and messages coming in.

    A core that was idle, or busy with other programs, for most of a period needs several times as long for its first
    run of a policy as for the next ones; and what it has done since the last run costs again. So the tick is not the
    first run, and the last one before it ends just before it is due: what does not fit is waited for before that one.

    What rehearsals take is learned, of the first ones after the core was cold and of the others apart: if cold ones
    counted as the others do, there would seem to be no room for a second one, and all would stay cold.

    Args:
        early_s: How long before the instant the node wakes; 0: just then.
        rehearsal_s: What a rehearsal takes at first.
        now_ns: The clock.
        rehearse: Does what a tick does, for nothing.
        receive: Takes in what has arrived.

    Attributes:
        early_ns: How long before the instant the node wakes.
        now_ns: The clock.
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
        self.now_ns = now_ns
        self.receive = receive
        self._rehearse = rehearse
        self._warm_ns = self._cold_ns = round(rehearsal_s * 1e9)
        self._longest_warm_ns = max(2 * self._warm_ns, self.early_ns // 2)
        self._longest_cold_ns = max(self._cold_ns, 3 * self.early_ns // 4)  # so that it is tried again after a pause
        self._look_ns = _FIRST_LOOK_NS
        self._cold = True

    def begin(self) -> None:
        """Note that the core has been idle or busy with something else."""
        self._cold = True

    def step(self, left_ns: int) -> None:
        """Rehearse, unless it is better to wait or too late for it, and receive.

        Args:
            left_ns: Until the instant.
        """
        began_ns = self.now_ns()
        takes_ns = self._cold_ns if self._cold else self._warm_ns
        last = takes_ns <= left_ns <= takes_ns + 2 * self._look_ns
        if not last and left_ns < takes_ns + _ROOM * self._warm_ns:
            self.receive()
            self._look_ns = self.now_ns() - began_ns
            return
        self._rehearse()
        self.receive()
        longer_ns = self.now_ns() - began_ns - takes_ns
        if not self._cold:
            self._warm_ns = _learned(self._warm_ns, longer_ns, self._longest_warm_ns)
            return
        self._cold_ns = _learned(self._cold_ns, longer_ns, self._longest_cold_ns)
        self._cold = False
        if last:  # no warm one follows, so that what one takes is not known any more: it may have become less
            self._warm_ns -= self._warm_ns // _FORGETTING


def _learned(takes_ns: int, longer_ns: int, longest_ns: int) -> int:
    """Return what rehearsals take, after one that took longer by so much: rather too long, for it delays no tick."""
    return min(takes_ns + longer_ns // (_GROWING if longer_ns > 0 else _SHRINKING), longest_ns)


class EarlyWake:
    """Rehearses until a tick is due, so that the tick finds core and caches warm and begins on time.

    Messages are taken in between the rehearsals, so that what arrives meanwhile is still in time for the tick. A host
    that wakes the node later than it asked for, as a virtual machine's does, is asked for as much earlier.

    Args:
        rehearsals: What is done until then, on the clock of the ticks.
        longest_s: How long before the instant the node may wake; by default never earlier than `rehearsals` say.
    """

    def __init__(self, rehearsals: Rehearsals, longest_s: float = 0.0) -> None:
        self._rehearsals = rehearsals
        self._spare_ns = max(0, min(round(1e9 * longest_s) - rehearsals.early_ns, rehearsals.early_ns))
        self._overslept_ns = 0

    @property
    def ahead_ns(self) -> int:
        """How long before the instant to ask for being woken, in nanoseconds."""
        return self._rehearsals.early_ns + self._overslept_ns

    def until(self, due_ns: int) -> int:
        """Rehearse and receive until a tick is due, but never longer than it was to be awake.

        Returns:
            How late it is then, in nanoseconds; below 0 only if the clock was set back.
        """
        rehearsals = self._rehearsals
        rehearsals.begin()
        woke_ns = rehearsals.now_ns()
        end_ns = min(due_ns, woke_ns + self.ahead_ns)
        missing_ns = rehearsals.early_ns - (end_ns - woke_ns)
        self._overslept_ns = min(max(0, self._overslept_ns + missing_ns // _SMOOTHING), self._spare_ns)
        rehearsals.receive()
        while (now_ns := rehearsals.now_ns()) < end_ns:
            rehearsals.step(end_ns - now_ns)
        return now_ns - due_ns


class Anticipation:
    """Rehearses before the next observation is expected, and then watches for it, so that it finds a warm core.

    The next one is expected as long after the last as is usual: the median of the last intervals. The node stays awake
    from `early_s` before that instant until as long after it; not at all if that is 0.

    Args:
        rehearsals: What is done until then.
        news: Whether there is something to tick for.
    """

    def __init__(self, rehearsals: Rehearsals, news: Callable[[], bool]) -> None:
        self._rehearsals = rehearsals
        self._early_ns = rehearsals.early_ns
        self._news = news
        self._intervals: deque[int] = deque(maxlen=KEPT_INTERVALS)
        self._last_ns: int | None = None
        self._expected_ns: int | None = None

    def arrived(self) -> None:
        """Note that an observation has arrived."""
        now_ns = self._rehearsals.now_ns()
        if self._last_ns is not None:
            self._intervals.append(now_ns - self._last_ns)
        self._last_ns = now_ns
        if self._early_ns and len(self._intervals) == KEPT_INTERVALS:
            self._expected_ns = now_ns + sorted(self._intervals)[KEPT_INTERVALS // 2]

    def sleep_s(self) -> float:
        """Return for how long there is nothing to do but to wait; infinite where nothing is expected."""
        if self._expected_ns is None:
            return math.inf
        return max(0.0, 1e-9 * (self._expected_ns - self._early_ns - self._rehearsals.now_ns()))

    def watch(self) -> None:
        """Stay awake until there is news; where there is none in time, expect nothing until the next arrival."""
        expected_ns = self._expected_ns
        if expected_ns is None:
            return
        self._rehearsals.begin()
        self._rehearsals.receive()
        while not self._news():
            now_ns = self._rehearsals.now_ns()
            if now_ns > expected_ns + self._early_ns:
                self._expected_ns = None
                return
            self._rehearsals.step(expected_ns - now_ns)
