"""Checks that the entries of a robot file match the meaning of their messages."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vdd_ros.robot.command_rotations import HEADINGS, CommandRotation, form_of
from vdd_ros.robot.field_paths import elements, parse_path
from vdd_ros.robot.framing import frame_part
from vdd_ros.robot.messages.message import Message, names_action
from vdd_ros.robot.quantities import (
    DIMENSIONLESS,
    GO_ON,
    STILL_AT_ZERO,
    VELOCITIES,
    quantity_of,
    unit_factor,
    units_of,
)
from vdd_ros.robot.yaml_section import fail
from vdd_ros.text import printable

if TYPE_CHECKING:
    from vdd_ros.robot.command_entries import CommandEntry
    from vdd_ros.robot.commands import Command
    from vdd_ros.robot.entries import InputEntry
    from vdd_ros.robot.inputs import Input

JOINT_STATE, IMAGE = "sensor_msgs/msg/JointState", "sensor_msgs/msg/Image"
_FIELDS_SHOWN = 8


def check_input(source: "Input", path: str) -> None:
    """Check that each entry has a unit of the quantity of its field; raises RobotFileError naming the entry."""
    if not source.message.observed or names_action(source.type):
        fail(f"{path}.type", f"is {source.type!r}, a command type, which cannot be observed; give the sensor's type")
    if source.frame:
        _check_frame(source, path)
    if any(entry.shape for entry in source.entries):
        _check_array(source, path)
        return
    entries = [entry for entry in source.entries if entry.constant is None]
    if not entries:
        fail(f"{path}.entries", "are only constants; move them to an input that reads a number of its messages")
    if len({entry.joint is None for entry in entries}) > 1:
        fail(f"{path}.entries", "mixes `field` and `joint`; give two inputs on the same topic instead")
    for entry in entries:
        at = f"{path}.{entry.at}"
        if entry.joint is not None:
            _check_joint(source.message, entry, at)
        else:
            _check_field(source.message, entry, at)


def check_command(command: "Command") -> None:
    """Check the meaning of a command's entries, and of `on_loss` and `frame_id`; raises RobotFileError."""
    message, path = command.message, command.path
    for index, entry in enumerate(command.entries):
        at = f"{path}.entries[{index}]"
        if message.fields and entry.name not in message.field_names:
            fail(f"{at}.name", f"is {entry.name!r}; the numbers of a {message.type} are", message.field_names)
        if entry.tolerance is not None and not message.is_action:
            fail(f"{at}.tolerance", f"is for the goals of an action, not for a {message.type}; leave it out")
        if entry.scale == 1:  # a scale may have a unit of its own
            _check_unit(entry.unit, message.quantities(entry.name), entry.name, message.type, f"{at}.unit")
    _check_complete(command, f"{path}.entries")
    _check_one_list(command, f"{path}.entries")
    if command.frame_id and not message.has_header:
        fail(f"{path}.frame_id", f"is {command.frame_id!r}, but a {message.type} has no header; leave it out")
    _check_on_loss(command, f"{path}.on_loss")


def check_references(command: "Command", inputs: Sequence["Input"]) -> None:
    """Check that references and measurements of command numbers are input entries of the same quantity."""
    entries = [entry for source in inputs for entry in source.entries]
    units = {entry.name: entry.unit for entry in entries if not entry.shape}
    arrays = {entry.name for entry in entries if entry.shape}
    turned = [entry.name for entry in entries if entry.rotation]
    measure_nothing = _measure_nothing(inputs)
    for index, entry in enumerate(command.entries):
        if entry.rotation is not None and entry.rotation.measured is not None:
            _check_measured_rotation(entry.rotation, turned, f"{command.path}.entries[{index}].measured")
        for key, given in (("relative_to", entry.reference), ("measured", entry.measured)):
            at = f"{command.path}.entries[{index}].{key}"
            if given in arrays:
                fail(at, f"is {given!r}, an array; give an entry that is a single number")
            if given is not None and given not in units:
                fail(at, f"is {given!r}, which is not an entry of any input; the entries are", list(units))
            if given in measure_nothing:
                fail(
                    at, f"is {given!r}, {measure_nothing[given]}; give an entry that a message measures, such as", units
                )
            if given is not None and quantity_of(units[given]) and quantity_of(entry.unit):
                unit_factor(units[given], entry.unit, at)


def _check_frame(source: "Input", path: str) -> None:
    """Check that every number of an input can be transformed into another frame."""
    for entry in source.entries:
        if entry.constant is not None:
            continue
        field = f"{entry.field}.x" if entry.rotation else str(entry.field)
        if entry.shape or entry.field is None or not frame_part(source.message, field):
            fail(
                f"{path}.frame",
                f"is for positions and orientations of a described type with a header; {entry.name} is not one. Move "
                f"it to a separate input on the same topic, without `frame`",
            )


