"""Checks that the entries of a robot file mean what their messages say."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vdd_ros.robot.command_types import COMMANDS
from vdd_ros.robot.fields import FIELDS, JOINT_QUANTITIES, JOINT_STATE, field_names, field_quantity
from vdd_ros.robot.quantities import (
    DIMENSIONLESS,
    GO_ON,
    POSITIONS,
    STILL_AT_ZERO,
    VELOCITIES,
    quantity_of,
    unit_factor,
    units_of,
)
from vdd_ros.robot.yaml_section import fail
from vdd_ros.text import printable

if TYPE_CHECKING:
    from vdd_ros.robot.robot_file import Command, CommandEntry, Input, InputEntry


def check_input(source: "Input", path: str) -> None:
    """Check that each entry has a unit of the quantity of its field; raises RobotFileError naming the entry."""
    if len({entry.joint is None for entry in source.entries}) > 1:
        fail(f"{path}.entries", "mixes `field` and `joint`; give two inputs on the same topic instead")
    for entry in source.entries:
        _check_input_entry(source.type, entry, f"{path}.entries.{entry.name}")


def check_command(command: "Command", path: str) -> None:
    """Check the meaning of a command's entries, and of `on_loss` and `frame_id`; raises RobotFileError."""
    kind = COMMANDS[command.type]
    for index, entry in enumerate(command.entries):
        at = f"{path}.entries[{index}]"
        if kind.fields and entry.name not in kind.fields:
            fail(f"{at}.name", f"is {entry.name!r}; the numbers of a {command.type} are", kind.fields)
        quantity = field_quantity(command.type, entry.name)
        _check_unit(entry.unit, (quantity,) if quantity else kind.quantities, entry.name, command.type, f"{at}.unit")
    if kind.one_quantity:
        _check_one_quantity(command, f"{path}.entries")
    if command.frame_id and not kind.has_header:
        fail(f"{path}.frame_id", f"is {command.frame_id!r}, but a {command.type} has no header; leave it out")
    _check_on_loss(command, f"{path}.on_loss")


def check_references(command: "Command", inputs: Sequence["InputEntry"], path: str) -> None:
    """Check that what is added to a number, or measures it, is an input's entry and of the same quantity."""
    units = {entry.name: entry.unit for entry in inputs}
    for index, entry in enumerate(command.entries):
        for key in ("relative_to", "measured"):
            given, at = getattr(entry, key), f"{path}.entries[{index}].{key}"
            if given is not None and given not in units:
                fail(at, f"is {given!r}, which no input gives; the inputs give", list(units))
            if given is not None and quantity_of(units[given]) and quantity_of(entry.unit):
                unit_factor(units[given], entry.unit, at)


def _check_input_entry(type_name: str, entry: "InputEntry", path: str) -> None:
    if entry.joint is not None:
        if type_name in FIELDS:
            fail(f"{path}.joint", f"{type_name} has no joints; write `field`, or type: {JOINT_STATE}")
        quantities = JOINT_QUANTITIES[str(entry.interface)] if type_name == JOINT_STATE else ()
        _check_unit(entry.unit, quantities, f"the {entry.interface} of {entry.joint}", type_name, f"{path}.unit")
        return
    field = str(entry.field)
    if type_name == JOINT_STATE:
        fail(f"{path}.field", f"a {type_name} is read by joint: {{joint: NAME, interface: position, unit: rad}}")
    if field.partition(".")[0] == "header":
        fail(f"{path}.field", f"is {field!r}, which is no measurement; the numbers of {type_name} are", _few(type_name))
    quantity = field_quantity(type_name, field)
    _check_unit(entry.unit, (quantity,) if quantity else (), field, type_name, f"{path}.unit")


def _check_unit(unit: str, quantities: Sequence[str], what: str, type_name: str, path: str) -> None:
    """Refuse a unit of another quantity; any is allowed where `quantities` is empty."""
    if quantities and quantity_of(unit) not in quantities:
        given = quantity_of(unit)
        known = "which has no dimension" if given == DIMENSIONLESS else f"a unit of {given}"
        problem = f"is {printable(unit, 40)!r}, {known if given else 'which is not a known unit'}, "
        fail(path, f"{problem}but {what} in a {type_name} is {' or '.join(quantities)}; use", units_of(quantities))


def _check_one_quantity(command: "Command", path: str) -> None:
    velocities = [entry.name for entry in command.entries if quantity_of(entry.unit) in VELOCITIES]
    positions = [entry.name for entry in command.entries if quantity_of(entry.unit) in POSITIONS]
    if velocities and positions:
        fail(
            path,
            f"mix velocities ({', '.join(velocities)}) and positions ({', '.join(positions)}); the points of a "
            f"{command.type} carry one or the other of all joints: give all units of angle and length, or all of speed",
        )


def _check_on_loss(command: "Command", path: str) -> None:
    if command.on_loss == "zero" and (unsafe := [e.name for e in command.entries if not _is_still_at_zero(e)]):
        fail(
            path,
            "is 'zero', which is no safe set point for positions, or for what may be positions; use 'hold', or 'call' "
            "with a `loss_service` that stops the robot. These are",
            unsafe,
        )
    if command.on_loss == "hold" and (moving := [e.name for e in command.entries if quantity_of(e.unit) in GO_ON]):
        fail(
            path,
            "is 'hold', which leaves the last set point in force, so that the robot goes on moving; use 'zero', or "
            "'call' with a `loss_service` that stops the robot. These are velocities or accelerations:",
            moving,
        )


def _is_still_at_zero(entry: "CommandEntry") -> bool:
    quantity = quantity_of(entry.unit)
    return quantity in STILL_AT_ZERO and (entry.relative_to is None or quantity in VELOCITIES)


def _few(type_name: str) -> list[str]:
    return field_names(type_name)[:8]
