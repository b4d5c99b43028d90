"""Conformance test of the arrays of a message type: joints, lists of numbers and images as separate inputs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError
from vdd_ros.features import DTYPES
from vdd_ros.robot.array_readers import ArrayReader, Encoding
from vdd_ros.robot.entries import JOINT_INTERFACES, InputEntry
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import units_of
from vdd_ros.robot.raw_messages import SelectiveArrayReader
from vdd_ros.testing.message_rules import JOINTS, QUANTITIES, New, accepted_input, fail, other_units, refused_input
from vdd_ros.text import printable

Draw = Callable[[str, NDArray[Any]], Any]
"""Makes an image message of an encoding from pixels, (height, width) or (height, width, channels)."""

ROWS, COLUMNS = 2, 3
LENGTH = 6
"""Length of a list of free length."""
_DEEPEST = 6
_IMAGE_FIELDS = ("height", "width", "encoding", "is_bigendian", "step", "data")


def check_array_inputs(message: Message, new: New, draw: Draw | None = None) -> None:
    """Check that the arrays of a message type are read unchanged, and that others are refused.

    Args:
        message: The type.
        new: Makes an empty message.
        draw: Makes an image; by default one with the fields of a sensor_msgs/msg/Image.

    Raises:
        ConformanceError: The first violation.
    """
    if message.named_by == "joint":
        for interface, quantities in message.lists.items():
            if interface in JOINT_INTERFACES:
                _check_joints(message, interface, quantities, new)
    else:
        _check_lists(message, new)
    for name, encoding in message.encodings.items():
        _check_encoding(message, name, encoding)
        _check_image(message, name, new, draw)


def _check_joints(message: Message, interface: str, quantities: Sequence[str], new: New) -> None:
    unit = units_of(quantities or QUANTITIES)[0]
    entry = InputEntry("joints", unit, joints=JOINTS, interface=interface, shape=(len(JOINTS),))
    accepted_input(message, f"an array of the {interface} of joints", [entry])
    for other in other_units(quantities):
        refused_input(message, f"an array of the {interface} of joints in {other}", [replace(entry, unit=other)])
    numbers = np.arange(1.0, len(JOINTS) + 1)
    for order in (JOINTS, JOINTS[::-1]):
        single = [InputEntry(joint, unit, joint=joint, interface=interface) for joint in order]
        made = new(message.type)
        message.input_layout(single).write(numbers, made)
        expected = numbers if order == JOINTS else numbers[::-1]
        _check_read(message, entry, made, expected.astype(np.float32), new)
    fewer = new(message.type)
    message.input_layout(single[:-1]).write(numbers[:-1], fewer)
    _check_unreadable(message, entry, fewer, f"without the joint {order[-1]}")


def _check_lists(message: Message, new: New) -> None:
    """Check every list of numbers, flat and by rows and columns."""
    for path, length in _lists(new(message.type)):
        made = new(message.type)
        if (numbers := _filled(made, path, length)) is None:
            continue  # a list of something else
        quantities = message.field_quantities(path)
        shapes = [(length,), (length // 2, 2)] if length % 2 == 0 else [(length,)]
        for shape in shapes:
            entry = InputEntry("numbers", units_of(quantities or QUANTITIES)[0], field=path, shape=shape)
            accepted_input(message, f"{path} as an array", [entry])
            _check_read(message, entry, made, np.array(numbers, np.float32).reshape(shape), new)
        longer = replace(entry, shape=(length + 1,))
        _check_unreadable(message, longer, made, f"whose {path} has {length} numbers where {length + 1} are expected")


def _lists(part: Any, before: str = "", depth: int = 0) -> Iterator[tuple[str, int]]:
    """Yield the path of each list of a message outside its header, and its intended length."""
    for name in _names_of(part):
        value = getattr(part, name)
        if isinstance(value, str | bytes | bool | int | float) or (name == "header" and not before):
            continue
        if hasattr(value, "__len__"):
            yield before + name, len(value) or LENGTH
        elif depth < _DEEPEST and not isinstance(value, type | ModuleType):
            yield from _lists(value, f"{before}{name}.", depth + 1)


def _names_of(part: Any) -> list[str]:
    """Return the names of a message's fields."""
    if hasattr(part, "get_fields_and_field_types"):
        return list(part.get_fields_and_field_types())
    return [name for name in getattr(part, "__dict__", {}) if not name.startswith("_")]


def _filled(made: Any, path: str, length: int) -> list[Any] | None:
    """Put numbers into a list of a message and return them; None if it holds no numbers."""
    parent, _, leaf = path.rpartition(".")
    holder = attrgetter(parent)(made) if parent else made
    counted = [1 + number % 100 for number in range(length)]
    kinds: list[list[Any]] = [[float(one) for one in counted], counted, [one % 2 == 1 for one in counted]]
    for numbers in kinds:
        try:
            setattr(holder, leaf, numbers)
        except Exception:  # message classes refuse other types in different ways
            continue
        return numbers
    return None


