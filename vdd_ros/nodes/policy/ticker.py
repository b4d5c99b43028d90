"""Ticks a policy loop by the clock, on arrival or in simulated time, under a watchdog."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleNode

from vdd_ros.control.loop import PolicyLoop
from vdd_ros.control.watchdog import INTERVAL_S, Watchdog
from vdd_ros.errors import HungTickError
from vdd_ros.host.realtime import HostSettings, settle
from vdd_ros.nodes.policy.early_wake import ArrivalPredictor, EarlyWake, WarmUpRuns
from vdd_ros.nodes.policy.loading import LoadedPolicy
from vdd_ros.nodes.ros.containment import ending
from vdd_ros.nodes.ros.polled_subscriptions import TickInputs
from vdd_ros.nodes.ros.tick_thread import STOP_S, Deadlines, TickThread, end_executor

LONGEST_WAIT_S = 0.05


@dataclass(frozen=True)
class TickSettings:
    """When and how a loop ticks.

    Attributes:
        period_s: Time between ticks.
        early_s: Lead of wake-up and dry runs before a tick, in seconds.
        limit_s: Inference limit in seconds.
        max_age_s: Largest age of an input in seconds; if no tick runs for longer, the fail-safe is entered.
        on_arrival: Whether arriving observations trigger ticks instead of the clock.
        simulated_time: Whether time comes from /clock.
        host: Real-time settings requested from the host.
    """

    period_s: float
    early_s: float
    limit_s: float
    max_age_s: float
    on_arrival: bool
    simulated_time: bool
    host: HostSettings


class Ticker:
    """Ticks a loop in its own thread, or in the executor in simulated time.

    Args:
        node: The node.
        loop: The policy loop.
        inputs: Messages taken in before each tick.
        settings: When and how to tick.
        now_s: The time in seconds, on the clock of the stamps.
        settled: Called in the executor once the host's refusals are known.
        abort: Called in the executor with the reason to end commanding.

    Attributes:
        refused: Host settings that were refused; None until known.
        ticking: Whether it ticks.
    """

    def __init__(
        self,
        node: LifecycleNode,
        loop: PolicyLoop,
        inputs: TickInputs,
        settings: TickSettings,
        *,
        now_s: Callable[[], float],
        settled: Callable[[], None],
        abort: Callable[[str], None],
    ) -> None:
        self.refused: list[str] | None = None
        self.ticking = False
        self._node = node
        self._loop = loop
        self._inputs = inputs
        self._settings = settings
        self._now_s = now_s
        self._tell_settled = settled
        self._abort = abort
        self._thread: TickThread | None = None
        self._hung: TickThread | None = None
        self._watchdog: Watchdog | None = None
        self._timer: Any = None
        self._gives_up = self._settled = self._stands_still = False
        self._afterwards: deque[Callable[[], None]] = deque()
        self._asked_at = 0
        self._between: Callable[[], None] | None = None

    @property
    def hung(self) -> bool:
        """Whether an abandoned tick is still running."""
        return self._hung is not None and self._hung.running

    def check(self) -> None:
        """Raise HungTickError while an abandoned tick is still running."""
        if self.hung:
            raise HungTickError(
                "a tick from before the last deactivation is still running, so ticking cannot start; activate again "
                "when the device responds, or restart the process"
            )

    def start(self) -> None:
        """Start ticking."""
        settings, node = self._settings, self._node
        self.ticking = True
        self._gives_up = self._settled = self._stands_still = False
        self._deadlines = Deadlines(settings.period_s)
        self._watchdog = Watchdog(self._check_overdue, self._log, max(INTERVAL_S, settings.period_s))
        if settings.simulated_time and not settings.on_arrival:
            self._settle()
            self._timer = node.create_timer(settings.period_s, self._on_timer, clock=node.get_clock())
            self._due_ns = self._next_due_ns()
        else:
            step = self._await_arrival if settings.on_arrival else self._await_deadline
            self._thread = TickThread(self._settle, step, partial(end_executor, node))

    def stop(self) -> str:
        """Stop ticking and abandon a tick that does not end. Return the failures; empty if none."""
        self.ticking = False
        thread, self._thread = self._thread, None
        ended = thread is None or thread.stop(STOP_S)
        if not ended:
            self._hung = thread
        self._end_timers()
        self._call_all()
        return "" if ended else f"a tick did not end within {STOP_S:g} s; it was abandoned and commands nothing"

    def after_tick(self, function: Callable[[], None]) -> None:
        """Call a function in the executor right after a tick, when the next one is furthest away.

        A millisecond of work just before a tick would delay it, by the GIL or on the same core, so each tick is
        followed by one function. If no tick ended since the last call, all queued functions run now: the next tick may
        never come.
        """
        ticks, before = self._loop.counters.ticks, self._asked_at
        self._asked_at = ticks
        overdue = bool(self._afterwards) and ticks == before
        self._afterwards.append(function)
        if self._thread is None or overdue:
            self._call_all()

    def _call_all(self) -> None:
        """Call all queued functions."""
        while (function := self._next_afterwards()) is not None:
            function()

    def _next_afterwards(self) -> Callable[[], None] | None:
        with suppress(IndexError):
            return self._afterwards.popleft()
        return None

    def make_ready_for(self, loaded: LoadedPolicy) -> None:
        """Adapt the dry runs to this policy's duration."""
        warm_up_runs = WarmUpRuns(
            self._settings.early_s,
            loaded.inference_s,
            now_ns=self._node_now_ns if self._settings.simulated_time else time.monotonic_ns,
            dry_run=self._dry_run,
            receive=self._inputs.take,
        )
        self._wake = EarlyWake(warm_up_runs, 0.5 * self._settings.period_s)
        self._ahead = ArrivalPredictor(warm_up_runs, self._has_news)

    def _dry_run(self) -> None:
        self._loop.dry_run(self._now_s())

    def _has_news(self) -> bool:
        return self._loop.news()

    def _settle(self) -> None:
        """Request the tick thread's real-time settings from the host."""
        self.refused = settle(self._settings.host)
        for problem in self.refused:
            self._node.get_logger().warning(problem)
        self._deadlines = Deadlines(self._settings.period_s)  # the settings may have taken long
        self._settled = True
        self._in_executor(self._tell_settled)

    def _await_deadline(self, thread: TickThread) -> None:
        """Tick at the deadline."""
        wake, due_ns = self._wake, self._deadlines.due_ns
        if thread.sleep_until(due_ns - wake.ahead_ns):
            late_ns = wake.until(due_ns)
            self._stop_if_late(late_ns)
            self._deadlines.step()
            if thread.stopping:  # it may have been abandoned in a dry run
                return
            self._tick(self._now_s(), late_ns * 1e-9)
            self._call_afterwards()

    def _await_arrival(self, thread: TickThread) -> None:
        """Tick once every input has a new value, or on timeout, to detect missing inputs."""
        ahead = self._ahead
        until_due_s = 1e-9 * max(0, self._deadlines.due_ns - time.monotonic_ns())
        if sleep_s := ahead.sleep_s():
            self._call_afterwards()
            self._inputs.wait(min(sleep_s, until_due_s, LONGEST_WAIT_S))
            self._inputs.take()
        else:
            ahead.watch()
        now_s = self._now_s()
        if thread.stopping:
            return
        late_ns = time.monotonic_ns() - self._deadlines.due_ns
        if late_ns >= 0:
            self._stop_if_late(late_ns)
            self._deadlines.step()
        if self._loop.news():
            ahead.arrived()
            self._tick(now_s, 0.0)
            self._call_afterwards()
        elif late_ns >= 0:
            observer = self._loop.observer
            if not observer.complete or observer.stale(now_s):
                self._tick(now_s, 0.0)

    def _on_timer(self) -> None:
        """Tick in simulated time."""
        try:
            late_ns = self._wake.until(self._due_ns)
            self._due_ns = self._next_due_ns()
            self._tick(self._now_s(), late_ns * 1e-9)
        except Exception as error:  # as in the tick thread
            raise ending(self._node, error) from None

    def _tick(self, now_s: float, lateness_s: float) -> None:
        self._loop.tick(now_s, lateness_s)
        guards = self._loop.swap.active.guards
        if guards.fault and not self._gives_up:
            self._gives_up = True
            self._in_executor(self._abort, guards.fault)

    def between_ticks(self, function: Callable[[], None]) -> None:
        """Call a function while no tick runs."""
        if self._thread is None:
            self._in_executor(function)
        else:
            self._between = function

    def _call_afterwards(self) -> None:
        if (urgent := self._between) is not None:
            self._between = None
            urgent()
        if (function := self._next_afterwards()) is not None:
            self._in_executor(function)

    def _in_executor(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function in the executor, where it may change the node's state."""
        if self._node.executor is None:
            self._node.get_logger().fatal("the node ticks, but nothing spins it")
        else:
            self._node.executor.create_task(function, *arguments)

    def _check_overdue(self) -> bool:
        """Return whether a tick or its dry run hangs; if so, end commanding."""
        if self._loop.check_overdue():
            return True
        if self._thread is None or not self._settled:
            self._stands_still = False
            return False
        return self._stop_if_late(time.monotonic_ns() - self._deadlines.due_ns)

    def _stop_if_late(self, late_ns: int) -> bool:
        """Return whether no tick began for too long; if so, end commanding.

        A process that was suspended notices in its tick, since its watchdog may wake later.
        """
        settings = self._settings
        if 1e-9 * late_ns <= max(settings.period_s, settings.limit_s) + settings.max_age_s:
            self._stands_still = False
            return False
        self._loop.counters.hangs += not self._stands_still
        self._stands_still = True
        self._loop.enter_failsafe()
        return True

    @property
    def overdue_s(self) -> float:
        """Running time of an overdue tick, in seconds; 0 if none is overdue."""
        return 0.0 if self._watchdog is None else self._watchdog.overdue_s

    def _log(self, error: Exception) -> None:
        self._node.get_logger().error(f"{type(error).__name__}: {error}")

    def _end_timers(self) -> None:
        watchdog, self._watchdog = self._watchdog, None
        timer, self._timer = self._timer, None
        if watchdog is not None:
            watchdog.stop()
        if timer is not None:
            self._node.destroy_timer(timer)

    def _next_due_ns(self) -> int:
        return self._node_now_ns() + int(self._timer.time_until_next_call())

    def _node_now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)