def _check_measured_rotation(rotation: CommandRotation, names: list[str], path: str) -> None:
    form = form_of(rotation.measured, names)
    if form is None:
        problem = f"is {rotation.measured!r}, which is not a `rotation` of any input; the rotations are"
        fail(path, problem, names or ["none"])
    if form in HEADINGS and rotation.form != "yaw":
        fail(
            path,
            f"is {rotation.measured!r}, of which only the yaw is read, but `rotation: {rotation.form}` commands the "
            "whole orientation: the first command would start upright, wherever the robot is. Read the input's "
            "quaternion with `rotation: six_d` or `vector`",
        )


def _measure_nothing(inputs: Sequence["Input"]) -> dict[str, str]:
    """Return the entries that a command must not refer to, and why."""
    found = {
        entry.name: "a last command" if entry.commands else "part of an input that may be old (`when_stale: keep`)"
        for s in inputs
        if s.is_kept
        for entry in s.entries
    }
    for entry in (entry for source in inputs for entry in source.entries):
        if entry.constant is not None:
            found[entry.name] = "a constant"
        elif entry.minus is not None or entry.hidden:
            found[entry.name] = "hidden" if entry.hidden else "a difference"
    return found


def check_entries(inputs: Sequence["Input"], last_commands: Sequence["Input"]) -> None:
    """Check differences and hidden entries, and that not every input may be old; raises RobotFileError naming it."""
    entries = {entry.name: entry for source in (*inputs, *last_commands) for entry in source.entries}
    for source in inputs:
        for entry in source.entries:
            at = f"inputs.{source.name}.{entry.at}"
            if entry.minus is not None:
                _check_difference(entry, entries, f"{at}.minus")
            if entry.hidden and all(other.minus != entry.name for other in entries.values()):
                fail(f"{at}.hidden", "is true, but no entry subtracts this one (`minus`); leave the entry out")
    if all(source.is_kept for source in inputs):
        path = f"inputs.{inputs[0].name}.when_stale"
        fail(path, "is 'keep' in every input, so a robot without sensors would move; leave it out in at least one")


def _check_difference(entry: "InputEntry", entries: Mapping[str, "InputEntry"], path: str) -> None:
    other = entries.get(str(entry.minus))
    if other is None:
        fail(
            path,
            f"is {printable(repr(entry.minus), 60)}, which is not an entry of any input; the entries are",
            list(entries),
        )
    if other.shape or other.encode or other.parts > 1 or other.minus is not None:
        fail(path, f"is {entry.minus!r}, which is an array, an encoded number or a difference; give another entry")
    unit_factor(other.unit, entry.unit, path)


def _check_array(source: "Input", path: str) -> None:
    """Check that an array is the only entry of its input, and that the message can carry it."""
    message, entry = source.message, next(entry for entry in source.entries if entry.shape)
    at = f"{path}.{entry.at}"
    if entry.encoding is not None and (entry.scale != 1 or entry.offset):
        fail(at, "scales pixels, which are not converted; leave out `scale` and `offset`")
    if len(source.entries) > 1:
        fail(
            at,
            f"is an array of the shape {list(entry.shape)}, which needs a separate input; give two inputs on the same "
            f"topic instead",
        )
    if entry.max_rate is not None:
        fail(f"{at}.max_rate", "is for single numbers, not for arrays; leave it out")
    if entry.joints:
        if message.named_by not in ("joint", ""):
            fail(f"{at}.joints", f"{message.type} has no joints; write `field`, or type: {JOINT_STATE}")
        _check_unit(entry.unit, message.lists.get(str(entry.interface), ()), "joints", message.type, f"{at}.unit")
    elif entry.encoding is not None:
        _check_pixels(message, entry, at)
    else:
        _check_field(message, entry, at)
        _check_slice(entry, at)


def _check_slice(entry: "InputEntry", path: str) -> None:
    """Refuse an array whose path goes into several messages, or to one element found by label."""
    *before, last = parse_path(str(entry.field))
    if any(isinstance(step.element, range) for step in before) or isinstance(last.element, int | str):
        fail(f"{path}.field", f"is {entry.field!r}, not a list of numbers; with `shape`, name a list or a slice of one")


def _check_pixels(message: Message, entry: "InputEntry", path: str) -> None:
    encoding = message.encodings.get(str(entry.encoding))
    if not message.encodings:
        fail(f"{path}.encoding", f"a {message.type} is not an image; write `field`, or type: {IMAGE}")
    if encoding is None:
        fail(f"{path}.encoding", f"is {printable(repr(entry.encoding), 40)}; allowed are", list(message.encodings))
    allowed = [(encoding.channels,)] if encoding.channels > 1 else [(), (1,)]
    if len(entry.shape) < 2 or entry.shape[2:] not in allowed:
        forms = " or ".join(str(["HEIGHT", "WIDTH", *channels]).replace("'", "") for channels in allowed)
        fail(f"{path}.shape", f"is {list(entry.shape)}; an array of {entry.encoding} pixels has the shape {forms}")
    _check_unit(entry.unit, encoding.quantities, f"a pixel of {entry.encoding}", message.type, f"{path}.unit")


