"""The ROS graph around a policy node's topics: other nodes, their types and quality of service."""

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from rclpy.duration import Infinite
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, LivelinessPolicy, QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.topic_endpoint_info import TopicEndpointInfo

from vdd_ros.control.observer import GOAL
from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.ros.messages import LATCHED, RELIABLE, qos_profile
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.text import printable

UNKNOWN = "_NODE_NAME_UNKNOWN_"
MOST_ALIKE = 3


@dataclass(frozen=True)
class Watched:
    """A topic that a policy node subscribes to.

    Attributes:
        what: Name of the input in diagnostics.
        topic: Full name of the topic.
        type: Type of its messages.
        qos: Profile of the node's subscription.
    """

    what: str
    topic: str
    type: str
    qos: QoSProfile


class GraphMonitor:
    """The other nodes on a policy node's topics.

    Args:
        node: The node.
        robot: The robot file.
        control: Whether the node commands.
        episode_topic: Topic of episode numbers; empty if none.

    Attributes:
        takes_goals: Whether the node subscribes to goals.
    """

    def __init__(self, node: Node, robot: RobotFile, *, control: bool, episode_topic: str = "") -> None:
        self.takes_goals = False
        self._node = node
        self._robot = robot
        self._control = control
        self._publishers: dict[str, list[TopicEndpointInfo]] = {}
        self._listeners: dict[str, list[TopicEndpointInfo]] = {}
        self._inputs = [
            self._watched(source.name, source.topic, source.type, qos_profile(source.qos)) for source in robot.inputs
        ]
        if episode_topic:
            self._inputs.append(self._watched("episode_topic", episode_topic, "std_msgs/msg/Int64", LATCHED))

    @property
    def command_topics(self) -> dict[str, str]:
        """Full name of each command topic, with the type of its messages; empty in shadow mode. Actions have none."""
        commands = self._robot.commands if self._control else ()
        return {
            str(self._node.resolve_topic_name(command.topic)): command.type
            for command in commands
            if not command.message.is_action
        }

    @property
    def inputs(self) -> list[Watched]:
        """The node's input topics."""
        goals = [self._watched(GOAL, GOAL, "std_msgs/msg/Float64MultiArray", RELIABLE)] if self.takes_goals else []
        return self._inputs + goals

    def look(self) -> None:
        """Read the graph; the other methods report this snapshot."""
        topics = {each.topic for each in self.inputs} | set(self.command_topics)
        self._publishers = {topic: self._node.get_publishers_info_by_topic(topic) for topic in topics}
        self._listeners = {topic: self._node.get_subscriptions_info_by_topic(topic) for topic in self.command_topics}

    def wrong_types(self) -> str:
        """Describe topics that other nodes use with another type; empty if none."""
        seen = [(each.topic, each.type, self._published(each.topic)) for each in self.inputs]
        seen += [(topic, kind, self._listeners.get(topic, [])) for topic, kind in self.command_topics.items()]
        problems = []
        for topic, expected, endpoints in seen:
            types = {endpoint.topic_type for endpoint in endpoints} - {expected}
            if types:
                found = ", ".join(map(printable, sorted(types)))
                problems.append(f"topic {topic} is {found}, but it must be {expected}")
        return "; ".join(problems)

    def mismatches(self) -> list[str]:
        """Describe nodes with incompatible quality of service, with the reason."""
        found = []
        for each in self.inputs:
            for publisher in self._published(each.topic):
                if reason := _incompatible(publisher.qos_profile, each.qos):
                    found.append(f"{_name(publisher)} publishes {each.topic}, but nothing arrives here: {reason}")
        for topic, listeners in self._listeners.items():
            for listener in listeners:
                if reason := _incompatible(RELIABLE, listener.qos_profile):
                    found.append(f"{_name(listener)} listens to {topic}, but receives nothing: {reason}")
        return found

    def explain(self, names: Iterable[str], *, comes: Collection[str]) -> str:
        """Explain, as far as the graph shows, why inputs have no value.

        Args:
            names: Names of the inputs.
            comes: Those of which unusable messages arrive.
        """
        watched = {each.what: each for each in self.inputs}
        return "; ".join(self._explain(watched[name], comes=name in comes) for name in names if name in watched)

    def unpublished(self) -> str:
        """Describe unpublished inputs, with topics of a similar name; empty if all are published."""
        return "; ".join(self._explain(each, comes=False) for each in self._inputs if not self._published(each.topic))

    def _explain(self, each: Watched, *, comes: bool) -> str:
        publishers = self._published(each.topic)
        if not publishers:
            alike = self._alike(each.topic, each.type, self._node.get_publishers_info_by_topic)
            return f"nobody publishes {each.topic}" + (f", but there is {', '.join(alike)}" if alike else "")
        right = [publisher for publisher in publishers if publisher.topic_type == each.type]
        if not right:
            types = ", ".join(sorted({printable(publisher.topic_type) for publisher in publishers}))
            return f"{each.topic} is published as {types}, not as {each.type}"
        matching = [publisher for publisher in right if not _incompatible(publisher.qos_profile, each.qos)]
        if not matching:
            reasons = (f"{_name(other)} ({_incompatible(other.qos_profile, each.qos)})" for other in right)
            return f"{each.topic} is published with a quality of service that does not match: {', '.join(reasons)}"
        what = "none of its messages is usable" if comes else "is silent"
        return f"{', '.join(map(_name, matching))} publishes {each.topic}, but {what}"

    def _alike(self, topic: str, kind: str, ends: Callable[[str], list[TopicEndpointInfo]]) -> list[str]:
        """Return topics with a similar name that have endpoints, preferably of the same type."""
        present = {name: types for name, types in self._node.get_topic_names_and_types() if name != topic}
        last = topic.rpartition("/")[2]
        close = difflib.get_close_matches(topic, present, n=10, cutoff=0.7)
        found = [name for name in present if (name.rpartition("/")[2] == last or name in close) and ends(name)]
        return [printable(name) for name in sorted(found, key=lambda name: kind not in present[name])[:MOST_ALIKE]]

    def unheard(self) -> str:
        """Describe commands without a subscriber, with topics of a similar name; empty if all have one."""
        alone = [topic for topic, count in self.listeners().items() if not count]
        ends, kinds = self._node.get_subscriptions_info_by_topic, self.command_topics
        alike = dict.fromkeys(name for topic in alone for name in self._alike(topic, kinds[topic], ends))
        problem = f"nobody subscribes to {' and '.join(alone)}" if alone else ""
        return problem + (f", but {', '.join(alike)} has subscribers" if alike else "")

    def other_input_publishers(self) -> dict[str, list[str]]:
        """Return the publishers' names for each input with more than one publisher."""
        found = {each.what: self._others(self._published(each.topic)) for each in self.inputs}
        return {what: names for what, names in found.items() if len(names) > 1}

    def other_publishers(self) -> dict[str, list[str]]:
        """Return the other nodes that publish commands, by command topic; none in shadow mode."""
        found = {topic: self._others(self._published(topic)) for topic in self.command_topics}
        return {topic: names for topic, names in found.items() if names}

    def listeners(self) -> dict[str, int]:
        """Return the number of other subscriptions to each command topic; none in shadow mode."""
        counts = Counter({own.topic_name: own.get_subscription_count() for own in self._node.publishers})
        counts.subtract(own.topic_name for own in self._node.subscriptions)  # nodes that observe the last command
        return {topic: max(0, counts[topic]) for topic in self.command_topics}

    def _published(self, topic: str) -> list[TopicEndpointInfo]:
        return self._publishers.get(topic, [])

    def _others(self, endpoints: list[TopicEndpointInfo]) -> list[str]:
        """Return the node names of endpoints, excluding this node."""
        own = self._node.get_name(), self._node.get_namespace()
        names = [(endpoint.node_name, endpoint.node_namespace) for endpoint in endpoints]
        if own in names:
            names.remove(own)
        return [_full(name, space) for name, space in names if name != UNKNOWN]  # otherwise appearing or leaving

    def _watched(self, what: str, topic: str, kind: str, qos: QoSProfile) -> Watched:
        try:
            return Watched(what, str(self._node.resolve_topic_name(topic)), kind, qos)
        except rclpy_implementation.RCLError:
            raise ConfigurationError(
                f"{what} is {printable(topic)!r}, which is not a topic name; write letters, digits, _ and /, no "
                "digit after a /, such as /arm/episode"
            ) from None