def _check_encoding(message: Message, name: str, encoding: Encoding) -> None:
    if encoding.dtype not in DTYPES:
        fail(message, f"encodings['{name}'] has the dtype {encoding.dtype!r}; allowed are {', '.join(DTYPES)}")
    if encoding.channels < 1:
        fail(message, f"encodings['{name}'] has {encoding.channels} channels; there must be at least 1")
    for quantity in encoding.quantities:
        if quantity not in QUANTITIES:
            known = ", ".join(QUANTITIES)
            fail(message, f"encodings['{name}']: {printable(repr(quantity))} is not a quantity; allowed are {known}")


def _check_image(message: Message, name: str, new: New, draw: Draw | None) -> None:
    encoding = message.encodings[name]
    shape = (ROWS, COLUMNS, encoding.channels) if encoding.channels > 1 else (ROWS, COLUMNS)
    pixels = np.arange(1, np.prod(shape) + 1).reshape(shape).astype(encoding.dtype)
    unit = units_of(encoding.quantities or QUANTITIES)[0]
    entry = InputEntry("image", unit, encoding=name, shape=shape)
    accepted_input(message, f"an image of {name}", [entry])
    for other in other_units(encoding.quantities):
        refused_input(message, f"an image of {name} in {other}", [replace(entry, unit=other)])
    images = [draw(name, pixels)] if draw else list(_images(message, new, name, pixels))
    for made in images:
        _check_read(message, entry, made, pixels, new)
    if encoding.reversed:
        swapped = np.ascontiguousarray(pixels[..., ::-1])
        made = draw(encoding.reversed, swapped) if draw else next(_images(message, new, encoding.reversed, swapped))
        _check_read(message, entry, made, pixels, new)
    taller = replace(entry, shape=(ROWS + 1, *shape[1:]))
    _check_unreadable(message, taller, images[0], f"of {ROWS} rows where {ROWS + 1} are expected")


def _images(message: Message, new: New, encoding: str, pixels: NDArray[Any]) -> Iterator[Any]:
    """Yield a picture as the fields of a sensor_msgs/msg/Image: plain, and with padded rows in either byte order."""
    if lacking := [name for name in _IMAGE_FIELDS if not hasattr(new(message.type), name)]:
        fail(message, f"it has encodings, but no {', '.join(lacking)}; give check_message a `draw` that makes images")
    for padding, big in ((0, False), (5, False), (5, True)):
        ordered = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<"))
        rows = ordered.view(np.uint8).reshape(len(pixels), -1)
        padded = np.pad(rows, ((0, 0), (0, padding)))
        made = new(message.type)
        made.height, made.width = pixels.shape[:2]
        made.encoding, made.is_bigendian, made.step = encoding, int(big), padded.shape[1]
        made.data = padded.tobytes()
        yield made


def _check_read(message: Message, entry: InputEntry, made: Any, expected: NDArray[Any], new: New) -> None:
    """Require that the reader returns an array, from a message and from the values of its fields."""
    reader, what = message.array_reader(entry), _what(entry)
    reader.check(new(message.type), "inputs.robot")
    found = _blank(expected.shape, expected.dtype)
    _read(message, what, lambda: reader.read(made, found))
    _compare(message, what, found, expected)
    if isinstance(reader, SelectiveArrayReader):
        found = _blank(expected.shape, expected.dtype)
        values = [attrgetter(path)(made) for path in reader.paths]
        _read(message, what, lambda: reader.take(values, found))
        _compare(message, f"{what}, taken from {', '.join(reader.paths)},", found, expected)


def _read(message: Message, what: str, read: Callable[[], None]) -> None:
    try:
        read()
    except ObservationError as error:
        fail(message, f"{what} is not read: {error}")


def _compare(message: Message, what: str, found: NDArray[Any], expected: NDArray[Any]) -> None:
    if not np.array_equal(found, expected):
        fail(message, f"{what} holds {expected.tolist()}, but is read as {found.tolist()}")


def _check_unreadable(message: Message, entry: InputEntry, made: Any, form: str) -> None:
    """Require that a message of the wrong form raises ObservationError and leaves the array unchanged."""
    reader: ArrayReader = message.array_reader(entry)
    dtype = message.encodings[entry.encoding].dtype if entry.encoding else "float32"
    found = _blank(entry.shape, np.dtype(dtype))
    before = found.copy()
    try:
        reader.read(made, found)
    except ObservationError:
        if not np.array_equal(found, before):
            fail(message, f"{_what(entry)} of a message {form} is refused, but partly read")
        return
    fail(message, f"{_what(entry)} of a message {form} is read; its reader must raise ObservationError")


def _what(entry: InputEntry) -> str:
    if entry.joints:
        return f"the array of the {entry.interface} of joints"
    return f"the image of {entry.encoding}" if entry.encoding else f"the array {entry.field}"


def _blank(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array of numbers that occur in no test message."""
    return np.full(shape, 111, dtype)
