"""Common parts of the conformance tests of a message type."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

from vdd_ros.errors import ConformanceError, RobotFileError
from vdd_ros.robot.checks import check_input
from vdd_ros.robot.entries import InputEntry
from vdd_ros.robot.inputs import Input
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import UNITS, units_of
from vdd_ros.text import printable

New = Callable[[str], Any]
"""Makes a message of a type, by the type's name."""
JOINTS = ("shoulder_joint", "elbow_joint", "wrist_joint")
QUANTITIES = tuple(dict.fromkeys(quantity for quantity, _ in UNITS.values()))


def fail(message: Message, problem: str) -> NoReturn:
    """Raise a ConformanceError about a message type."""
    raise ConformanceError(f"message type {printable(message.type)}: {problem}")


def accepted(message: Message, what: str, check: Callable[[], None]) -> None:
    """Require that a check of the robot file passes; raises ConformanceError."""
    try:
        check()
    except RobotFileError as error:
        fail(message, f"{what} is refused: {error}")


def refused(message: Message, what: str, check: Callable[[], None]) -> None:
    """Require that a check of the robot file raises RobotFileError; raises ConformanceError."""
    try:
        check()
    except RobotFileError:
        return
    fail(message, f"{what} is not refused")


def read_as_input(message: Message, entries: Sequence[InputEntry]) -> None:
    """Check entries as an input of this type; raises RobotFileError."""
    check_input(Input("robot", "robot", message, 1.0, "reliable", tuple(entries)), "inputs.robot")


def accepted_input(message: Message, what: str, entries: Sequence[InputEntry]) -> None:
    """Require that entries are accepted as an input; raises ConformanceError."""
    accepted(message, what, partial(read_as_input, message, entries))


def refused_input(message: Message, what: str, entries: Sequence[InputEntry]) -> None:
    """Require that entries are refused as an input; raises ConformanceError."""
    refused(message, what, partial(read_as_input, message, entries))


def other_units(quantities: Sequence[str]) -> list[str]:
    """Return a unit of each other quantity; empty if every quantity is allowed."""
    return [units_of((other,))[0] for other in QUANTITIES if quantities and other not in quantities]
