"""What the policy node does at every tick, without rclpy: messages and times come in, commands and records go out."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vdd_ros.errors import ObservationError
from vdd_ros.policy.history import ObservationHistory, usable
from vdd_ros.policy.limits import CommandLimits
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.robot import RobotFile
from vdd_ros.policy.robot_messages import CommandChannel, Floats, InputChannel, stamp_ns
from vdd_ros.policy.timing import LatencyRecord, LatencyStatistics

GOAL = "~/goal"
"""The topic of goals."""


class Outputs(Protocol):
    """Where the loop's results go; called within the tick, so implementations allocate as little as they can."""

    def command(self, values: Floats) -> None:
        """Send a command, (n,) in the units of the robot file."""
        ...

    def latency(self, record: LatencyRecord) -> None:
        """Send the record of a tick."""
        ...

    def expert(self, expert: int) -> None:
        """Send the number of the expert that acted."""
        ...


@dataclass
class Counters:
    """What happened since the loop was made."""

    ticks: int = 0
    waiting: int = 0
    """Ticks before every input and, where the policy takes one, a goal was seen."""
    stale: int = 0
    """Ticks with an input older than its `max_age_s`."""
    records: int = 0
    commands: int = 0
    deadline_misses: int = 0
    refused_messages: int = 0
    goals: int = 0
    refused_goals: int = 0


