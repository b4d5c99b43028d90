"""Message classes, quality of service and prepared messages for a robot file."""

import difflib
import importlib
from collections.abc import Sequence
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState

from vdd_ros.bags.records import names_of
from vdd_ros.errors import RobotFileError
from vdd_ros.robot.commands import Command
from vdd_ros.robot.messages.message import names_action
from vdd_ros.text import printable

RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
SENSOR_DATA = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)  # a tick needs only the newest message
RECORDS = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Profile for tick reports: a recorder that is briefly busy or matched late misses none."""
PHASES = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Profile for phases: none is skipped, so that no end of an episode is lost."""
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)

NOT_ON_PYPI = ("tf2_msgs", "control_msgs")
"""Packages of a ROS installation that an environment of wheels lacks."""


def where_to_get(package: str) -> str:
    """Return instructions to install a package that an environment of wheels lacks."""
    name = package.replace("_", "-")
    return f"it is not on PyPI, so use a ROS installation, which has it (`apt install ros-$ROS_DISTRO-{name}`)"


def interface_problem(type_name: str, consequence: str = "") -> str:
    """Return why a message type or an action is not available here, with the remedy; empty if it is.

    Args:
        type_name: Its name, such as `sensor_msgs/msg/JointState`.
        consequence: What follows if its package is not installed, such as `, so there are no transforms`.
    """
    package, kind, name = type_name.split("/")
    try:
        module = importlib.import_module(f"{package}.{kind}")
    except ImportError:
        if package in NOT_ON_PYPI:
            return f"the package {package} is not installed{consequence}; {where_to_get(package)}"
        return f"the package {printable(package)} is not installed here{consequence}; install it, or correct the type"
    if hasattr(module, name):
        return ""
    close = difflib.get_close_matches(name, dir(module), n=1)
    hint = f" (did you mean {package}/{kind}/{close[0]}?)" if close else ""
    what = "action" if kind == "action" else "message"
    return f"{package} has no such {what}{hint}; `ros2 interface package {package}` lists the available ones"


def message_class(type_name: str) -> Any:
    """Return the class of a message type, such as `sensor_msgs/msg/JointState`, or of an action.

    Raises:
        RobotFileError: The package is not installed, or has no such message.
    """
    if problem := interface_problem(type_name):
        raise RobotFileError(f"message type {printable(type_name)}: {problem}")
    package, kind, name = type_name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), name)


def qos_profile(name: str, depth: int = SENSOR_DATA.depth) -> QoSProfile:
    """Return the profile of an input: `sensor_data` or `reliable`; for `match`, the one that fits any publisher.

    Args:
        name: The robot file's `qos`.
        depth: Messages to keep between ticks, with `sensor_data`.
    """
    if name == "reliable":
        return RELIABLE
    return SENSOR_DATA if depth == SENSOR_DATA.depth else QoSProfile(depth=depth, reliability=SENSOR_DATA.reliability)


def matching_profile(published: Sequence[QoSProfile]) -> QoSProfile:
    """Return the profile for some publishers: reliable if all are; without publishers, the one that fits any."""
    reliable = [profile.reliability == ReliabilityPolicy.RELIABLE for profile in published]
    return RELIABLE if reliable and all(reliable) else SENSOR_DATA


def new_message(type_name: str) -> Any:
    """Return a default message, or goal of an action; raises RobotFileError if the class does not exist."""
    kind = message_class(type_name)
    return kind.Goal() if names_action(type_name) else kind()


def command_message(command: Command, period_s: float, points: int = 1) -> Any:
    """Return a message of the command's type, or a goal, to be filled repeatedly with `CommandPart.write`.

    A message with points gets `points` of them, `period_s` apart. Its stamp stays zero; see `Message.stamped`.
    """
    message = command.message.empty(new_message, points=points, period_s=period_s)
    if command.message.has_header:
        message.header.frame_id = command.frame_id
    return message


def record_message(labels: tuple[str, ...]) -> JointState:
    """Return a message for records with these labels, without numbers; see `vdd_ros.bags.records`."""
    return JointState(name=list(names_of(labels)))
