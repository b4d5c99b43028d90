"""What the policy node does at every tick, without rclpy: messages and times come in, commands and records go out."""

import math
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vdd_ros.policy.chunks import Chunks, Step
from vdd_ros.policy.commander import Commander, Sender
from vdd_ros.policy.counters import Counters
from vdd_ros.policy.guards import Guards, GuardSettings
from vdd_ros.policy.intake import Intake
from vdd_ros.policy.onnx_policy import Act, OnnxPolicy
from vdd_ros.policy.robot import RobotFile
from vdd_ros.policy.robot_messages import CommandChannel
from vdd_ros.policy.timing import LatencyRecord, LatencyStatistics


class Outputs(Sender, Protocol):
    """Where the loop's results go; called within the tick, so implementations allocate as little as they can."""

    def latency(self, record: LatencyRecord) -> None:
        """Send the record of a tick."""
        ...

    def expert(self, expert: int) -> None:
        """Send the number of the expert that acted."""
        ...


class PolicyLoop:
    """One policy on one robot.

    Args:
        policy: The policy.
        robot: The robot file, checked against the policy.
        outputs: Where commands and records go.
        statistics: Percentiles of the records.
        period_s: Time between ticks.
        control: False for shadow mode: everything runs and nothing is commanded.
        guards: What is done about answers that are not to be trusted.
        chunks: Executes the policy's chunks; by default one action of each.
        trajectories: Whether a chunk goes out whole, as one message, rather than an action each tick.
        timer: What durations are measured with, in seconds.

    Attributes:
        intake: What the policy sees; give it messages and goals.
        commander: What becomes of its actions.
        chunks: What asks the policy.
        guards: Whether an action may be commanded at all.
        counters: What happened so far.
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
        guards: GuardSettings = GuardSettings(),  # noqa: B008 - it is frozen
        chunks: Chunks | None = None,
        trajectories: bool = False,
        timer: Callable[[], float] = perf_counter,
    ) -> None:
        spec = policy.spec
        self.counters = Counters()
        self.intake = Intake(spec, robot, self.counters)
        channel = CommandChannel(robot.command, spec.observation, spec.action)
        sender = outputs if control else None
        self.commander = Commander(channel, self.counters, sender, first_action=guards.first_action)
        self.guards = Guards(guards, spec, period_s, self.counters)
        self.chunks = chunks or Chunks(policy)
        self._trajectories = trajectories
        self._outputs = outputs
        self._statistics = statistics
        self._period_s = period_s
        self._timer = timer
        self._record = LatencyRecord()
        self._expert: int | None = None
        self.start()

    def start(self) -> None:
        """Begin anew, as at activation, with the goal of before; the first tick is due one period from now."""
        self.new_episode()
        self.guards.reset()
        self._statistics.reset()
        self._began = self._timer()
        self._bookkeeping_s = 0.0

    def stop(self) -> None:
        """End, as at deactivation; a robot that obeys velocities is told to stand still."""
        self.commander.stop()

    def new_episode(self) -> None:
        """Stop, forget what was seen and which expert acted, but not the goal; the next command is limited afresh."""
        self.stop()
        self.intake.reset()
        self.chunks.reset()
        self._expert = None
        self.commander.restart()

    def rehearse(self, now_s: float) -> None:
        """Assemble and infer as a tick at this time would, and forget it."""
        if self.intake.complete and not self.intake.stale(now_s):
            self.chunks.rehearse(self.intake.sample(now_s), self.intake.goal)

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
        step = self.chunks.next(observation, self.intake.goal)
        inferred = self._timer()
        commanded = self._command(step, observation[-1], inferred - assembled)
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
            self._note(step.act, record)
            record["inference_s"] = inferred - assembled if math.isnan(step.inference_s) else step.inference_s
        self._outputs.latency(record)
        self._statistics.add(record)
        self.counters.records += 1
        self.counters.deadline_misses += missed
        self._bookkeeping_s = self._timer() - published

    def _command(self, step: Step | None, newest: NDArray[np.float32], waited_s: float) -> bool:
        """Command what a step wants, if the guards let it; return whether it was sent."""
        if step is None:
            self.counters.overruns += 1
        elif step.act is None or self.guards.passes(waited_s, step.act.novelty):
            if not self._trajectories:
                return self.commander.command(step.actions[0], newest)
            if step.act is None:
                return False
            return self.commander.trajectory(step.actions, newest, self.chunks.action_steps)
        else:
            self.chunks.drop()
        self.commander.lose()
        return False

    def _note(self, act: Act, record: LatencyRecord) -> None:
        """Record the answer of the policy."""
        if act.novelty is not None:
            record["novelty"] = act.novelty
        if act.expert is not None:
            self._outputs.expert(act.expert)
            self.counters.expert_switches += self._expert not in (None, act.expert)
            self._expert = act.expert

    def _observe(self, now_s: float) -> NDArray[np.float32] | None:
        """Return the observation history, or None where an input or the goal was not seen or an input is stale."""
        if not self.intake.complete:
            self.counters.waiting += 1
            return None
        if self.intake.stale(now_s):
            self.counters.stale += 1
            self.chunks.drop()
            self.commander.lose()
            return None
        return self.intake.sample(now_s)