def _incompatible(offered: QoSProfile, wanted: QoSProfile) -> str:
    """Describe the quality of service that a subscription requires and a publisher lacks; empty if compatible."""
    verdict, reason = qos_check_compatible(_settled(offered), _settled(wanted))
    if verdict != QoSCompatibility.ERROR:
        return ""
    problems = [part.strip().removeprefix("ERROR: ").lower() for part in reason.split(";") if "ERROR" in part]
    return printable(" and ".join(problems))


def _settled(profile: QoSProfile) -> QoSProfile:
    """Return a profile with unset durations replaced by the middleware's values, which match themselves."""
    unset = profile.liveliness == LivelinessPolicy.SYSTEM_DEFAULT
    return QoSProfile(
        history=HistoryPolicy.KEEP_ALL,  # required by rclpy, irrelevant here
        reliability=profile.reliability,
        durability=profile.durability,
        deadline=profile.deadline if profile.deadline.nanoseconds else Infinite,
        liveliness=LivelinessPolicy.AUTOMATIC if unset else profile.liveliness,
        liveliness_lease_duration=(
            profile.liveliness_lease_duration if profile.liveliness_lease_duration.nanoseconds else Infinite
        ),
    )


def _name(endpoint: TopicEndpointInfo) -> str:
    return (
        "a node without a name" if endpoint.node_name == UNKNOWN else _full(endpoint.node_name, endpoint.node_namespace)
    )


def _full(name: str, space: str) -> str:
    return printable(f"{space.rstrip('/')}/{name}")
