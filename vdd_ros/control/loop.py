"""What the policy node does at every tick, without rclpy: messages and times come in, commands and records go out."""

import math
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vdd_ros.control.active_policy import Pilot
from vdd_ros.control.chunks import Step
from vdd_ros.control.commander import Commander
from vdd_ros.control.counters import Counters
from vdd_ros.control.observer import Intake
from vdd_ros.control.outputs import Outputs
from vdd_ros.control.timing import LatencyRecord, LatencyStatistics
from vdd_ros.errors import ConfigurationError, VddError
from vdd_ros.policy.onnx_policy import Act

START_GATES = ("inputs", "window")
PATIENCE_S = 0.05


class PolicyLoop:
    """A policy on a robot, which another policy may relieve between two ticks.

    Args:
        pilot: The policy and what belongs to it.
        outputs: Where commands and records go.
        statistics: Percentiles of the records.
        period_s: Time between ticks.
        control: False for shadow mode: everything runs and nothing is commanded.
        first_action: See `Commander`.
        trajectories: Whether a chunk goes out whole, as one message, rather than an action each tick.
        decisions: Whether decisions go out.
        start_gate: `inputs`: the first tick is that by which every input was seen; `window`: by which each was seen for
            as long as the window reaches back. Until then the first values stand for those before them.
        timer: What durations are measured with, in seconds.

    Attributes:
        pilot: The policy that acts.
        commander: What becomes of its actions.
        counters: What happened so far.
        last_refused_policy: Which file did not take over, and why; empty if none.

    Raises:
        ConfigurationError: `first_action` or `start_gate` is unknown, or needs what the robot file does not say.
    """

    def __init__(
        self,
        pilot: Pilot,
        outputs: Outputs,
        statistics: LatencyStatistics,
        *,
        period_s: float,
        control: bool,
        first_action: str = "ramp",
        trajectories: bool = False,
        decisions: bool = True,
        start_gate: str = "inputs",
        timer: Callable[[], float] = perf_counter,
    ) -> None:
        if start_gate not in START_GATES:
            raise ConfigurationError(f"start_gate is {start_gate!r}; use one of {', '.join(START_GATES)}.")
        self.counters = Counters()
        outputs.count_in(self.counters)
        self.last_refused_policy = ""
        self.pilot = pilot
        self.pilot.count_in(self.counters)
        self.commander = Commander(
            pilot.channel,
            pilot.following,
            self.counters,
            outputs if control else None,
            period_s=period_s,
            first_action=first_action,
        )
        self._relief: tuple[Pilot, Callable[[], None]] | None = None
        self._trajectories = trajectories
        self._decisions = decisions
        self._whole_window = start_gate == "window"
        self._outputs = outputs
        outputs.expect_decisions(pilot.decision.labels, experts=pilot.policy.spec.is_mixture)
        self._statistics = statistics
        self._period_s = period_s
        self._timer = timer
        self._record = LatencyRecord()
        self._expert: int | None = None
        self._seen_s = -math.inf
        self._now_s = self._ticked_s = -math.inf
        self._sending = Lock()
        self._running_since: float | None = None
        self._barred = 0
        self._ended = False
        self.start()

    @property
    def intake(self) -> Intake:
        """What the policy sees."""
        return self.pilot.intake

    def relieve(self, pilot: Pilot, relieved: Callable[[], None]) -> None:
        """Let another policy take over as soon as it has seen as much as its window holds, between two ticks.

        The command goes on from where it is: limits and guards of the first command are not begun anew.

        Args:
            pilot: The other policy; the goal of the present one is passed on if it has the same form.
            relieved: Called once it has taken over.
        """
        pilot.intake.take_goal_of(self.intake)
        self._outputs.expect_decisions(pilot.decision.labels, experts=pilot.policy.spec.is_mixture)
        self._relief = pilot, relieved

    def withdraw(self, pilot: Pilot) -> bool:
        """Let a policy wait no longer to take over; between ticks only. Return whether it was still waiting."""
        if self._relief is None or self._relief[0] is not pilot:
            return False
        self._relief = None
        return True

    def refuse_policy(self, reason: str) -> None:
        """Count that a file was to take over and did not."""
        self.counters.refused_policies += 1
        self.last_refused_policy = reason

    def receive(self, name: str, message: Any, now_s: float, received_s: float = math.inf) -> None:
        """Take in a message; see `Intake.receive`.

        Args:
            name: Of an input.
            message: The message.
            now_s: The time in seconds, on the clock of the stamps.
            received_s: When it arrived; messages that waited come input by input, so this may go back.
        """
        self._follow_clock(now_s)
        arrived_s = min(received_s, now_s)  # later only where the clock was set back meanwhile
        for pilot in self._pilots():
            pilot.intake.receive(name, message, arrived_s)

    def receive_goal(self, values: ArrayLike) -> None:
        """Take in a goal; see `Intake.receive_goal`."""
        for pilot in self._pilots():
            pilot.intake.receive_goal(values)

    def close(self) -> None:
        """End what runs beside the ticks."""
        for pilot in self._pilots():
            pilot.chunks.close()

    def _pilots(self) -> tuple[Pilot, ...]:
        """Return the policy that acts and the one that waits to relieve it."""
        relief = self._relief  # which a tick may take away meanwhile
        return (self.pilot,) if relief is None else (self.pilot, relief[0])

    def start(self) -> None:
        """Begin anew, as at activation, with the goal of before; the first tick is due one period from now."""
        self.new_episode()
        self._ended = False
        self.pilot.guards.reset()
        self._statistics.reset()
        self._began = self._timer()
        self._bookkeeping_s = 0.0

    def stop(self) -> None:
        """End, as at deactivation: the robot is left as the robot file says for losses.

        From whatever thread; what ticks want is not commanded any more, until it is started again.
        """
        with self._sending:
            self._ended = True
            self._elapse()
            self.commander.stop()

    def lose(self) -> None:
        """Do what the robot file says for losses, from whatever thread, as where no tick begins when it should."""
        with self._sending:
            self._elapse()
            self.commander.lose()

    def _elapse(self) -> None:
        """Note how far the robot is on its last trajectory by now, which it follows whether anything ticks or not."""
        if self._trajectories:
            since_s = self._timer() - self._began + (self._period_s if self._running_since is None else 0.0)
            self.commander.elapse(self._ticked_s + since_s)

    def check_overdue(self) -> bool:
        """Tell whether a tick should have ended long ago; then do, at once, what the robot file says for losses.

        From whatever thread; what that tick wants is not commanded any more. A tick is overdue when it has run for
        longer than an inference may take, plus a period or 50 ms, whichever is longer.
        """
        tick, since = self.counters.ticks, self._running_since  # in this order: a tick may end in between
        limit_s = self.pilot.guards.limit_s + max(self._period_s, PATIENCE_S)
        if since is None or self._timer() - since <= limit_s:
            return False
        with self._sending:
            if self._barred != tick:
                self._barred = tick
                self.counters.hangs += 1
                self._elapse()
                self.commander.lose()
        return True

    def new_episode(self, since_s: float = -math.inf) -> None:
        """Stop, forget what was seen and which expert acted, but not the goal; the next command is limited afresh.

        Args:
            since_s: Since when, by the time of arrival: messages that still wait from before are of another episode.
        """
        self._forget(since_s)
        self.commander.restart()

    def _forget(self, since_s: float) -> None:
        """Stop, and forget what was seen before a time, and which expert acted."""
        with self._sending:
            self.commander.stop()
        for pilot in self._pilots():
            pilot.intake.reset(since_s)
        self.pilot.chunks.reset()
        self._expert = None
        self._seen_s = -math.inf

    def news(self) -> bool:
        """Whether every input brought something newer than what the last tick saw of all of them.

        Not sooner than half a period after that tick: the limits of a command's step are for one tick a period, so a
        sensor that floods must not make the robot faster.
        """
        return self.intake.newest_s() > self._seen_s and self._timer() - self._began >= 0.5 * self._period_s

    def rehearse(self, now_s: float) -> None:
        """Do what a tick at this time would do, but for what leaves the node, and forget it."""
        if self.intake.complete and not self.intake.stale(now_s):
            with suppress(VddError):  # the tick will meet it too
                window = self.intake.sample(now_s)
                action = self.pilot.chunks.rehearse(window, self.intake.goal)
                if action is not None and not self._trajectories:
                    self.commander.rehearse(action, window[-1])

    def tick(self, now_s: float, lateness_s: float) -> None:
        """Observe, act, command, and record how long that took.

        Args:
            now_s: The time in seconds, on the clock of the stamps.
            lateness_s: How long after its due time this tick began.
        """
        began = self._timer()
        period_s, self._began = began - self._began, began
        self.counters.ticks += 1
        self._running_since = began
        try:
            self._run(now_s, lateness_s, began, period_s)
        finally:
            self._running_since = None

    def _run(self, now_s: float, lateness_s: float, began: float, period_s: float) -> None:
        self._follow_clock(now_s)
        self._ticked_s = now_s
        if self._trajectories:
            self.commander.elapse(now_s)
        if self._relief is not None:
            self._let_relieve(*self._relief, now_s)
        observation = self._observe(now_s)
        if observation is None:
            return
        assembled = self._timer()
        try:
            step = self.pilot.chunks.next(observation, self.intake.goal)
        except VddError as error:
            self._fail(error)
            return
        inferred = self._timer()
        commanded = self._command(step, observation[-1], now_s, inferred - began)
        published = self._timer()

        record = self._record
        record["seq"] = self.counters.records
        record["stamp_s"] = now_s
        record["period_s"] = period_s
        record["lateness_s"] = lateness_s
        record["observation_age_s"] = self.intake.age_s(now_s)
        record["assemble_s"] = assembled - began
        record["inference_s"] = math.nan
        record["publish_s"] = published - inferred
        record["total_s"] = published - began
        record["bookkeeping_s"] = self._bookkeeping_s
        record["deadline_missed"] = missed = lateness_s + published - began > self._period_s
        record["commanded"] = commanded
        record["novelty"] = math.nan
        record["chunk_step"] = math.nan if step is None else step.place
        if step is not None and step.act is not None:
            self._note(step, step.act, record)
            record["inference_s"] = inferred - assembled if math.isnan(step.inference_s) else step.inference_s
        self._outputs.latency(record)
        self._statistics.add(record)
        self.counters.records += 1
        self.counters.deadline_misses += missed
        self._bookkeeping_s = self._timer() - published

    def _let_relieve(self, pilot: Pilot, relieved: Callable[[], None], now_s: float) -> None:
        """Let another policy take over if it has seen enough and has an answer for this tick."""
        if not pilot.intake.covers(now_s):
            return
        if pilot.chunks.prime(pilot.intake.sample(now_s), pilot.intake.goal):
            self.take_over(pilot)
            relieved()

    def take_over(self, pilot: Pilot) -> None:
        """Let another policy act from now on; between ticks only."""
        self._relief = None
        self.pilot.chunks.close()
        pilot.count_in(self.counters)
        pilot.intake.count_on_from(self.intake)
        self._outputs.expect_decisions(pilot.decision.labels, experts=pilot.policy.spec.is_mixture)
        self.commander.relieve(pilot.channel, pilot.following)
        self.pilot = pilot
        self._expert = None

    def _follow_clock(self, now_s: float) -> None:
        """Begin anew where the clock was set back: what was seen has stamps that the clock will reach only later."""
        if now_s < self._now_s - self._period_s:
            self._now_s = now_s
            self.counters.clock_jumps += 1
            self._forget(-math.inf)
            self.commander.begin_anew()
        self._now_s = max(now_s, self._now_s)

    def _fail(self, error: VddError) -> None:
        """End commanding, because the policy cannot act."""
        self.pilot.guards.fault = str(error)
        with self._sending:
            self.commander.lose()
        self.pilot.chunks.drop()

    def _command(self, step: Step | None, newest: NDArray[np.float32], now_s: float, took_s: float) -> bool:
        """Command what a step wants, if the guards let it; return whether it was sent."""
        with self._sending:
            if self._may(step, took_s) and step is not None:
                return self._send(step, newest, now_s)
            self.commander.lose()
        if step is not None:
            self.pilot.chunks.drop()
        return False

    def _may(self, step: Step | None, took_s: float) -> bool:
        """Whether what a step wants may be commanded."""
        if step is None:
            if self.pilot.chunks.starting:
                self.counters.waiting += 1
            else:
                self.counters.overruns += 1
            return False
        guards, follows = self.pilot.guards, self._trajectories and step.act is None
        in_time = follows or guards.in_time(took_s)
        known = step.act is None or guards.knows(step.act.novelty)
        return in_time and known and not (guards.fault or self._ended or self._barred == self.counters.ticks)

    def _send(self, step: Step, newest: NDArray[np.float32], now_s: float) -> bool:
        if not self._trajectories:
            return self.commander.command(step.actions[0], newest, now_s)
        if step.act is None:
            self.commander.follow_up(newest, now_s)
            return False
        return self.commander.trajectory(step.actions, newest, now_s)

    def _note(self, step: Step, act: Act, record: LatencyRecord) -> None:
        """Record the answer of the policy."""
        self.counters.decisions += 1
        self.pilot.guards.check_limits(step.actions)
        if self._decisions and step.window is not None:
            decision = self.pilot.decision
            decision.fill(self.counters.records, record["stamp_s"], act, step.actions[0], step.window, step.goal)
            self._outputs.decision(decision)
        if act.novelty is not None:
            record["novelty"] = act.novelty
        if act.expert is not None:
            self._outputs.expert(act.expert)
            self.counters.expert_switches += self._expert not in (None, act.expert)
            self._expert = act.expert

    def _observe(self, now_s: float) -> NDArray[np.float32] | None:
        """Return the observation history, or None where an input or the goal was not seen, or is not to be trusted."""
        if not self.intake.complete or (self._whole_window and not self.intake.covers(now_s)):
            self.counters.waiting += 1
            return None
        if self.intake.stale(now_s):
            self.counters.stale += 1
            self._lose_sight()
            return None
        if self.intake.doubted(now_s, starting=self.commander.starting):
            self.counters.contradicted += 1
            self._lose_sight()
            return None
        self._seen_s = self.intake.newest_s()
        return self.intake.sample(now_s)

    def _lose_sight(self) -> None:
        """End commanding, because what is seen is not to be trusted."""
        with self._sending:
            self.commander.lose()
        self.pilot.chunks.drop()
