"""The robot's own description when a policy node is configured: its URDF, its controllers' joints."""

import time

from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from std_msgs.msg import String

from vdd_ros.control.active_policy import ActivePolicy
from vdd_ros.errors import ConfigurationError, RobotFileError
from vdd_ros.nodes.ros.awaiting import await_message, call_service
from vdd_ros.nodes.ros.installed import require_installed
from vdd_ros.nodes.ros.messages import LATCHED
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.commands import Command
from vdd_ros.robot.controllers import PARAMETERS, ControllerJoints, Values, controller_problems
from vdd_ros.robot.messages import command_types
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.text import printable

DESCRIPTION = "robot_description"
UNREACHABLE = ("refuse", "warn")


def load_robot(file: str, send: str, *, control: bool) -> RobotFile:
    """Load the robot file of a node.

    Args:
        file: Its path.
        send: Content of messages, for commands without a `send` of their own.
        control: Whether the node commands.

    Raises:
        RobotFileError: The file is wrong, or needs a package that is not installed.
    """
    robot = RobotFile.load(file).sending(send)
    require_installed(robot, control=control)
    return robot


def described(node: Node, robot: RobotFile, timeout_s: float) -> RobotFile:
    """Return the robot file, with the description from the topic `robot_description` if it needs one.

    Raises:
        RobotFileError: It is not published within `timeout_s` seconds, or it is not a URDF.
    """
    if not robot.needs_description:
        return robot
    message = await_message(node, String, DESCRIPTION, LATCHED, timeout_s)
    topic = node.resolve_topic_name(DESCRIPTION)
    if message is None:
        raise RobotFileError(
            f"robot file {robot.path}: `limits: urdf` needs the robot description, but nothing came on {topic} within "
            f"{timeout_s:g} s; start robot_state_publisher, or give `urdf: FILE` in the robot file"
        )
    return robot.described(message.data, topic)


def sends_chunks(robot: RobotFile) -> bool:
    """Return whether any command of a robot file, with `send` set in each, carries whole chunks.

    Raises:
        ConfigurationError: Chunks are requested, but no command's type carries several actions.
    """
    wanted = [command for command in robot.commands if command.send == "chunk"]
    if wanted and not any(command.message.has_points for command in robot.commands):
        types = ", ".join(dict.fromkeys(command.type for command in wanted))
        raise ConfigurationError(
            f"send is 'chunk', but the robot file commands {types}; only {', '.join(command_types(points=True))} can "
            f"carry several actions"
        )
    return any(command.takes_chunks for command in wanted)


def refuse_wider(successor: ActivePolicy, configured: CommandChannel) -> None:
    """Refuse a policy with wider demonstrated limits than those of the policy that the node was configured with.

    Anybody can request a hot swap, but only the configuration decides what the robot may do.

    Raises:
        ConfigurationError: A limit is wider; the policy is closed.
    """
    if wider := successor.channel.wider_than(configured):
        successor.chunks.close()
        raise ConfigurationError(
            "by `limits: from_demonstrations` the limits of its commands would be wider than those at configuration: "
            f"{printable(wider)}. State limits in the robot file, or configure the node with this policy "
            "(policy_path)"
        )


def check_controllers(node: Node, robot: RobotFile, timeout_s: float, unreachable: str) -> None:
    """Compare each command that names a controller with that controller's own parameters.

    Args:
        node: The node that sends the requests.
        robot: The robot file.
        timeout_s: Time limit for all controllers together, in seconds.
        unreachable: One of `UNREACHABLE`, for a controller that does not answer.

    Raises:
        ConfigurationError: A controller has other joints, another order or another quantity, or does not answer.
    """
    end_s = time.monotonic() + timeout_s
    for command in robot.commands:
        if command.controller is None:
            continue
        values = _parameters(node, command.controller, end_s)
        if values is None:
            _fail_or_warn(node, command, timeout_s, unreachable)
            continue
        problems = list(controller_problems(command, ControllerJoints.of(values)))
        if problems:
            raise ConfigurationError(f"{command.path}.controller: {command.controller}: {'; '.join(problems)}")


def _fail_or_warn(node: Node, command: Command, timeout_s: float, unreachable: str) -> None:
    text = (
        f"{command.path}.controller: {command.controller} did not report its parameters within {timeout_s:g} s, so "
        "joints and order cannot be checked"
    )
    if unreachable == "refuse":
        raise ConfigurationError(f"{text}; start it first, or set unreachable_controller to 'warn'")
    node.get_logger().warning(text)


def _parameters(node: Node, controller: str, end_s: float) -> Values | None:
    """Return a controller's parameters among `PARAMETERS`; None if it does not answer."""
    # Of undeclared parameters rclcpp returns nothing at all, so only declared ones are requested.
    listed = call_service(node, ListParameters, f"{controller}/list_parameters", ListParameters.Request(), _left(end_s))
    if listed is None:
        return None
    names = [name for name in PARAMETERS if name in listed.result.names]
    request = GetParameters.Request(names=names)
    found = call_service(node, GetParameters, f"{controller}/get_parameters", request, _left(end_s))
    if found is None:
        return None
    values = zip(names, found.values, strict=False)
    return {
        printable(name): parameter_value_to_python(value)
        for name, value in values
        if value.type != ParameterType.PARAMETER_NOT_SET
    }


def _left(end_s: float) -> float:
    return max(0.01, end_s - time.monotonic())