class PolicyLoop:
    """One policy on one robot.

    Args:
        policy: The policy.
        robot: The robot file, checked against the policy.
        outputs: Where commands and records go.
        statistics: Percentiles of the records.
        period_s: Time between ticks.
        control: False for shadow mode: everything runs and nothing is commanded.
        timer: What durations are measured with, in seconds.

    Attributes:
        inputs: The channels of the robot file's inputs; give their messages to `receive`.
        channel: The channel of the command.
        counters: What happened so far.
        limits: What bounds the commands, with counters of its own.
        last_refusal: Why the newest refused message or goal was refused.
    """

    def __init__(
        self,
        policy: OnnxPolicy,
        robot: RobotFile,
        outputs: Outputs,
        statistics: LatencyStatistics,
        *,
        period_s: float,
        control: bool,
        timer: Callable[[], float] = perf_counter,
    ) -> None:
        spec = policy.spec
        self.inputs = [InputChannel(source, spec.observation) for source in robot.inputs]
        self.channel = CommandChannel(robot.command, spec.observation, spec.action)
        self.limits = CommandLimits(self.channel.low, self.channel.high, self.channel.max_step)
        self.counters = Counters()
        self.last_refusal = ""
        self._policy = policy
        self._goal_shape = (spec.goal_length, spec.obs_dim)
        self._goal: NDArray[np.float32] | None = None
        self._outputs = outputs
        self._statistics = statistics
        self._period_s = period_s
        self._control = control
        self._timer = timer
        columns = {channel.source.name: channel.columns.tolist() for channel in self.inputs}
        self._history = ObservationHistory(columns, history=spec.history, period_s=spec.period_s)
        self._received = {channel.source.name: np.empty(len(channel.columns)) for channel in self.inputs}
        self._record = LatencyRecord()
        self._command = np.zeros(len(self.channel.low))
        self._command_before = np.zeros_like(self._command)
        self._step_start = np.zeros_like(self._command)
        self._commanding = False
        self.start()

    def start(self) -> None:
        """Begin anew, as at activation, with the goal of before; the first tick is due one period from now."""
        self.new_episode()
        self._statistics.reset()
        self._began = self._timer()
        self._bookkeeping_s = 0.0

    def stop(self) -> None:
        """End, as at deactivation; a robot that obeys velocities is told to stand still."""
        self._lose()
        self._commanding = False

    def new_episode(self) -> None:
        """Stop, forget what was seen and which expert acted, but not the goal; the next command is limited afresh."""
        self.stop()
        self._history.reset()
        self._policy.reset()
        self.limits.restart()

    def receive(self, channel: InputChannel, message: Any, now_s: float) -> None:
        """Take in a message of an input.

        Args:
            channel: One of `inputs`.
            message: The message; its stamp says what time its values are of, without one that is `now_s`.
            now_s: The time in seconds, on the clock of the stamps.
        """
        source, values = channel.source, self._received[channel.source.name]
        stamp = stamp_ns(message)
        stamp_s = now_s if stamp is None else stamp * 1e-9
        try:
            channel.read(message, values)
        except ObservationError as error:
            self._refuse(f"{source.name}: {error}")
            return
        if abs(stamp_s - now_s) > source.max_age_s:
            self._refuse(
                f"{source.name}: arrived with a stamp {now_s - stamp_s:.3f} s old; are the clocks synchronised?"
            )
        elif not self._history.push(source.name, stamp_s, values):
            why = "stamp not newer than the last one" if usable(values) else "value not finite in single precision"
            self._refuse(f"{source.name}: {why}")

    def receive_goal(self, values: ArrayLike) -> None:
        """Take in a goal, which holds until the next one.

        Args:
            values: (goal_length * obs_dim,) in the policy's units: observation after observation, oldest first.
        """
        given = np.asarray(values, np.float64)
        if given.shape != (math.prod(self._goal_shape),):
            self.last_refusal = f"{GOAL}: {given.size} numbers; it must be {self._goal_shape} in one row"
        elif not usable(given):
            self.last_refusal = f"{GOAL}: value not finite in single precision"
        else:
            self._goal = given.astype(np.float32).reshape(self._goal_shape)
            self.counters.goals += 1
            return
        self.counters.refused_goals += 1

    def missing(self) -> tuple[str, ...]:
        """Return the inputs, and the goal, that were not seen yet."""
        return self._history.missing() + ((GOAL,) if self._waits_for_goal() else ())

    def stale(self, now_s: float) -> list[str]:
        """Return the inputs that are older than they may be."""
        return [
            channel.source.name
            for channel in self.inputs
            if self._history.age_s(channel.source.name, now_s) > channel.source.max_age_s
        ]

    def age_s(self, now_s: float) -> float:
        """Return the age of the input that is oldest; infinite where one was not seen."""
        return max(self._history.age_s(channel.source.name, now_s) for channel in self.inputs)

    def rehearse(self, now_s: float) -> None:
        """Assemble and infer as a tick at this time would, and forget it."""
        if self._complete() and not self.stale(now_s):
            self._policy.rehearse(self._history.sample(now_s), self._goal)

    def tick(self, now_s: float, lateness_s: float) -> None:
        """Observe, act, command, and record how long that took.

        Args:
            now_s: The time in seconds, on the clock of the stamps.
            lateness_s: How long after its due time this tick began.
        """
        began = self._timer()
        period_s, self._began = began - self._began, began
        self.counters.ticks += 1
        observation = self._observe(now_s)
        if observation is None:
            return
        assembled = self._timer()
        act = self._policy.act(observation, self._goal)
        inferred = self._timer()
        commanded = self._send(act.action[0], observation[-1])
        published = self._timer()

        record = self._record
        record["seq"] = self.counters.records
        record["stamp_s"] = now_s
        record["period_s"] = period_s
        record["lateness_s"] = lateness_s
        record["observation_age_s"] = self.age_s(now_s)
        record["assemble_s"] = assembled - began
        record["inference_s"] = inferred - assembled
        record["publish_s"] = published - inferred
        record["total_s"] = published - began
        record["bookkeeping_s"] = self._bookkeeping_s
        record["deadline_missed"] = missed = lateness_s + published - began > self._period_s
        record["commanded"] = commanded
        self._outputs.latency(record)
        if act.expert is not None:
            self._outputs.expert(act.expert)
        self._statistics.add(record)
        self.counters.records += 1
        self.counters.deadline_misses += missed
        self._bookkeeping_s = self._timer() - published

    def _observe(self, now_s: float) -> NDArray[np.float32] | None:
        """Return the observation history, or None where an input or the goal was not seen or an input is stale."""
        if not self._complete():
            self.counters.waiting += 1
            return None
        if self.stale(now_s):
            self.counters.stale += 1
            self._lose()
            return None
        return self._history.sample(now_s)

    def _send(self, action: NDArray[np.float32], newest: NDArray[np.float32]) -> bool:
        """Bound the command and, unless in shadow mode, send it; return whether it was sent."""
        relative = self.channel.relative
        if relative.all() or (self._commanding and relative.any()):
            self.channel.reference(newest, self._step_start)
            np.copyto(self._step_start, self._command_before, where=~relative)
            self.limits.restart(self._step_start)
        self.channel.from_action(action, newest, self._command)
        if not self.limits.apply(self._command):
            self._lose()
            return False
        self._command_before[:] = self._command
        self._commanding = True
        if self._control:
            self._outputs.command(self._command)
            self.counters.commands += 1
        return self._control

    def _lose(self) -> None:
        """Do what the robot file wants when there is nothing to command."""
        if self._commanding and self.channel.command.on_loss == "zero":
            self._command_before.fill(0.0)
            self.limits.restart(self._command_before)
            if self._control:
                self._outputs.command(self._command_before)

    def _complete(self) -> bool:
        return self._history.complete and not self._waits_for_goal()

    def _waits_for_goal(self) -> bool:
        return self._goal is None and self._goal_shape[0] > 0

    def _refuse(self, reason: str) -> None:
        self.counters.refused_messages += 1
        self.last_refusal = reason
