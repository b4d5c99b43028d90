"""Publishes the loop's results, in messages prepared in advance."""

import json
import time
from collections.abc import Callable
from typing import Any

from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import JointState
from std_msgs.msg import Int64, String

from vdd_ros.control.counters import Counters
from vdd_ros.control.decision import DecisionRecord
from vdd_ros.control.timing import LATENCY_LABELS, LatencyRecord
from vdd_ros.errors import RobotFileError
from vdd_ros.nodes.policy.failsafe_call import FailsafeCall
from vdd_ros.nodes.policy.info import SessionInfo
from vdd_ros.nodes.ros.messages import LATCHED, RECORDS, RELIABLE, command_message
from vdd_ros.nodes.ros.preserialized import ReadyMessage, number_range
from vdd_ros.nodes.ros.preserialized_record import ReadyRecord
from vdd_ros.robot.channels import CommandChannel, Floats
from vdd_ros.robot.commands import Command
from vdd_ros.text import printable

ACKNOWLEDGED_S = 0.2
REQUEST_S = 0.8


class PublishedOutputs:
    """The publishers of a policy node; in shadow mode without a command publisher.

    Args:
        node: The node that publishes.
        channel: The command of the robot file.
        period_s: Time between ticks.
        control: False for shadow mode.

    Raises:
        RobotFileError: The command's type is not installed, or lacks a field that the robot file names.
        ConfigurationError: See `ReadyMessage`.
    """

    def __init__(self, node: LifecycleNode, channel: CommandChannel, period_s: float, *, control: bool) -> None:
        self._channel = channel
        self._period_s = period_s
        self._trajectories: dict[int, ReadyMessage] = {}
        command = command_message(channel.command, period_s)
        channel.check(command)
        self._clock = node.get_clock()
        self._stamped = channel.command.message.stamped
        # Dry runs have a message of their own: the fail-safe sends from another thread and must not mix with them.
        self._command, self._dry_command = (
            ReadyMessage(command, len(channel.low), channel.write, stamped=self._stamped) for _ in range(2)
        )
        _check_ranges(channel.command, self._command)
        self._latency = ReadyRecord(LATENCY_LABELS)
        self._expert = Int64()
        self._decisions: dict[tuple[str, ...], ReadyRecord] = {}
        self._to_latency = node.create_publisher(JointState, "~/latency", RECORDS)
        self._to_expert: Any = None  # only a mixture has experts
        self._to_decision = node.create_publisher(JointState, "~/decision", RECORDS)
        self._to_info = node.create_publisher(String, "~/policy_info", LATCHED)
        self._publishers = [self._to_latency, self._to_decision, self._to_info]
        self._node = node
        self._control = control
        self._counters = Counters()
        self._request: FailsafeCall | None = None
        if control:
            self._to_command = node.create_publisher(type(command), channel.command.topic, RELIABLE)
            self._publishers.append(self._to_command)
            if service := channel.command.loss_service:
                self._request = FailsafeCall(node, service, self._count_failed_call)

    def command(self, values: Floats) -> None:
        """See Outputs."""
        self._to_command.publish(self._command.serialized(values, self._stamp_ns()))

    def dry_run(self, values: Floats) -> None:
        """See Sender."""
        self._dry_command.serialized(values, self._stamp_ns())

    def trajectory(self, values: Floats) -> None:
        """See Sender."""
        ready = self._trajectories.get(len(values))
        if ready is None:
            ready = self._trajectories[len(values)] = self._ready_trajectory(*values.shape)
        self._to_command.publish(ready.serialized(values.ravel(), self._stamp_ns()))

    def request_stop(self) -> None:
        """See Sender; does not wait for the response."""
        if self._request is not None:
            self._request.start()

    def cancel_request(self) -> None:
        """See Sender."""
        if self._request is not None:
            self._request.stop()

    def count_in(self, counters: Counters) -> None:
        """See Outputs."""
        self._counters = counters

    def flush(self, spin: Callable[[float], object]) -> None:
        """Wait until the last messages are delivered before the process ends, at most one second.

        Args:
            spin: Runs the node's executor for at most the given seconds.
        """
        if not self._control:
            return
        self._to_command.wait_for_all_acked(Duration(seconds=ACKNOWLEDGED_S))
        end_s = time.monotonic() + REQUEST_S
        while self._request is not None and self._request.wanted and (left_s := end_s - time.monotonic()) > 0:
            spin(left_s)

    def destroy(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
        if self._request is not None:
            self._request.destroy()

    def _count_failed_call(self) -> None:
        self._counters.failed_calls += 1

    def latency(self, record: LatencyRecord) -> None:
        """See Outputs."""
        self._to_latency.publish(self._latency.serialized(record.values))

    def expert(self, expert: int) -> None:
        """See Outputs."""
        self._expert.data = expert
        self._to_expert.publish(self._expert)

    def expect_trajectories(self, most: int) -> None:
        """Prepare the messages for 1 to `most` points, outside of ticks."""
        for points in range(1, most + 1):
            self._trajectories.setdefault(points, self._ready_trajectory(points, len(self._channel.low)))

    def expect_decisions(self, labels: tuple[str, ...], *, experts: bool) -> None:
        """See Outputs."""
        if labels not in self._decisions:
            self._decisions[labels] = ReadyRecord(labels)
        if experts and self._to_expert is None:
            self._to_expert = self._node.create_publisher(Int64, "~/expert", RECORDS)
            self._publishers.append(self._to_expert)

    def decision(self, record: DecisionRecord) -> None:
        """See Outputs."""
        self._to_decision.publish(self._decisions[record.labels].serialized(record.values))

    def info(self, info: SessionInfo) -> None:
        """Publish policy and machine information, latched for late subscribers."""
        self._to_info.publish(String(data=json.dumps(info)))

    def _stamp_ns(self) -> int:
        return int(self._clock.now().nanoseconds) if self._stamped else 0

    def _ready_trajectory(self, points: int, size: int) -> ReadyMessage:
        """Return a trajectory with this number of points and numbers per point."""

        def fill(values: Floats, message: Any) -> None:
            self._channel.write_trajectory(values.reshape(points, size), message)

        message = command_message(self._channel.command, self._period_s, points)
        return ReadyMessage(message, points * size, fill, stamped=self._stamped)


def _check_ranges(command: Command, message: ReadyMessage) -> None:
    """Refuse limits that the message's number type cannot hold, or that rounding would exceed."""
    for index, (entry, dtype) in enumerate(zip(command.entries, message.dtypes, strict=True)):
        low, high = number_range(dtype)
        rounded = dtype.kind != "f"
        if low <= entry.low and entry.high <= high and not (rounded and (entry.low % 1 or entry.high % 1)):
            continue
        raise RobotFileError(
            f"command.entries[{index}]: low is {entry.low:g} and high is {entry.high:g}, but {printable(entry.name)} "
            f"in a {command.type} is {dtype}; give {'whole numbers' if rounded else 'limits'} from {low:g} to {high:g}"
        )
