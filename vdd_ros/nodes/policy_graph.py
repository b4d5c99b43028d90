"""What the graph of nodes tells about a policy node's topics: wrong types, rivals, and whether anybody listens."""

from rclpy.node import Node

from vdd_ros.policy.intake import GOAL
from vdd_ros.policy.robot import RobotFile

UNKNOWN = "_NODE_NAME_UNKNOWN_"


class Surroundings:
    """The other nodes on a policy node's topics.

    Args:
        node: The node.
        robot: The robot file.
        control: Whether the node commands.

    Attributes:
        takes_goals: Whether the node listens to goals.
    """

    def __init__(self, node: Node, robot: RobotFile, *, control: bool) -> None:
        self.takes_goals = False
        self._node = node
        self._robot = robot
        self._control = control

    @property
    def command_topic(self) -> str:
        """Full name of the topic of commands."""
        return str(self._node.resolve_topic_name(self._robot.command.topic))

    def wrong_types(self) -> str:
        """Say which topics others publish or expect with another type than the node does; empty if none."""
        node, command = self._node, self._robot.command
        inputs = [(source.topic, source.type) for source in self._robot.inputs]
        if self.takes_goals:
            inputs.append((GOAL, "std_msgs/msg/Float64MultiArray"))
        seen = [(topic, kind, node.get_publishers_info_by_topic) for topic, kind in inputs]
        if self._control:
            seen.append((command.topic, command.type, node.get_subscriptions_info_by_topic))
        problems = []
        for topic, expected, endpoints in seen:
            name = node.resolve_topic_name(topic)
            types = {endpoint.topic_type for endpoint in endpoints(name)} - {expected}
            if types:
                problems.append(f"topic {name} is {', '.join(sorted(types))}, but it must be {expected}")
        return "; ".join(problems)

    def rivals(self) -> list[str]:
        """Return which other nodes publish commands too; in shadow mode there are no rivals."""
        if not self._control:
            return []
        node = self._node
        own = node.get_name(), node.get_namespace()
        found = node.get_publishers_info_by_topic(self.command_topic)
        names = [(endpoint.node_name, endpoint.node_namespace) for endpoint in found]
        if own in names:
            names.remove(own)
        known = [(name, space) for name, space in names if name != UNKNOWN]  # else it comes or goes just now
        return [f"{space.rstrip('/')}/{name}" for name, space in known]

    def listeners(self) -> int | None:
        """Return how many subscriptions get the commands; None in shadow mode."""
        if not self._control:
            return None
        name = self.command_topic
        return sum(own.get_subscription_count() for own in self._node.publishers if own.topic_name == name)
