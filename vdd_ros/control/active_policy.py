"""Everything that depends on the policy file; a hot swap replaces all of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.control.chunks import Chunks
from vdd_ros.control.commander import Commander
from vdd_ros.control.committed import Committed
from vdd_ros.control.counters import Counters
from vdd_ros.control.decision import DecisionRecord
from vdd_ros.control.following import Following
from vdd_ros.control.guards import Guards, GuardSettings
from vdd_ros.control.observer import Formats, Observer
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.transforms import TransformBuffer


@dataclass(frozen=True)
class ActivePolicy:
    """A policy with its observer, its chunking and its guards.

    Attributes:
        policy: The policy.
        observer: Assembles its observations.
        chunks: Runs it and executes its chunks.
        guards: Judges its actions.
        channel: Turns its actions into commands.
        following: Judges whether the robot follows the commands.
        decision: Its newest decision.
        committed: What is executed until a requested chunk arrives; None if the policy is not told.
    """

    policy: OnnxPolicy
    observer: Observer
    chunks: Chunks
    guards: Guards
    channel: CommandChannel
    following: Following
    decision: DecisionRecord
    committed: Committed | None = None

    @classmethod
    def of(
        cls,
        policy: OnnxPolicy,
        robot: RobotFile,
        *,
        period_s: float,
        guards: GuardSettings = GuardSettings(),  # noqa: B008 - it is frozen
        action_steps: int = 1,
        prefetch_ticks: int = 0,
        formats: Formats | None = None,
        transforms: TransformBuffer | None = None,
    ) -> "ActivePolicy":
        """Assemble the parts.

        Args:
            policy: The policy.
            robot: The robot file.
            period_s: Time between ticks.
            guards: How to handle untrusted actions.
            action_steps: See `Chunks`.
            prefetch_ticks: See `Chunks`.
            formats: See `Observer`.
            transforms: See `Observer`; policies that follow one another share them.

        Raises:
            RobotFileError: The robot file does not fit the policy.
            ConfigurationError: The policy does not support the requested settings.
        """
        spec = policy.spec
        robot.check(spec.observation, spec.action)
        robot = robot.limited(spec.action, period_s, spec.demonstrated_steps)
        policy.executes(action_steps)
        counters = Counters()
        observer = Observer(spec, robot, counters, period_s, formats, transforms)
        channel = CommandChannel(robot.commands, spec.vector, spec.action)
        return cls(
            policy,
            observer,
            Chunks(policy, action_steps=action_steps, prefetch_ticks=prefetch_ticks),
            Guards(guards, spec, period_s, counters),
            channel,
            Following(
                channel, observer.columns, observer.stamps_s, period_s=period_s, timeout_s=guards.follow_timeout_s
            ),
            DecisionRecord(spec),
            Committed(channel, spec, prefetch_ticks) if spec.takes_prefix and prefetch_ticks else None,
        )

    def ask_ahead(
        self,
        window: NDArray[np.float32],
        newest: NDArray[np.float32],
        commander: Commander,
        *,
        trajectories: bool,
    ) -> None:
        """Request the next chunk if it is time; call once per tick, after its command.

        A policy with a prefix is told what is executed until the chunk arrives, if that is known.

        Args:
            window: (history, obs_dim) the observation window of this tick.
            newest: (obs_dim,) its newest row.
            commander: Has commanded this tick's action.
            trajectories: Whether it sends whole chunks.
        """
        if self.committed is not None:
            self.committed.note(starting=commander.starting)
        if not self.chunks.due:
            return
        known = None
        if self.committed is not None:
            known = self.committed.actions(self.chunks.executing, newest, commander, trajectories=trajectories)
        self.chunks.request(window, self.observer.goal, self.observer.arrays, known)

    def count_in(self, counters: Counters) -> None:
        """Use these counters from now on."""
        self.observer.counters = self.guards.counters = counters
