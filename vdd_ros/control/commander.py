"""From actions to commands: offsets, limits, refusals and the fail-safe."""

import math

import numpy as np
from numpy.typing import NDArray

from vdd_ros.control.counters import Counters
from vdd_ros.control.following import Following, turns
from vdd_ros.control.limits import CommandLimits
from vdd_ros.control.rotation_limits import RotationLimit
from vdd_ros.control.sender import FailSafe, Sender
from vdd_ros.control.stale_trajectory import StaleTrajectory
from vdd_ros.control.trajectory import Trajectory
from vdd_ros.errors import ConfigurationError
from vdd_ros.robot.command_channel import CommandChannel

FIRST_ACTIONS = ("ramp", "refuse", "free")


class Commander:
    """Turns actions into commands that are safe to send: all commands of a tick, or none.

    The first command is the one at the start and after every fail-safe, since the robot may have been moved. If an
    observation entry measures a number of the command, `ramp` starts from there, in steps of at most `max_step`;
    `refuse` sends nothing until the command is within `first_step` of it; `free` sends the first command as it is. The
    first command of another policy obeys the same rule; a refusal enters the fail-safe.

    Commands wait for a robot that does not follow. After `follow_timeout_s` the fail-safe holds until the next
    `restart`, or until a frozen input changes.

    Args:
        channel: The commands of the robot file.
        following: Judges whether the robot follows; unused in shadow mode, where other nodes command it.
        counters: Where commands, refusals and fail-safes are counted.
        sender: Where commands go; None in shadow mode, which computes everything and sends nothing.
        period_s: Time between the points of a trajectory.
        first_action: One of `FIRST_ACTIONS`.

    Attributes:
        channel: The same.
        limits: Bounds the commands and counts.
        following: The same.
        blocked: Why nothing is commanded although the policy acts; empty if not blocked.
        obstacle: Why commands would not arrive, such as an action without server; empty if they do. Set from any
            thread; nothing is commanded meanwhile.
        way: The trajectory under way.
        stale: The rest of a trajectory whose episode has ended.

    Raises:
        ConfigurationError: `first_action` is unknown, or it is `refuse` and a number is not measured.
    """

    def __init__(
        self,
        channel: CommandChannel,
        following: Following,
        counters: Counters,
        sender: Sender | None,
        *,
        period_s: float,
        first_action: str = "ramp",
    ) -> None:
        if first_action not in FIRST_ACTIONS:
            raise ConfigurationError(f"first_action is {first_action!r}; use one of {', '.join(FIRST_ACTIONS)}.")
        unmeasured = [label for label, known in zip(channel.labels, channel.measured, strict=True) if not known]
        if first_action == "refuse" and unmeasured:
            raise ConfigurationError(
                f"first_action is 'refuse', but there is no measurement of {', '.join(unmeasured)}: name the "
                "observation entry with `measured` in the robot file, or use 'ramp'."
            )
        self.channel = channel
        self.following = following
        self.blocked = self.obstacle = ""
        self._awaited: str | None = None
        self._watches = sender is not None and following.watches
        rotations = [RotationLimit(one.rotation, one.place.start) for one in channel.rotations]
        self.limits = CommandLimits(
            channel.low, channel.high, channel.max_step, following.max_error, turns(channel.entries), rotations
        )
        self._first_action = first_action
        self._counters = counters
        self._sender = sender
        self._failsafe = None if sender is None else FailSafe(channel, sender)
        self._all = tuple(range(len(channel.parts)))
        self._single = tuple(i for i in self._all if not channel.parts[i].command.takes_chunks)
        self._dry_limits = CommandLimits(channel.low, channel.high, channel.max_step, rotations=rotations)
        self._takes_steps = [not part.command.takes_chunks for part in channel.parts for _ in part.command.entries]
        self._step_limits = CommandLimits(channel.low, channel.high, self._steps_of(channel), rotations=rotations)
        self._command = np.zeros(len(channel.low))
        self._dry_command = np.zeros_like(self._command)
        self._before = np.zeros_like(self._command)
        self._measured = np.zeros_like(self._command)
        self.way = Trajectory(len(self._command), period_s)
        self._first, self._first_of_another, self._engaged = True, False, False
        self.stale = StaleTrajectory()

    @property
    def starting(self) -> bool:
        """Whether the next command is a first one."""
        return self._first

    def hand_over(self, channel: CommandChannel, following: Following) -> None:
        """Switch to another policy's actions and limits; the limits continue from the last command."""
        for limits in (self.limits, self._dry_limits):
            limits.replace(channel.low, channel.high, channel.max_step, following.max_error)
        self._step_limits.replace(channel.low, channel.high, self._steps_of(channel), [math.inf] * len(channel.low))
        self.channel = channel
        following.go_on_from(self.following)
        self.following = following
        self._first_of_another = self._first_action == "refuse"

    def begin_anew(self) -> None:
        """Treat the next command as a first one; a block stays until `restart`."""
        self._first = True
        self.following.pause()

    def restart(self) -> None:
        """Treat the next command as a first one, as at the start of an episode."""
        self._first = True
        self.blocked, self._awaited = "", None
        self.following.restart()

    def obstruct(self, reason: str) -> None:
        """Command nothing while there is a reason, from any thread; continue once it is empty."""
        self.obstacle = reason

    def command(self, action: NDArray[np.float32], newest: NDArray[np.float32], now_s: float) -> bool:
        """Bound and send the command for an action (act_dim,) at an observation (obs_dim,); return whether it was sent.

        A non-finite action is refused and enters the fail-safe, as does a robot that does not follow.
        """
        if not self._bound(action, newest, now_s):
            return False
        if self._sender is None:
            return False
        self._sender.command(self._command, self._all)
        self._counters.commands += 1
        return True

    def elapse(self, now_s: float, *, in_tick: bool = True) -> None:
        """Advance the last trajectory to this time, of a tick or not: the robot keeps moving even if ticks are lost."""
        self.way.elapse(now_s, in_tick=in_tick)

    def follow_up(self, newest: NDArray[np.float32], now_s: float) -> bool:
        """Mark this tick's point as under way, and send it to the commands without chunks; return whether it was sent.

        Those get one step at a time, even if ticks were lost. The trajectory ends if the robot does not follow it.
        """
        if self.obstacle:
            self._counters.obstructed += 1
            self.enter_failsafe()
            return False
        if self._watches and not self._first:
            self._watch_point(newest.tolist(), now_s)
        point = self.way.step()
        if not self._single or point is None or self._sender is None:
            return False
        if not self._step_limits.apply(point):
            self.enter_failsafe()
            return False
        self._sender.command(point, self._single)
        self._counters.commands += 1
        return True

    def _steps_of(self, channel: CommandChannel) -> NDArray[np.float64]:
        """Return the largest steps of the numbers, infinite where a command takes chunks."""
        return np.where(self._takes_steps, channel.max_step, math.inf)

    def _reached(self) -> list[float]:
        """Return the present set points: on the trajectory, or the last ones sent."""
        sent = self._step_limits.bounded
        return [s if steps else p for s, p, steps in zip(sent, self.way.passed, self._takes_steps, strict=True)]

    def dry_run(self, action: NDArray[np.float32], newest: NDArray[np.float32]) -> None:
        """Dry-run `command`: send nothing, count nothing, keep no state."""
        seen = newest.tolist()
        values = self.channel.wanted(action.tolist(), seen, self.limits.bounded)
        self._dry_limits.follow(self.channel.origin(seen, self.limits.bounded))
        self._dry_limits.bound(values)
        self._dry_command[:] = values
        if self._sender is not None:
            self._sender.dry_run(self._dry_command)

    def trajectory(self, actions: NDArray[np.float32], newest: NDArray[np.float32], now_s: float) -> bool:
        """As `command`, for actions (m, act_dim), each one a period after the one before it, in one message.

        Each is bounded as if the previous one had been obeyed. A non-finite action ends the trajectory before it.
        Following is checked when a point is due.

        Args:
            actions: This tick's action and those after it.
            newest: (obs_dim,) observation of this tick.
            now_s: The time in seconds, on the clock of the stamps.
        """
        if len(self.way.points):
            self.limits.follow(self._reached())
        if not self._bound(actions[0], newest, now_s):
            return False
        points = np.empty((len(actions), len(self._command)))
        points[0] = self._command
        count = 1
        for action in actions[1:]:
            self.channel.from_action_after(action, points[count - 1], points[count])
            if not self.limits.apply(points[count]):
                break
            count += 1
        self.way.begin(points[:count], now_s)
        self._step_limits.follow(self.way.passed)
        if self._sender is None:
            return False
        self._sender.trajectory(points[:count], self._all)
        self._counters.commands += 1
        return True

    def _bound(self, action: NDArray[np.float32], newest: NDArray[np.float32], now_s: float) -> bool:
        """Write the command for an action into `_command`; return False if it is refused."""
        if self.obstacle or (self.blocked and not self._let_go(newest)):
            self._counters.obstructed += bool(self.obstacle)
            self.enter_failsafe()
            return False
        seen = newest.tolist()
        before = self.channel.measurements(seen) if self._first else self.limits.bounded
        values = self.channel.wanted(action.tolist(), seen, before, first=self._first)
        if self._first or self._first_of_another:
            self._command[:] = values
        if self._first:
            if not self._start(newest):
                self._counters.first_refused += 1
                return False
        else:
            if self._first_of_another and not self._is_near(newest):
                self._counters.first_refused += 1
                self.enter_failsafe()
                return False
            if self.channel.any_relative:
                self.limits.follow(self.channel.origin(seen, self.limits.bounded))
        if not self.limits.bound(values, self.channel.measurements(seen) if self._watches else None):
            self.enter_failsafe()
            return False
        if self._watches and (why := self.following.look(now_s, seen, values, self.limits.origin, self.limits.waits)):
            self._give_up(why)
            return False
        self._command[:] = values
        if self._first and self._sender is not None:
            self._sender.cancel_request()
        self._first, self._first_of_another, self._engaged = False, False, True
        return True

    def enter_failsafe(self) -> None:
        """Apply each command's `on_loss`; zeros are sent again at each call.

        A trajectory in progress is cut off: the robot only gets the point that is due now.
        """
        if not self._engaged:
            return
        if not self._first:
            self._counters.failsafes += 1
            if self._failsafe is not None:
                self._failsafe.begin(self.way.planned[0] if len(self.way.planned) else None)
            self.following.pause()
        self._first = True
        self.way.drop()
        if self._failsafe is not None:
            self._failsafe.repeat()

    def stop(self, *, moved: bool = False, homing: bool = False) -> None:
        """End, as at deactivation; a velocity-controlled robot gets zeros.

        Args:
            homing: Another node may move the robot, so `on_loss` is applied even after a fail-safe.
            moved: The robot may have been moved, as at an episode's start. The point that replaces the rest of a
                trajectory then waits for the robot's position, see `cancel_trajectory`.
        """
        if moved and len(self.way.planned) and self._failsafe is not None and self.channel.measured.any():
            if self._failsafe.cut:
                self.stale.keep(self.way.rest())
                self.way.drop()
        elif not moved:
            self.cut_stale_trajectory()
        self.enter_failsafe()
        if homing and self._failsafe is not None:
            self._failsafe.begin(None)
        self._first, self._engaged = True, False

    def cut_stale_trajectory(self) -> None:
        """Replace the rest of an ended episode's trajectory by its due point, since no observation will be awaited."""
        due = self.stale.due(self.way.now_s, in_tick=False)
        if due is not None and self._sender is not None and self._failsafe is not None:
            self._sender.trajectory(due[None], self._failsafe.cut)

    def cancel_trajectory(self, newest: NDArray[np.float32], now_s: float) -> None:
        """Replace the rest of an ended episode's trajectory by the robot's position; see `StaleTrajectory.take`."""
        place = self.stale.take(self.channel, newest, now_s)
        if place is not None and self._sender is not None and self._failsafe is not None:
            self._sender.trajectory(place, self._failsafe.cut)

    def _watch_point(self, seen: list[float], now_s: float) -> None:
        """Check that the robot is near the point that is due; otherwise send the point nearest to it and stop."""
        limits, way = self.limits, self.way
        due = way.passed
        if len(way.planned):
            due = way.planned[0].tolist()
            measured = self.channel.measurements(seen)
            if limits.is_beside(due, measured):
                limits.waits = []
            else:
                limits.follow(self._reached())
                limits.bound(due, measured)
        if why := self.following.look(now_s, seen, due, way.passed, limits.waits):
            self._give_up(why)
            return
        way.passed = due
        if limits.waits and len(way.planned) and self._sender is not None:
            way.stop(due)
            self._before[:] = due
            self._step_limits.follow(due)
            self._sender.trajectory(self._before[None], self._all)

    def _give_up(self, reason: str) -> None:
        """End commanding, because the robot failed to follow for too long."""
        self.blocked, self._awaited = reason, self.following.stuck
        self._counters.not_followed += 1
        self.enter_failsafe()

    def _let_go(self, newest: NDArray[np.float32]) -> bool:
        """Return whether the block has ended because a frozen input changed; if so, restart commanding."""
        if self._awaited is None or not self.following.moved(self._awaited, newest.tolist()):
            return False
        self.blocked, self._awaited = "", None
        return True

    def _start(self, newest: NDArray[np.float32]) -> bool:
        """Prepare the limits for the first command; return False if it is too far from the measured position."""
        self.limits.restart()
        if self._first_action == "free" or not np.isfinite(self._command).all():
            return True
        if self._first_action == "refuse":
            return self._is_near(newest)
        self.channel.measure(newest, self._measured)
        np.copyto(self._measured, self._command, where=self.channel.starts_anywhere)
        self.limits.restart(self._measured)
        return True

    def _is_near(self, newest: NDArray[np.float32]) -> bool:
        """Whether the command is within `first_step` of the measured values."""
        self.channel.measure(newest, self._measured)
        near = np.abs(self._command - self._measured) <= self.channel.first_step
        return bool(near.all()) and self.channel.is_turned_near(self._command, self._measured)
