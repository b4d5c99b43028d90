"""Sends one command of a robot file as the goals of an action."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from rclpy.action import ActionClient
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

from vdd_ros.control.goals import Goals
from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.policy.command_publisher import check_ranges
from vdd_ros.nodes.ros.containment import SparseLog
from vdd_ros.nodes.ros.messages import command_message, message_class
from vdd_ros.nodes.ros.preserialized import ReadyMessage
from vdd_ros.robot.channels import set_stamp
from vdd_ros.robot.command_channel import CommandPart, Floats

LOOK_S = 0.2
CLOSING_S = 1.0
"""How long a client outlives its node's session, to cancel its goal."""


class GoalPublisher:
    """The action client of one command; without effect in shadow mode.

    A tick compares numbers and, if they are new, hands them to the executor, which sends the goal.

    Args:
        node: The node that sends.
        part: The command.
        period_s: Time between ticks.
        control: False for shadow mode.
        failed: Called for each goal that failed.
        changed: Called, in the executor, when `obstacle` has changed.

    Attributes:
        publisher: None; goals have no publisher.
        obstacle: Why no goal can be sent; empty if one can.

    Raises:
        RobotFileError: The action's type is not installed, or lacks a field that the robot file names, or a field
            cannot hold the limits of its entry.
        ConfigurationError: See `ReadyMessage`.
    """

    def __init__(
        self,
        node: LifecycleNode,
        part: CommandPart,
        period_s: float,
        *,
        control: bool,
        failed: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        self.publisher = None
        self._node = node
        self._part = part
        self._period_s = period_s
        self._count_failed = failed
        self._changed = changed
        self.obstacle = ""
        self._tolerances = part.tolerances
        self._numbers = np.empty(len(self._tolerances))
        self._apart = np.empty_like(self._numbers)
        self._asked = np.full_like(self._numbers, np.nan)
        self._wishes: deque[Floats | None] = deque(maxlen=1)  # only the newest counts: rclpy runs the newest task first
        self._client: Any = None
        self._closes_s: float | None = None
        if not control:
            return
        goal = command_message(part.command, period_s)
        part.check(goal)
        check_ranges(part.command, ReadyMessage(goal, len(self._numbers), part.fill))
        self._failures = SparseLog(node.get_logger().error)
        self._client = ActionClient(node, message_class(part.command.type), part.command.topic)
        self._goals = Goals(self._send_goal, self._fail)
        self._timer = node.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def busy(self) -> bool:
        """Whether a goal is in flight."""
        return self._client is not None and self._goals.busy

    @property
    def name(self) -> str:
        """Full name of the action."""
        return str(self._node.resolve_topic_name(self._part.command.topic))

    def send(self, values: Floats) -> None:
        """Send a goal with its part of the numbers of all commands, (n,), if they differ from the last goal's."""
        numbers = self._part.numbers(values, self._numbers)
        np.subtract(numbers, self._asked, out=self._apart)
        np.abs(self._apart, out=self._apart)
        if (self._apart <= self._tolerances).all():  # false before the first goal, which is NaN
            return
        self._asked[:] = numbers
        self._wishes.append(numbers.copy())
        self._in_executor(self._follow_wish)

    def dry_run(self, values: Floats) -> None:
        """Dry-run `send`: there is no message to prepare."""

    def send_trajectory(self, values: Floats) -> None:
        """Send the first row of (m, n): a goal has no points."""
        self.send(values[0])

    def expect_trajectories(self, most: int) -> None:
        """Prepare nothing."""

    def cancel(self) -> None:
        """Cancel the goal in flight, from any thread; the next command is sent unconditionally."""
        self._asked.fill(np.nan)
        self._wishes.append(None)
        self._in_executor(self._follow_wish)

    def await_server(self, timeout_s: float) -> None:
        """Wait for the server; raises ConfigurationError if there is none in time."""
        if self._client is None:
            return
        if not self._client.wait_for_server(timeout_sec=timeout_s):
            raise ConfigurationError(
                f"{self._part.command.path}: the action {self.name} ({self._part.command.type}) has no server "
                f"after {timeout_s:g} s; start the controller that serves it, or correct `topic` in the robot file "
                "(`ros2 action list` shows the available ones)"
            )
        self._look()  # it may have been missing until now

    def flush(self, timeout_s: float) -> None:
        """Do nothing: `busy` reports when the last goal has ended."""

    def destroy(self) -> None:
        """Cancel the goal in flight, and destroy the client once it has ended, after `CLOSING_S` at the latest."""
        if self._client is None or self._closes_s is not None:
            return
        self._closes_s = time.monotonic() + CLOSING_S
        self._goals.cancel()
        self._close()

    def _close(self) -> None:
        if self._goals.busy and self._client.server_is_ready() and time.monotonic() < (self._closes_s or 0.0):
            return
        client, self._client = self._client, None
        self._goals.forget()
        self._node.destroy_timer(self._timer)
        client.destroy()

    def _follow_wish(self) -> None:
        """Request the newest goal, or none if it was cancelled meanwhile."""
        if self._client is None or self._closes_s is not None:
            return
        with suppress(IndexError):  # an earlier call took it
            wish = self._wishes.pop()
            if wish is None:
                self._goals.cancel()
            else:
                self._goals.want(wish)

    def _send_goal(self, numbers: Floats) -> Any:
        goal = command_message(self._part.command, self._period_s)
        self._part.fill(numbers, goal)
        if self._part.command.message.stamped:
            set_stamp(goal, self._node.get_clock().now().nanoseconds)
        return self._client.send_goal_async(goal)

    def _look(self) -> None:
        """Check that the server still exists, and repeat unanswered requests."""
        if self._closes_s is not None:
            self._close()
            return
        self._goals.look()
        served = self._client.server_is_ready()
        if served != bool(self.obstacle):
            return
        self.obstacle = "" if served else f"the action {self.name} no longer has a server"
        if not served:
            self._asked.fill(np.nan)
            self._goals.forget()
        self._changed()

    def _fail(self, why: str) -> None:
        self._count_failed()
        self._failures.tell(f"a goal of the action {self.name} {why}")

    def _in_executor(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._node.executor is None:
            self._node.get_logger().fatal("the node commands, but nothing spins it")
        else:
            self._node.executor.create_task(function, *arguments)
