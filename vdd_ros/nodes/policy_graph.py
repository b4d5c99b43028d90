"""What the graph of nodes tells about a policy node's topics: wrong types, and others who command the same robot."""

from collections.abc import Sequence

from rclpy.node import Node

from vdd_ros.policy.robot import Command

UNKNOWN = "_NODE_NAME_UNKNOWN_"


def wrong_types(node: Node, inputs: Sequence[tuple[str, str]], command: Command | None) -> str:
    """Say which topics others publish or expect with another type than the node does; empty if none.

    Args:
        node: The node.
        inputs: Topics to which it subscribes, with their types.
        command: What it commands, or None.
    """
    seen = [(topic, kind, node.get_publishers_info_by_topic) for topic, kind in inputs]
    if command is not None:
        seen.append((command.topic, command.type, node.get_subscriptions_info_by_topic))
    problems = []
    for topic, expected, endpoints in seen:
        name = node.resolve_topic_name(topic)
        types = {endpoint.topic_type for endpoint in endpoints(name)} - {expected}
        if types:
            problems.append(f"topic {name} is {', '.join(sorted(types))}, but it must be {expected}")
    return "; ".join(problems)


def rivals(node: Node, topic: str) -> str:
    """Say which other nodes publish a command topic; empty if none does."""
    name = node.resolve_topic_name(topic)
    own = node.get_name(), node.get_namespace()
    names = [(found.node_name, found.node_namespace) for found in node.get_publishers_info_by_topic(name)]
    if own in names:
        names.remove(own)
    known = [(name, space) for name, space in names if name != UNKNOWN]  # else it comes or goes just now
    others = ", ".join(f"{space.rstrip('/')}/{name}" for name, space in known)
    return f"others command the robot too, on {name}: {others}" if others else ""
