"""Warnings of commands in a robot file that may not mean what their author intended."""

import math
from collections.abc import Iterator

from vdd_ros.robot.command_entries import CommandEntry
from vdd_ros.robot.commands import Command
from vdd_ros.robot.quantities import POSITIONS, quantity_of, spaced


def command_warnings(command: Command) -> Iterator[tuple[str, str]]:
    """Yield path and problem of settings that are likely to move the robot unexpectedly."""
    for index, entry in enumerate(command.entries):
        at = f"{command.path}.entries[{index}]"
        if entry.reference is not None and entry.reference == entry.measured and not command.rates[index]:
            yield (
                f"{at}.relative_to",
                f"is {entry.reference!r}. If that is measured on the robot, and not a set point, each command starts "
                "from the sagging position, and the error accumulates; use `relative_to: last_command`, or name a set "
                "point, and its measurement in `measured`",
            )
        if entry.rotation is None and entry.name == "pose.orientation.w":
            yield (
                f"{at}.name",
                f"is {entry.name!r}: the parts of a quaternion are limited one by one and sent as they are; give "
                "`name: pose.orientation` and `rotation: quaternion`, which is limited by its angle",
            )
        if entry.fixed is not None and quantity_of(entry.unit) in POSITIONS and not _is_ramped(entry):
            yield (
                f"{at}.fixed",
                f"is {entry.fixed:g}{spaced(entry.unit)} from the first command on, at any position of the robot; give "
                "`measured` and `max_step`, so that it moves there in steps",
            )


def _is_ramped(entry: CommandEntry) -> bool:
    return entry.measured is not None and math.isfinite(entry.max_step)
