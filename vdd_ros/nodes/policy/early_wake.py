"""From early wake-up to the tick: keeps ticks short and on time."""

import math
from collections import deque
from collections.abc import Callable

KEPT_INTERVALS = 9
_GROWING, _SHRINKING, _FORGETTING = 4, 16, 128
_SMOOTHING = 8
_FIRST_LOOK_NS = 20_000
_ROOM = 1.25  # room for another run, in run durations; with less left, a run is the last one


class WarmUpRuns:
    """Dry runs that keep core and caches warm until a tick, while messages are taken in.

    After idling, or running other programs, a core needs several times as long for its first policy run as for the next
    ones, and work since the last run adds to that. The tick is therefore not the first run, and the last dry run ends
    just before the tick is due; any spare time is waited out before it.

    Cold (first after idling) and warm durations are estimated separately: with a shared estimate a second run would
    never seem to fit, and all runs would stay cold.

    Args:
        early_s: Lead of the wake-up over the tick, in seconds; 0: none.
        dry_run_s: Initial estimate of a run's duration, in seconds.
        now_ns: The clock.
        dry_run: Dry-runs a tick.
        receive: Takes in queued messages.

    Attributes:
        early_ns: How long before the instant the node wakes.
        now_ns: The clock.
        receive: Takes in queued messages.
    """

    def __init__(
        self,
        early_s: float,
        dry_run_s: float,
        *,
        now_ns: Callable[[], int],
        dry_run: Callable[[], None],
        receive: Callable[[], None],
    ) -> None:
        self.early_ns = round(early_s * 1e9)
        self.now_ns = now_ns
        self.receive = receive
        self._dry_run = dry_run
        self._warm_ns = self._cold_ns = round(dry_run_s * 1e9)
        self._longest_warm_ns = max(2 * self._warm_ns, self.early_ns // 2)
        self._longest_cold_ns = max(self._cold_ns, 3 * self.early_ns // 4)  # lets a later call try again
        self._look_ns = _FIRST_LOOK_NS
        self._cold = True

    def begin(self) -> None:
        """Note that the core was idle or busy with other work."""
        self._cold = True

    def step(self, left_ns: int) -> None:
        """Do a dry run, unless waiting is better or time is short, and receive.

        Args:
            left_ns: Time until the tick, in nanoseconds.
        """
        began_ns = self.now_ns()
        takes_ns = self._cold_ns if self._cold else self._warm_ns
        last = takes_ns <= left_ns <= takes_ns + 2 * self._look_ns
        if not last and left_ns < takes_ns + _ROOM * self._warm_ns:
            self.receive()
            self._look_ns = self.now_ns() - began_ns
            return
        self._dry_run()
        self.receive()
        longer_ns = self.now_ns() - began_ns - takes_ns
        if not self._cold:
            self._warm_ns = _learned(self._warm_ns, longer_ns, self._longest_warm_ns)
            return
        self._cold_ns = _learned(self._cold_ns, longer_ns, self._longest_cold_ns)
        self._cold = False
        if last:  # no warm run follows, so the estimate may be outdated and too long
            self._warm_ns -= self._warm_ns // _FORGETTING


def _learned(takes_ns: int, longer_ns: int, longest_ns: int) -> int:
    """Return the estimate after a run that exceeded it; too long is safe, since that delays no tick."""
    return min(takes_ns + longer_ns // (_GROWING if longer_ns > 0 else _SHRINKING), longest_ns)


class EarlyWake:
    """Wakes before a tick is due and does warm-up runs, so that the tick finds core and caches warm.

    Messages are taken in between the runs, so late arrivals still reach the tick. If the host wakes the node too late,
    as virtual machines do, the wake-up is requested earlier by the same amount.

    Args:
        warm_up_runs: Warm-up runs, on the clock of the ticks.
        longest_s: Largest lead of the wake-up, in seconds; by default that of the runs.
    """

    def __init__(self, warm_up_runs: WarmUpRuns, longest_s: float = 0.0) -> None:
        self._warm_up_runs = warm_up_runs
        self._spare_ns = max(0, min(round(1e9 * longest_s) - warm_up_runs.early_ns, warm_up_runs.early_ns))
        self._overslept_ns = 0

    @property
    def ahead_ns(self) -> int:
        """Requested lead of the wake-up, in nanoseconds."""
        return self._warm_up_runs.early_ns + self._overslept_ns

    def until(self, due_ns: int) -> int:
        """Do warm-up runs and receive until a tick is due, at most for the planned lead.

        Returns:
            Delay after the due time, in nanoseconds; negative only if the clock was set back.
        """
        warm_up_runs = self._warm_up_runs
        warm_up_runs.begin()
        woke_ns = warm_up_runs.now_ns()
        end_ns = min(due_ns, woke_ns + self.ahead_ns)
        missing_ns = warm_up_runs.early_ns - (end_ns - woke_ns)
        self._overslept_ns = min(max(0, self._overslept_ns + missing_ns // _SMOOTHING), self._spare_ns)
        warm_up_runs.receive()
        while (now_ns := warm_up_runs.now_ns()) < end_ns:
            warm_up_runs.step(end_ns - now_ns)
        return now_ns - due_ns


class ArrivalPredictor:
    """Predicts the next observation's arrival, warms up before it, and polls for it.

    The expected interval is the median of the last ones. The node stays awake from `early_s` before the expected
    arrival to `early_s` after it; not at all if `early_s` is 0.

    Args:
        warm_up_runs: Warm-up runs before the arrival.
        news: Returns whether a tick is due.
    """

    def __init__(self, warm_up_runs: WarmUpRuns, news: Callable[[], bool]) -> None:
        self._warm_up_runs = warm_up_runs
        self._early_ns = warm_up_runs.early_ns
        self._news = news
        self._intervals: deque[int] = deque(maxlen=KEPT_INTERVALS)
        self._last_ns: int | None = None
        self._expected_ns: int | None = None

    def arrived(self) -> None:
        """Note that an observation has arrived."""
        now_ns = self._warm_up_runs.now_ns()
        if self._last_ns is not None:
            self._intervals.append(now_ns - self._last_ns)
        self._last_ns = now_ns
        if self._early_ns and len(self._intervals) == KEPT_INTERVALS:
            self._expected_ns = now_ns + sorted(self._intervals)[KEPT_INTERVALS // 2]

    def sleep_s(self) -> float:
        """Return how long to sleep, in seconds; infinite if no arrival is expected."""
        if self._expected_ns is None:
            return math.inf
        return max(0.0, 1e-9 * (self._expected_ns - self._early_ns - self._warm_up_runs.now_ns()))

    def watch(self) -> None:
        """Stay awake until there is news; if it is not in time, predict nothing until the next arrival."""
        expected_ns = self._expected_ns
        if expected_ns is None:
            return
        self._warm_up_runs.begin()
        self._warm_up_runs.receive()
        while not self._news():
            now_ns = self._warm_up_runs.now_ns()
            if now_ns > expected_ns + self._early_ns:
                self._expected_ns = None
                return
            self._warm_up_runs.step(expected_ns - now_ns)
