"""Publishes the loop's results, in messages prepared in advance."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import JointState
from std_msgs.msg import Int64, String

from vdd_ros.control.counters import Counters
from vdd_ros.control.decision import DecisionRecord
from vdd_ros.control.sender import Parts
from vdd_ros.control.timing import LatencyRecord, latency_labels
from vdd_ros.nodes.policy.command_publisher import CommandPublisher
from vdd_ros.nodes.policy.failsafe_call import FailsafeCall
from vdd_ros.nodes.policy.goal_publisher import GoalPublisher
from vdd_ros.nodes.policy.info import SessionInfo
from vdd_ros.nodes.ros.messages import LATCHED, RECORDS
from vdd_ros.nodes.ros.preserialized_record import ReadyRecord
from vdd_ros.robot.command_channel import CommandChannel, CommandPart, Floats

ACKNOWLEDGED_S = 0.2
REQUEST_S = 2.5  # time for two more calls of a loss_service that failed


class PublishedOutputs:
    """The publishers of a policy node; in shadow mode without command publishers.

    Args:
        node: The node that publishes.
        channel: The commands of the robot file.
        period_s: Time between ticks.
        control: False for shadow mode.
        inputs: The inputs whose ages are in the latency records.

    Attributes:
        obstructed: Called with the reason why commands would not arrive; empty once they do.

    Raises:
        RobotFileError: A command's type is not installed, or lacks a field that the robot file names.
        ConfigurationError: See `ReadyMessage`.
    """

    def __init__(
        self,
        node: LifecycleNode,
        channel: CommandChannel,
        period_s: float,
        *,
        control: bool,
        inputs: Sequence[str] = (),
    ) -> None:
        self._latency = ReadyRecord(latency_labels(inputs))
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
        self._requests: list[FailsafeCall] = []
        self.obstructed: Callable[[str], object] = lambda _reason: None
        self._commands: list[CommandPublisher | GoalPublisher] = [
            self._goal_publisher(node, part, period_s, control=control)
            if part.command.message.is_action
            else CommandPublisher(node, part, period_s, control=control)
            for part in channel.parts
        ]
        self._goals = [each for each in self._commands if isinstance(each, GoalPublisher)]
        if control:
            self._publishers += [command.publisher for command in self._commands if command.publisher]
            services = dict.fromkeys(part.command.loss_service for part in channel.parts)
            self._requests = [FailsafeCall(node, name, self._count_failed_call) for name in services if name]

    def _goal_publisher(
        self, node: LifecycleNode, part: CommandPart, period_s: float, *, control: bool
    ) -> GoalPublisher:
        return GoalPublisher(
            node,
            part,
            period_s,
            control=control,
            failed=self._count_failed_goal,
            changed=self._tell_obstacles,
        )

    def _tell_obstacles(self) -> None:
        self.obstructed("; ".join(goals.obstacle for goals in self._goals if goals.obstacle))

    def await_servers(self, timeout_s: float) -> None:
        """Wait for the servers of the robot file's actions; raises ConfigurationError after the timeout."""
        for goals in self._goals:
            goals.await_server(timeout_s)

    def command(self, values: Floats, parts: Parts) -> None:
        """See Sender."""
        for part in parts:
            self._commands[part].send(values)

    def dry_run(self, values: Floats) -> None:
        """See Sender."""
        for command in self._commands:
            command.dry_run(values)

    def trajectory(self, values: Floats, parts: Parts) -> None:
        """See Sender."""
        for part in parts:
            self._commands[part].send_trajectory(values)

    def request_stop(self) -> None:
        """See Sender; does not wait for the responses."""
        for request in self._requests:
            request.start()

    def cancel_request(self) -> None:
        """See Sender."""
        for request in self._requests:
            request.stop()

    def stopping(self) -> str:
        """Return the services of `on_loss: call` that have not succeeded yet, in words; empty if all have."""
        names = [request.name for request in self._requests if request.wanted]
        return f"loss_service {', '.join(names)}" if names else ""

    def cancel_goals(self) -> None:
        """See Sender; does not wait for the answers."""
        for goals in self._goals:
            goals.cancel()

    def count_in(self, counters: Counters) -> None:
        """See Outputs."""
        self._counters = counters

    def flush(self, spin: Callable[[float], object]) -> str:
        """Wait until the last messages are delivered before the process ends, at most three seconds.

        Args:
            spin: Runs the node's executor for at most the given seconds.

        Returns:
            See `stopping`.
        """
        if not self._control:
            return ""
        end_s = time.monotonic() + ACKNOWLEDGED_S
        for command in self._commands:
            command.flush(max(0.0, end_s - time.monotonic()))
        end_s = time.monotonic() + REQUEST_S
        while self._waits() and (left_s := end_s - time.monotonic()) > 0:
            spin(left_s)
        return self.stopping()

    def destroy(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
        for request in self._requests:
            request.destroy()
        for goals in self._goals:
            goals.destroy()

    def _waits(self) -> bool:
        """Whether a service call or a goal is still pending."""
        return any(request.wanted for request in self._requests) or any(goals.busy for goals in self._goals)

    def _count_failed_goal(self) -> None:
        self._counters.failed_goals += 1

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
        for command in self._commands:
            command.expect_trajectories(most)

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
