"""Conformance test of another package's message type, for robot files, nodes and bags."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ConformanceError, ObservationError
from vdd_ros.robot.channels import set_stamp, stamp_ns
from vdd_ros.robot.checks import check_command
from vdd_ros.robot.command_entries import CommandEntry
from vdd_ros.robot.commands import Command
from vdd_ros.robot.entries import InputEntry
from vdd_ros.robot.layouts import Layout, PointLayout
from vdd_ros.robot.messages import MESSAGES
from vdd_ros.robot.messages.message import NAMED_BY, Message, names_action
from vdd_ros.robot.names import usual_action, usual_type
from vdd_ros.robot.quantities import STILL_AT_ZERO, quantity_of, units_of
from vdd_ros.testing.message_arrays import Draw, check_array_inputs
from vdd_ros.testing.message_rules import (
    JOINTS,
    QUANTITIES,
    New,
    accepted,
    accepted_input,
    fail,
    other_units,
    refused,
    refused_input,
)
from vdd_ros.testing.names import check_name
from vdd_ros.text import printable

Floats = NDArray[np.float64]

POINTS = 3
PERIOD_S = 0.1
STAMP_NS = 1_795_497_329_626_421_200


class _Numbers(NamedTuple):
    """Names of the numbers of one command, and their units."""

    names: Sequence[str]
    units: Sequence[str]


def check_message(message: Message, new: New | None = None, draw: Draw | None = None) -> None:
    """Check a message type or an action: numbers and arrays are restored, and nothing else is accepted.

    Each field that it names must be a number of the message; the header must exist as declared. Observations and
    commands are written and read back number by number. Joints, lists of numbers and images are read as arrays, and
    refused in another form. Units of other quantities, unknown fields and, in a complete message, missing numbers are
    refused. `on_loss: zero` passes only if zeros are safe. The type must not ship with vdd_ros, nor be registered by
    two packages.

    Args:
        message: The object of the entry point.
        new: Makes a default message, or a default goal of an action, by the type's name; by default from the installed
            packages.
        draw: Makes a message from an encoding and pixels, (height, width) or (height, width, channels); needed by a
            type with encodings but without the fields of a sensor_msgs/msg/Image.

    Raises:
        ConformanceError: The first violation.
    """
    if not isinstance(message, Message):
        raise ConformanceError(f"{printable(repr(message), 100)} is a {type(message).__name__}, not a Message")
    try:
        _check_all(message, new or _installed, draw)
    except ConformanceError:
        raise
    except Exception as error:  # foreign code may raise anything
        raise ConformanceError(f"message type {printable(message.type)}: {type(error).__name__}: {error}") from error


def _check_all(message: Message, new: New, draw: Draw | None) -> None:
    if message.is_action and usual_action(message.type) != message.type:
        fail(message, "its type must be written package/action/Name, as in control_msgs/action/GripperCommand")
    if not message.is_action and usual_type(message.type) != message.type:
        fail(message, "its type must be written package/msg/Name, as in geometry_msgs/msg/PoseStamped")
    if message.named_by not in NAMED_BY:
        fail(message, f"named_by is {message.named_by!r}; allowed are {', '.join(map(repr, NAMED_BY))}")
    if not (message.observed or message.commands):
        fail(message, "it can neither be observed nor used as a command")
    _check_quantities(message)
    _check_header(message, new(message.type))
    _check_fields(message, new(message.type))
    if message.observed:
        _check_observed(message, new)
        check_array_inputs(message, new, draw)
    if message.commands:
        for numbers in _commands(message):
            _check_command(message, numbers, new)
        _check_quaternions(message)
    check_name(MESSAGES, message.type, message)


def _check_quantities(message: Message) -> None:
    listed = [quantity for allowed in message.lists.values() for quantity in allowed]
    for quantity in [*listed, *(message.field_quantities(name)[0] for name in message.field_names)]:
        if quantity not in QUANTITIES:
            fail(message, f"{printable(repr(quantity))} is not a quantity; allowed are {', '.join(QUANTITIES)}")


def _check_header(message: Message, empty: Any) -> None:
    if hasattr(empty, "header") != message.has_header:
        fail(message, f"has_header is {message.has_header}, but its messages {_have(empty)} header")
    if message.has_header:
        set_stamp(empty, STAMP_NS)
        if stamp_ns(empty) != STAMP_NS:
            fail(message, "a stamp set in its header is not read back")
    if message.keeps_zero_stamp and not message.has_header:
        fail(message, "keeps_zero_stamp means nothing without a header")


def _check_fields(message: Message, empty: Any) -> None:
    for name in message.field_names:
        try:
            value = attrgetter(name)(empty)
        except AttributeError:
            fail(message, f"its messages have no field {name}")
        if not isinstance(value, int | float):
            fail(message, f"{name} is {type(value).__name__}, not a number")


def _check_observed(message: Message, new: New) -> None:
    """Read inputs of all its numbers, and refuse units of other quantities."""
    for entries in _inputs(message):
        accepted_input(message, "an input", entries)
        _check_layout(message, message.input_layout(entries), lambda: new(message.type), len(entries))
        for entry in entries:
            allowed = message.lists[str(entry.interface)] if entry.joint else message.field_quantities(str(entry.field))
            for unit in other_units(allowed):
                what = f"an input whose {entry.field or entry.joint} is in {unit}"
                refused_input(message, what, [replace(entry, unit=unit)])


def _inputs(message: Message) -> Iterator[list[InputEntry]]:
    """Yield the entries of inputs that contain every number once."""
    if message.named_by == "joint":
        for interface, quantities in message.lists.items():
            unit = units_of(quantities)[0]
            yield [InputEntry(f"o{i}", unit, joint=joint, interface=interface) for i, joint in enumerate(JOINTS)]
    elif message.field_names:
        yield [
            InputEntry(f"o{index}", units_of(message.field_quantities(name))[0], field=name)
            for index, name in enumerate(message.field_names)
        ]


def _commands(message: Message) -> Iterator[_Numbers]:
    """Yield commands of all quantities that the message can carry."""
    if message.fields:
        names = message.field_names
        yield _Numbers(names, [units_of(message.field_quantities(name))[0] for name in names])
        return
    for quantity in message.quantities(JOINTS[0]) or QUANTITIES:
        yield _Numbers(JOINTS, [units_of((quantity,))[0]] * len(JOINTS))


def _check_command(message: Message, numbers: _Numbers, new: New) -> None:
    accepted(message, f"a command in {numbers.units[0]}", partial(_command, message, numbers))
    layout = message.command_layout(numbers.names, numbers.units)
    _check_layout(message, layout, lambda: message.empty(new, period_s=PERIOD_S), len(numbers.names))
    if message.observed and message.named_by != "label":
        _check_observed_command(message, numbers, layout, message.empty(new, period_s=PERIOD_S))
    if message.has_points:
        _check_points(message, layout, new, len(numbers.names))
    for index, name in enumerate(numbers.names):
        for unit in other_units(message.field_quantities(name) if message.fields else message.quantities(name)):
            wrong = _Numbers(numbers.names, [*numbers.units[:index], unit, *numbers.units[index + 1 :]])
            refused(message, f"a command whose {name} is in {unit}", partial(_command, message, wrong))
    if message.fields:
        wrong = _Numbers([*numbers.names[:-1], "no_such_field"], numbers.units)
        refused(message, "a command of a field that it does not have", partial(_command, message, wrong))
    if message.complete and len(numbers.names) > 1:
        part = _Numbers(numbers.names[:-1], numbers.units[:-1])
        refused(message, f"a command without {numbers.names[-1]}", partial(_command, message, part))
    _check_zero(message, numbers)


def _check_observed_command(message: Message, numbers: _Numbers, layout: Layout, made: Any) -> None:
    """Read a command as an input: its numbers must be found under the same names."""
    entries = [
        InputEntry(name, unit, joint=name, interface=message.list_of(unit))
        if message.named_by == "joint"
        else InputEntry(name, unit, field=name)
        for name, unit in zip(numbers.names, numbers.units, strict=True)
    ]
    values = np.eye(len(entries))[0]
    layout.write(values, made)
    _compare(message, message.input_layout(entries), values, made)


def _check_zero(message: Message, numbers: _Numbers) -> None:
    """Require that `on_loss: zero` is accepted exactly if zeros are neither a position nor a rotation."""
    still = all(quantity_of(unit) in STILL_AT_ZERO for unit in numbers.units)
    judge = accepted if still and message.zero_is_safe else refused
    judge(message, f"on_loss: zero in {numbers.units[0]}", partial(_command, message, numbers, "zero"))


def _check_quaternions(message: Message) -> None:
    parents = {name.rpartition(".")[0] for name in message.field_names}
    for parent in parents:
        parts = {name.rpartition(".")[2] for name in message.field_names if name.rpartition(".")[0] == parent}
        if parts == set("xyzw") and message.zero_is_safe:
            fail(message, f"{parent} is a quaternion, and zeros are not a rotation: set zero_is_safe to False")


def _check_layout(message: Message, layout: Layout, make: Callable[[], Any], count: int) -> None:
    """Write and read numbers: zeros, and ones at each position, which every number type can hold."""
    for values in (np.zeros(count), *np.eye(count), np.ones(count), np.zeros(count)):
        written = make()
        layout.write(values, written)
        _compare(message, layout, values, written)
    reused = make()
    for values in (*np.eye(count), np.zeros(count)):
        layout.write(values, reused)
        _compare(message, layout, values, reused)


def _compare(message: Message, layout: Layout, values: Floats, written: Any) -> None:
    found = np.full(len(values), np.nan)
    try:
        layout.read(written, found)
    except ObservationError as error:
        fail(message, f"its layout does not read what it wrote: {error}")
    if not np.array_equal(found, values):
        fail(message, f"its layout wrote {values.tolist()} and read {found.tolist()}")


def _check_points(message: Message, layout: Layout, new: New, count: int) -> None:
    if not isinstance(layout, PointLayout):
        fail(message, "has_points is True, but its layout has no write_point")
    made = message.empty(new, points=POINTS, period_s=PERIOD_S)
    for number in range(POINTS):
        layout.write_point(np.full(count, float(number == 0)), made, number)
    _compare(message, layout, np.ones(count), made)


def _command(message: Message, numbers: _Numbers, on_loss: str = "call") -> None:
    entries = tuple(
        CommandEntry(name, f"a{index}", None, unit, 0.0, 1.0, 1.0, None, 1.0)
        for index, (name, unit) in enumerate(zip(numbers.names, numbers.units, strict=True))
    )
    check_command(Command("command", message, on_loss, "stop" if on_loss == "call" else None, "", entries))


def _have(empty: Any) -> str:
    return "have a" if hasattr(empty, "header") else "have no"


def _installed(type_name: str) -> Any:
    """Return a message, or a goal of an action, of an installed package."""
    package, kind, name = type_name.split("/")
    found = getattr(import_module(f"{package}.{kind}"), name)
    return found.Goal() if names_action(type_name) else found()
