"""What a command of a robot file may mean otherwise than its author thinks."""

import math
from collections.abc import Iterator

from vdd_ros.robot.command_entries import CommandEntry
from vdd_ros.robot.commands import Command
from vdd_ros.robot.quantities import POSITIONS, quantity_of, spaced


def command_warnings(command: Command) -> Iterator[tuple[str, str]]:
    """Yield what may be meant, but is likely to move the robot otherwise than expected: path and problem."""
    for index, entry in enumerate(command.entries):
        at = f"{command.path}.entries[{index}]"
        if entry.reference is not None and entry.reference == entry.measured and not command.rates[index]:
            yield (
                f"{at}.relative_to",
                f"is {entry.reference!r}. If that is measured on the robot, and not a set point, each command starts "
                "from where the robot sags to, and the error adds up; use `relative_to: last_command`, or name a set "
                "point, and what measures it in `measured`",
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
                f"is {entry.fixed:g}{spaced(entry.unit)} from the first command on, wherever the robot stands; give "
                "`measured` and `max_step`, so that it is moved there in steps",
            )


def _is_ramped(entry: CommandEntry) -> bool:
    return entry.measured is not None and math.isfinite(entry.max_step)
