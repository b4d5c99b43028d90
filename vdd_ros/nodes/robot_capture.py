"""Captures a running robot's messages on the topics of a robot file for some seconds, and the ROS graph."""

import os
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

from vdd_ros.bags.topics import SerializedMessage, Topic
from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.policy.ros_graph import GraphMonitor
from vdd_ros.nodes.ros.installed import missing_for_nodes, missing_types, require_installed
from vdd_ros.nodes.ros.messages import interface_problem, message_class
from vdd_ros.nodes.ros.polled_subscriptions import TickInputs
from vdd_ros.nodes.ros.schemas import message_format
from vdd_ros.nodes.ros.transforms import STATIC
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.transforms import TF, TF_STATIC, TF_TYPE
from vdd_ros.text import printable

NAME = "vdd_robot_check"
POLL_S = 0.05
EVERY_MESSAGE = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)  # matches every publisher


@dataclass(frozen=True)
class Captured:
    """Captured messages and graph.

    Attributes:
        topics: Published topics, with the number of received messages; 0 for topics without a subscription.
        received: The messages in the order of receipt.
        problems: Problems in the ROS graph: publishers or subscribers with another type or quality of service.
        listeners: Subscribed nodes of each command, by its topic in the robot file.
        commanders: Publishing nodes of each command.
        not_installed: Missing packages that a policy needs here, by the place in the robot file.
    """

    topics: tuple[Topic, ...]
    received: tuple[SerializedMessage, ...]
    problems: tuple[str, ...]
    listeners: dict[str, tuple[str, ...]]
    commanders: tuple[str, ...]
    not_installed: tuple[tuple[str, str], ...] = ()

    def serialized(self, topics: Collection[str]) -> Iterator[SerializedMessage]:
        """Yield the messages of some topics in the order of receipt."""
        return (message for message in self.received if message.topic in topics)


def capture(robot: RobotFile, duration_s: float, namespace: str = "/") -> Captured:
    """Listen to the inputs and the commands of a robot file.

    Nothing is published, commanded or called.

    Args:
        robot: The robot file.
        duration_s: Listening time in seconds.
        namespace: Namespace of relative topics.

    Raises:
        RobotFileError: A message type is not installed.
        ConfigurationError: The duration is not positive, or ROS refuses the namespace.
    """
    if not duration_s > 0:
        raise ConfigurationError(f"the listening time is {duration_s:g} s; it must be above 0")
    wanted = {source.topic: source.type for source in robot.inputs}
    wanted |= {command.topic: command.type for command in robot.commands if not command.message.is_action}
    if robot.needs_transforms and not interface_problem(TF_TYPE):
        wanted |= dict.fromkeys((TF, TF_STATIC), TF_TYPE)
    if any(missing_types(robot)):
        require_installed(robot, control=True)  # names everything else that is missing too
    os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)  # set by a ROS installation, but not by wheels
    context = rclpy.Context()
    rclpy.init(context=context, args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = _make_node(context, namespace)
        try:
            received = _listen(node, wanted, duration_s)
            return _captured(node, robot, received)
        finally:
            node.destroy_node()
    finally:
        context.try_shutdown()


def _make_node(context: Any, namespace: str) -> Node:
    try:
        return rclpy.create_node(
            NAME, context=context, namespace=namespace, start_parameter_services=False, enable_rosout=False
        )
    except Exception as error:  # rclpy's errors about names share no base class
        raise ConfigurationError(
            f"the namespace {printable(namespace)!r} is not allowed: {printable(error)}; write it as in /arm"
        ) from error


def _listen(node: Node, types: dict[str, str], duration_s: float) -> list[SerializedMessage]:
    """Collect messages, by time of receipt, until the time is over."""
    received: list[SerializedMessage] = []
    inputs = TickInputs(node)

    def take(topic: str, form: MessageFormat, content: bytes, received_s: float) -> None:
        received.append(SerializedMessage(topic, round(received_s * 1e9) or time.time_ns(), content, form))

    for topic, kind in dict.fromkeys((str(node.resolve_topic_name(topic)), kind) for topic, kind in types.items()):
        profile = STATIC if topic == TF_STATIC else EVERY_MESSAGE
        callback = partial(take, topic, message_format(kind))
        inputs.add(message_class(kind), topic, callback, profile, raw=True)
    end = time.monotonic() + duration_s
    while (left := end - time.monotonic()) > 0:
        inputs.wait(min(POLL_S, left))
        inputs.take()
    inputs.destroy()
    return sorted(received, key=lambda message: message.received_ns)


def _captured(node: Node, robot: RobotFile, received: list[SerializedMessage]) -> Captured:
    monitor = GraphMonitor(node, robot, control=True)
    monitor.look()
    counts = Counter(message.topic for message in received)
    topics = []
    for name, kinds in node.get_topic_names_and_types():
        publishers = node.get_publishers_info_by_topic(name)
        kind = publishers[0].topic_type if publishers else kinds[0]
        if publishers or counts[name]:
            topics.append(Topic(name, kind, counts[name]))
    listeners = {
        command.topic: node.get_subscriptions_info_by_topic(node.resolve_topic_name(command.topic))
        for command in robot.commands
    }
    return Captured(
        topics=tuple(sorted(topics, key=lambda topic: topic.name)),
        received=tuple(received),
        problems=tuple(filter(None, [monitor.wrong_types(), *monitor.mismatches()])),
        listeners={
            topic: tuple(sorted({printable(one.node_name) for one in found if one.node_name != NAME}))
            for topic, found in listeners.items()
        },
        commanders=tuple(monitor.other_publishers()),
        not_installed=tuple(missing_for_nodes(robot, control=True)),
    )
