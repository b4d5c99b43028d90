"""The message types, actions and transforms that a robot file needs, and which of them are not installed."""

from collections.abc import Iterator

from vdd_ros.errors import RobotFileError
from vdd_ros.nodes.ros.messages import interface_problem
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.transforms import TF_TYPE
from vdd_ros.text import printable

Missing = Iterator[tuple[str, str]]
"""Places in a robot file, and what is missing there, with the remedy."""


def require_installed(robot: RobotFile, *, control: bool) -> None:
    """Refuse a robot file that a policy node could not use here.

    Args:
        robot: The robot file.
        control: False for shadows, which need no actions.

    Raises:
        RobotFileError: Something is not installed; the error lists every place in the robot file.
    """
    missing = [*missing_types(robot), *missing_for_nodes(robot, control=control)]
    if missing:
        file = f"robot file {printable(robot.path)}: " if robot.path else ""
        raise RobotFileError(file + "; ".join(f"{where}: {problem}" for where, problem in missing))


def missing_types(robot: RobotFile) -> Missing:
    """Yield the types of inputs and of commands on topics that are not installed."""
    types = {f"inputs.{source.name}.type": source.type for source in robot.inputs}
    types |= {f"{command.path}.type": command.type for command in robot.commands if not command.message.is_action}
    for where, kind in types.items():
        if problem := interface_problem(kind):
            yield where, f"message type {printable(kind)}: {problem}"


def missing_for_nodes(robot: RobotFile, *, control: bool) -> Missing:
    """Yield what only a policy node needs and is not installed: transforms, and actions if it commands."""
    framed = [f"inputs.{source.name}.frame" for source in robot.inputs if source.frame]
    if framed and (problem := interface_problem(TF_TYPE, ", so there are no transforms")):
        yield ", ".join(framed), f"{problem}, or omit `frame` if the messages are already in that frame"
    for command in robot.commands if control else ():
        if command.message.is_action and (
            problem := interface_problem(command.type, ", so a node cannot command here")
        ):
            yield f"{command.path}.type", problem