def _check_joint(message: Message, entry: "InputEntry", path: str) -> None:
    if message.named_by not in ("joint", ""):
        fail(f"{path}.joint", f"{message.type} has no joints; write `field`, or type: {JOINT_STATE}")
    quantities = message.lists.get(str(entry.interface), ())
    if entry.scale == 1:  # a scale may have a unit of its own
        what = f"the {entry.interface} of {entry.joint}"
        _check_unit(entry.message_unit, quantities, what, message.type, f"{path}.unit")


def _check_field(message: Message, entry: "InputEntry", path: str) -> None:
    field = str(entry.field)
    if message.named_by == "joint":
        fail(f"{path}.field", f"a {message.type} is read by joint: {{joint: NAME, interface: position, unit: rad}}")
    if field.partition(".")[0] == "header":
        shown = message.field_names[:_FIELDS_SHOWN]
        fail(f"{path}.field", f"is {field!r}, which is not a measurement; the numbers of {message.type} are", shown)
    if entry.rotation:
        _check_quaternion(message, field, path)
    elif entry.scale == 1:
        _check_unit(entry.message_unit, message.field_quantities(field), field, message.type, f"{path}.unit")


def _check_quaternion(message: Message, field: str, path: str) -> None:
    """Refuse a rotation of a field that is not a quaternion, as far as the type is described."""
    paths = elements(field)
    if len(paths) not in (1, 4):
        fail(f"{path}.field", f"is {field!r}, {len(paths)} numbers; a quaternion has the four numbers x, y, z and w")
    if len(paths) == 1 and message.fields and not _is_quaternion(message, field):
        known = sorted({n.rpartition(".")[0] for n in message.field_names if n.endswith(".w")} - {""})
        fail(
            f"{path}.field",
            f"is {field!r}, which is not a quaternion of a {message.type}; the quaternions are",
            known or ["none"],
        )


def _is_quaternion(message: Message, field: str) -> bool:
    return all(message.field_quantities(f"{field}.{part}") == (DIMENSIONLESS,) for part in "xyzw")


def _check_unit(unit: str, quantities: Sequence[str], what: str, type_name: str, path: str) -> None:
    """Refuse a unit of another quantity; any is allowed if `quantities` is empty."""
    if quantities and quantity_of(unit) not in quantities:
        given = quantity_of(unit)
        known = "which has no dimension" if given == DIMENSIONLESS else f"a unit of {given}"
        problem = f"is {printable(unit, 40)!r}, {known if given else 'which is not a known unit'}, "
        fail(path, f"{problem}but {what} in a {type_name} is {' or '.join(quantities)}; use", units_of(quantities))


def _check_complete(command: "Command", path: str) -> None:
    given = [entry.name for entry in command.entries]
    if command.message.complete and (missing := [n for n in command.message.field_names if n not in given]):
        fail(
            path,
            f"give {len(given)} of the numbers of a {command.type}; omitted numbers would be commanded with their "
            f"default values, so give these too:",
            missing,
        )


def _check_one_list(command: "Command", path: str) -> None:
    """Refuse joints whose numbers belong to several lists of the message."""
    lists: dict[str, list[str]] = {}
    for entry in command.entries if command.message.lists else ():
        lists.setdefault(command.message.list_of(entry.unit), []).append(entry.name)
    if len(lists) > 1:
        mixed = " and ".join(f"{name} ({', '.join(entries)})" for name, entries in lists.items())
        fail(
            path,
            f"mix {mixed}; a {command.type} carries only one of them for all joints: use units of one kind, such as "
            f"only angles and lengths, or only speeds",
        )


def _check_on_loss(command: "Command", path: str) -> None:
    if command.on_loss == "zero" and (unsafe := _unsafe_at_zero(command)):
        fail(
            path,
            "is 'zero', which is not a safe set point for positions, or for possible positions; use 'hold', or 'call' "
            "with a `loss_service` that stops the robot. These are",
            unsafe,
        )
    if command.message.is_action:  # the fail-safe cancels its goals
        return
    if command.on_loss == "hold" and (moving := [e.name for e in command.entries if _goes_on(command, e)]):
        fail(
            path,
            "is 'hold', which keeps the last set point, so the robot would keep moving; use 'zero', or "
            "'call' with a `loss_service` that stops the robot. These are velocities or accelerations:",
            moving,
        )


def _unsafe_at_zero(command: "Command") -> list[str]:
    safe = command.message.zero_is_safe
    return [entry.name for entry in command.entries if not (safe and _is_still_at_zero(entry))]


def _goes_on(command: "Command", entry: "CommandEntry") -> bool:
    """Return whether the robot keeps moving with this number, by its unit or, if scaled, by its field."""
    return bool({quantity_of(entry.unit), *command.message.field_quantities(entry.name)} & set(GO_ON))


def _is_still_at_zero(entry: "CommandEntry") -> bool:
    quantity = quantity_of(entry.unit)
    return quantity in STILL_AT_ZERO and (entry.relative_to is None or quantity in VELOCITIES)
