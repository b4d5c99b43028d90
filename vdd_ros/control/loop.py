"""The policy node's tick without rclpy: messages and times in, commands and records out."""

import math
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vdd_ros.control.active_policy import ActivePolicy
from vdd_ros.control.chunks import Step
from vdd_ros.control.commander import Commander
from vdd_ros.control.counters import Counters
from vdd_ros.control.episodes import Episodes
from vdd_ros.control.interruption import Interruption
from vdd_ros.control.observer import Observer
from vdd_ros.control.outputs import Outputs
from vdd_ros.control.policy_swap import PolicySwap
from vdd_ros.control.task_end import TaskEnd
from vdd_ros.control.tick_records import Moments, TickRecords
from vdd_ros.control.timing import LatencyStatistics
from vdd_ros.errors import ConfigurationError, VddError

START_GATES = ("inputs", "window")
_NO_NUMBERS = np.zeros(1, np.float32)
"""Stands for the vector if only arrays are observed; columns of unmeasured numbers are 0."""


class PolicyLoop:
    """A policy on a robot; another policy can take over between two ticks.

    Args:
        active: The policy and what belongs to it.
        outputs: Where commands and records go.
        statistics: Percentiles of the records.
        period_s: Time between ticks.
        control: False for shadow mode: everything runs, nothing is commanded.
        first_action: See `Commander`.
        trajectories: Whether a chunk is sent whole, as one message, rather than one action per tick.
        decisions: Whether decisions are published.
        start_gate: `inputs`: the first tick follows the first message of every input; `window`: the first tick waits
            until each input covers the whole window. Until then the first values fill the older rows.
        task_end: Detects the end of a task; None without a rule.
        timer: Clock for durations, in seconds.

    Attributes:
        episodes: Phases in which the policy acts or pauses.
        commander: Turns its actions into commands.
        counters: Event counts so far.
        swap: Hands over to another policy.

    Raises:
        ConfigurationError: `first_action` or `start_gate` is unknown, or needs a field missing in the robot file.
    """

    def __init__(
        self,
        active: ActivePolicy,
        outputs: Outputs,
        statistics: LatencyStatistics,
        *,
        period_s: float,
        control: bool,
        first_action: str = "ramp",
        trajectories: bool = False,
        decisions: bool = True,
        start_gate: str = "inputs",
        task_end: TaskEnd | None = None,
        timer: Callable[[], float] = perf_counter,
    ) -> None:
        if start_gate not in START_GATES:
            raise ConfigurationError(f"start_gate is {start_gate!r}; use one of {', '.join(START_GATES)}.")
        if trajectories and active.observer.observes_commands:
            raise ConfigurationError("send is 'chunk', but the robot file observes its last command; use 'step'.")
        self.counters = Counters()
        outputs.count_in(self.counters)
        self.commander = Commander(
            active.channel,
            active.following,
            self.counters,
            outputs if control else None,
            period_s=period_s,
            first_action=first_action,
        )
        self.swap = PolicySwap(active, self.commander, outputs, self.counters)
        self._trajectories = trajectories
        self._whole_window = start_gate == "window"
        self._outputs = outputs
        self._period_s = period_s
        self._timer = timer
        self._records = TickRecords(
            outputs, self.counters, statistics, active.observer.alignment.names, period_s=period_s, decisions=decisions
        )
        self._seen_s = -math.inf
        self._now_s = -math.inf
        self._interruption = Interruption(
            self.commander, self.counters, period_s=period_s, timer=timer, trajectories=trajectories
        )
        self.episodes = Episodes(self._interruption.enter_failsafe, self.new_episode)
        self._task_end = task_end
        self.start()

    @property
    def active(self) -> ActivePolicy:
        """The policy that acts."""
        return self.swap.active

    @property
    def observer(self) -> Observer:
        """The observer of the policy."""
        return self.swap.active.observer

    def receive(self, name: str, message: Any, now_s: float, received_s: float = math.inf) -> None:
        """Take in a message; see `Observer.receive`.

        Args:
            name: Name of an input.
            message: The message.
            now_s: The time in seconds, on the clock of the stamps.
            received_s: Time of arrival in seconds; queued messages come input by input, so this may go back.
        """
        self._follow_clock(now_s)
        arrived_s = min(received_s, now_s)  # later only if the clock was set back meanwhile
        for policy in self.swap.policies:
            policy.observer.receive(name, message, arrived_s)

    def receive_goal(self, values: ArrayLike) -> None:
        """Take in a goal; see `Observer.receive_goal`."""
        for policy in self.swap.policies:
            policy.observer.receive_goal(values)

    def close(self) -> None:
        """End the threads beside the ticks."""
        for policy in self.swap.policies:
            policy.chunks.close()

    def start(self) -> None:
        """Restart, as at activation, keeping the goal; the first tick is due one period from now."""
        self.new_episode()
        self.episodes.start()
        self._interruption.ended = False
        self.swap.active.guards.reset()
        self._records.reset()
        self._interruption.began = self._timer()

    def stop(self) -> None:
        """Stop, from any thread; see `Interruption.stop`. The next `start` resumes."""
        self._interruption.stop(homing=self.episodes.astray)
        self.episodes.give_up_home()

    def enter_failsafe(self) -> None:
        """Apply `on_loss` of the robot file, from any thread; see `Interruption.enter_failsafe`."""
        self._interruption.enter_failsafe()

    def check_overdue(self) -> bool:
        """Return whether a tick is overdue, from any thread; see `Interruption.check_overdue`."""
        return self._interruption.check_overdue(self.swap.active.guards.limit_s)

    def take_over(self, successor: ActivePolicy) -> None:
        """Make another policy the active one; call between ticks only."""
        self.swap.take_over(successor)
        self._records.expert = None

    def new_episode(self, since_s: float = -math.inf) -> None:
        """Stop and forget observations and expert, but keep the goal; the next command counts as a first one.

        Args:
            since_s: Arrival time from which messages count: older queued ones belong to another episode.
        """
        self._forget(since_s)
        self.commander.restart()

    def _forget(self, since_s: float) -> None:
        """Stop, and forget the expert, all observations before a time, and results for them."""
        with self._interruption.sending:
            self.commander.stop(moved=True)
        for policy in self.swap.policies:
            policy.observer.reset(since_s)
            self.counters.dropped_answers += policy.chunks.reset()
        if self._task_end is not None:
            self._task_end.reset()
        self._records.expert = None
        self._seen_s = -math.inf

    def news(self) -> bool:
        """Return whether every input has a value newer than the last tick's newest common stamp.

        Not earlier than half a period after that tick: step limits assume one tick per period, so a flooding sensor
        must not speed the robot up.
        """
        newest_s, began = self.swap.active.observer.newest_s(), self._interruption.began
        return newest_s > self._seen_s and self._timer() - began >= 0.5 * self._period_s

    def dry_run(self, now_s: float) -> None:
        """Dry-run a tick: the same computation, nothing published, no state kept."""
        active, observer = self.swap.active, self.swap.active.observer
        if observer.complete and not observer.stale(now_s):
            with suppress(VddError):  # the tick will raise it again
                window = observer.sample(now_s, begins=False)
                action = active.chunks.dry_run(window, observer.goal, observer.arrays)
                if action is not None and not self._trajectories:
                    self.commander.dry_run(action, _newest(window))

    def tick(self, now_s: float, lateness_s: float) -> None:
        """Observe, act, command, and record the durations.

        Args:
            now_s: The time in seconds, on the clock of the stamps.
            lateness_s: Delay of this tick after its due time, in seconds.
        """
        began, interruption = self._timer(), self._interruption
        period_s, interruption.began = began - interruption.began, began
        self.counters.ticks += 1
        interruption.running_since = began
        try:
            self._run(now_s, lateness_s, began, period_s)
        finally:
            interruption.running_since = None

    def _run(self, now_s: float, lateness_s: float, began: float, period_s: float) -> None:
        self._follow_clock(now_s)
        self._interruption.ticked_s = now_s
        if self._trajectories:
            self.commander.elapse(now_s)
        if self._interruption.is_over():
            self._drop()
        if self.swap.waiting is not None and self.swap.advance(now_s):
            self._records.expert = None
        active, observer = self.swap.active, self.swap.active.observer
        observation = self._observe(observer, now_s) if self.episodes.advance(now_s) else None
        if not self.episodes.running:
            self._stand()
            return
        if observation is None:
            return
        if self.commander.stale.pending:
            with self._interruption.sending:
                self.commander.cancel_trajectory(_newest(observation), now_s)
        assembled = self._timer()
        try:
            step = active.chunks.next(observation, observer.goal, observer.arrays)
        except VddError as error:
            self._fail(error)
            return
        inferred = self._timer()
        commanded = self._command(step, _newest(observation), now_s, inferred - began)
        published = self._timer()
        active.ask_ahead(observation, _newest(observation), self.commander, trajectories=self._trajectories)
        when = Moments(period_s, lateness_s, began, assembled, inferred, published)
        self._records.add(active, step, now_s, when, commanded=commanded)
        self._records.bookkeeping_s = self._timer() - published

    def _follow_clock(self, now_s: float) -> None:
        """Restart if the clock was set back: earlier observations then have stamps in the future."""
        if now_s < self._now_s - self._period_s:
            self._now_s = now_s
            self.counters.clock_jumps += 1
            self._forget(-math.inf)
            self.commander.begin_anew()
        self._now_s = max(now_s, self._now_s)

    def _fail(self, error: VddError) -> None:
        """End commanding, because the policy cannot act."""
        self.swap.active.guards.fault = str(error)
        with self._interruption.sending:
            self.commander.enter_failsafe()
        self._drop()

    def _drop(self) -> None:
        """Discard the policy's last output and open request."""
        self.counters.dropped_answers += self.swap.active.chunks.drop()

    def _command(self, step: Step | None, newest: NDArray[np.float32], now_s: float, took_s: float) -> bool:
        """Command a step if the guards permit it; return whether it was sent."""
        with self._interruption.sending:
            if self._may(step, took_s) and step is not None:
                return self._send(step, newest, now_s)
            self.commander.enter_failsafe()
        if step is not None:
            self._drop()
        return False

    def _may(self, step: Step | None, took_s: float) -> bool:
        """Return whether a step may be commanded."""
        active, interruption = self.swap.active, self._interruption
        if step is None:
            if active.chunks.starting:
                self.counters.waiting += 1
            else:
                self.counters.overruns += 1
            return False
        guards, follows = active.guards, self._trajectories and step.act is None
        in_time = follows or guards.in_time(took_s)
        known = step.act is None or guards.knows(step.act.novelty)
        permitted = self.episodes.running and not guards.fault
        return in_time and known and permitted and interruption.permits(self.counters.ticks)

    def _send(self, step: Step, newest: NDArray[np.float32], now_s: float) -> bool:
        if not self._trajectories:
            return self.commander.command(step.actions[0], newest, now_s)
        if step.act is None:
            return self.commander.follow_up(newest, now_s)
        return self.commander.trajectory(step.actions, newest, now_s)

    def _observe(self, observer: Observer, now_s: float) -> NDArray[np.float32] | None:
        """Return the observation history, or None if an input or the goal is missing or not trustworthy."""
        if not observer.complete or (self._whole_window and not observer.covers(now_s)):
            self.counters.waiting += 1
            self._distrust()
            return None
        if observer.stale(now_s):
            self.counters.stale += 1
            self._distrust()
            return None
        if observer.alignment.is_skewed():
            self.counters.skewed += 1
            self._distrust()
            return None
        if observer.doubted(now_s, starting=self.commander.starting):
            self.counters.contradicted += 1
            self._distrust()
            return None
        self._seen_s = observer.alignment.common_s
        window = observer.sample(now_s)
        if self._task_end is not None and self._task_end.holds(window[-1], self.swap.active.policy.spec, now_s):
            self.episodes.end(str(self._task_end.rule))
        return window

    def _stand(self) -> None:
        """Do nothing in this tick, since no episode is running."""
        self.counters.paused += 1
        self._seen_s = self.swap.active.observer.newest_s()
        self._drop()

    def _distrust(self) -> None:
        """End commanding because the observations are not trustworthy."""
        with self._interruption.sending:
            self.commander.enter_failsafe()
        self._drop()


def _newest(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the newest row of a window, for a command."""
    newest = window[-1]
    return newest if newest.size else _NO_NUMBERS
