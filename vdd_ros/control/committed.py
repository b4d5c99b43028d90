"""What the robot executes until a prefetched chunk arrives, as the first actions of that chunk."""

import math

import numpy as np
from numpy.typing import NDArray

from vdd_ros.control.commander import Commander
from vdd_ros.control.limits import CommandLimits
from vdd_ros.control.rotation_limits import RotationLimit
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.robot.binding import bind
from vdd_ros.robot.command_channel import CommandChannel, Floats
from vdd_ros.robot.quantities import turn
from vdd_ros.robot.rotations import angle_between

_SAME_ANGLE = 1e-3
"""Angle in rad between a wanted and a commanded orientation that is attributed to rounding."""


class Committed:
    """Converts commands to the actions that a policy is told as its prefix.

    This tick's command is known, after all limits; those of the next ticks are what the same limits make of the planned
    actions, as if each command before had been obeyed. Where the actions are not known, the prefix ends: at an action
    that would be refused, and at an orientation that a limit has turned. There is none after a first command, which may
    begin anywhere, and none for trajectories of numbers that depend on the last command or on an observation.

    Args:
        channel: The commands.
        spec: Metadata of the policy.
        steps: Largest number of actions.
    """

    def __init__(self, channel: CommandChannel, spec: PolicySpec, steps: int) -> None:
        entries = channel.entries
        self._channel = channel
        self._action, self._factor = bind([(entry.action, entry.unit) for entry in entries], spec.action)
        self._learned = np.flatnonzero([entry.action is not None for entry in entries])
        self._base, self._base_factor = bind([(entry.reference, entry.unit) for entry in entries], spec.vector)
        self._follows = np.array([float(entry.follows_last) for entry in entries])
        self._carries = np.maximum(channel.relative, self._follows)
        self._turns = [
            (int(column), turn(entry.unit) / factor)
            for entry, column, factor in zip(entries, self._action, self._factor, strict=True)
            if entry.wraps and entry.action is not None
        ]
        rotations = [RotationLimit(one.rotation, one.place.start) for one in channel.rotations]
        self._limits = CommandLimits(channel.low, channel.high, channel.max_step, rotations=rotations)
        self._absolute = not self._carries.any() and not rotations
        self._points = np.zeros((steps, len(entries)))
        self._actions = np.zeros((steps, len(spec.action)))
        self._origin = np.zeros(len(entries))
        self._is_first = self._was_starting = True

    def note(self, *, starting: bool) -> None:
        """Note, once per tick after its command, whether the next command is a first one."""
        self._is_first, self._was_starting = self._was_starting, starting

    def actions(
        self, planned: NDArray[np.float32], newest: NDArray[np.float32], commander: Commander, *, trajectories: bool
    ) -> Floats | None:
        """Return the actions from this tick on, (k, act_dim) with k from 1 to m, or None if they are not known.

        Args:
            planned: (m, act_dim) this tick's action, which has been commanded, and the next ones.
            newest: (obs_dim,) the observation of this tick.
            commander: Has commanded it.
            trajectories: Whether the commander sends whole chunks.
        """
        if self._is_first or self._was_starting or (trajectories and not self._absolute):
            return None
        points, actions, before = self._points, self._actions[: len(planned)], self._origin
        actions[:] = planned
        count = self._sent(len(planned), commander) if trajectories else self._expected(planned, commander)
        before[:] = commander.limits.origin
        carried = newest[self._base] * self._base_factor + before * self._follows
        for row in range(count):
            if self._is_turned(planned[row], before, points[row]):
                return actions[:row] if row else None
            steps = (points[row] - carried)[self._learned] / self._factor[self._learned]
            actions[row, self._action[self._learned]] = steps
            for column, full in self._turns:
                wanted = float(planned[row, column])
                actions[row, column] = wanted + math.remainder(actions[row, column] - wanted, full)
            before = points[row]
            carried = before * self._carries
        return actions[:count]

    def _sent(self, steps: int, commander: Commander) -> int:
        """Take the points of the trajectory under way, the one of this tick first; return their number."""
        way = commander.way
        self._points[0] = way.passed
        count = min(steps, 1 + len(way.planned))
        self._points[1:count] = way.planned[: count - 1]
        return count

    def _expected(self, planned: NDArray[np.float32], commander: Commander) -> int:
        """Take this tick's command, and those that will follow it; return their number."""
        points = self._points
        points[0] = commander.limits.bounded
        self._limits.follow(commander.limits.bounded)
        for row in range(1, len(planned)):
            self._channel.from_action_after(planned[row], points[row - 1], points[row])
            if not self._limits.apply(points[row]):
                return row
        return len(planned)

    def _is_turned(self, planned: NDArray[np.float32], before: Floats, command: Floats) -> bool:
        """Whether an orientation of a command is not the planned one, from the command before."""
        return any(
            angle_between(one.wanted(planned.tolist(), before[one.place].tolist()), one.quaternion(command))
            > _SAME_ANGLE
            for one in self._channel.rotations
        )
