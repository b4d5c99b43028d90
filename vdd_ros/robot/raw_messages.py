"""Reads the entries of an input from serialised messages: by field if the layout supports it, otherwise as a whole."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias, runtime_checkable

from numpy.typing import NDArray

from vdd_ros.errors import SchemaError
from vdd_ros.robot.array_readers import ArrayReader
from vdd_ros.robot.cdr.columns import Columns, read_columns, read_singly
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.cdr.packed import Packed
from vdd_ros.robot.cdr.readers import NumberReader, Pick, ValueReader
from vdd_ros.robot.layouts import Layout

Read: TypeAlias = Callable[[Any, NDArray[Any]], int | None]
"""Copies entries out of a message into an array and returns its stamp in nanoseconds, or None."""


@runtime_checkable
class SelectiveLayout(Layout, Protocol):
    """A layout that can locate its numbers; see `vdd_ros.robot.cdr.readers.Selection`."""

    paths: tuple[str, ...]

    def select(self, values: Sequence[Any]) -> Sequence[Pick]:
        """Return the location of each number; raises ObservationError if one is missing."""
        ...


@runtime_checkable
class SelectiveArrayReader(ArrayReader, Protocol):
    """An array reader that needs only some fields.

    Attributes:
        paths: The fields.
    """

    paths: tuple[str, ...]

    def take(self, values: Sequence[Any], out: NDArray[Any]) -> None:
        """Copy the array out of the values of the fields; see `ArrayReader.read`."""
        ...


def numbers_of(form: MessageFormat, layout: Layout, whole: Read) -> Read:
    """Return a function that reads the numbers of a layout from bytes.

    Args:
        form: Form of the messages.
        layout: The numbers.
        whole: Reads them from a message, if they cannot be located in the bytes.
    """
    reader = reader_of(form, layout)
    return _deserializing(form, whole) if reader is None else reader.read


def reader_of(form: MessageFormat, layout: Layout) -> NumberReader | None:
    """Return a reader of the numbers of a layout; None if they cannot be located in the bytes."""
    if form.schema is not None and isinstance(layout, SelectiveLayout):
        try:
            return NumberReader(form.schema, layout)
        except SchemaError:  # a value of unknown form, or a missing field, which reading a whole message reports
            pass
    return None


def columns_of(form: MessageFormat, layout: Layout, count: int, whole: Read) -> Callable[[Packed], Columns]:
    """Return a function that reads the numbers of a layout, `count`, from many messages at once.

    The result equals that of `numbers_of` on each.
    """
    reader = reader_of(form, layout)
    if reader is not None:
        return partial(read_columns, reader, count=count)
    return partial(read_singly, _deserializing(form, whole), count=count)


def array_of(form: MessageFormat, reader: ArrayReader, whole: Read) -> Read:
    """Return a function that reads an array from bytes; arguments as of `numbers_of`."""
    if form.schema is not None and isinstance(reader, SelectiveArrayReader):
        try:
            values = ValueReader(form.schema, reader.paths)
        except SchemaError:
            return _deserializing(form, whole)
        return _taking(values, reader)
    return _deserializing(form, whole)


def _taking(values: ValueReader, reader: SelectiveArrayReader) -> Read:
    def read(content: bytes, out: NDArray[Any]) -> int | None:
        stamp, found = values.read(content)
        reader.take(found, out)
        return stamp

    return read


def _deserializing(form: MessageFormat, whole: Read) -> Read:
    return lambda content, out: whole(form.message(content), out)
