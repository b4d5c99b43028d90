"""Length, padding and numbers of messages serialised as CDR, the encoding of all common ROS 2 middlewares."""

import re
from typing import Any, NamedTuple

import numpy as np

from vdd_ros.errors import ConfigurationError

HEADER = 4
_NUMBERS = {
    **{name: np.dtype(name) for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
    "boolean": np.dtype(np.bool_),
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
}
_SIZES = {"octet": 1, "char": 1, **{name: kind.itemsize for name, kind in _NUMBERS.items()}}
_LIST = re.compile(r"sequence<([^,<>]+)(?:, \d+)?>")
_ARRAY = re.compile(r"(.+)\[\d+\]")


class Number(NamedTuple):
    """A number of a serialised message.

    Attributes:
        place: Offset of its first byte.
        dtype: Its type.
    """

    place: int
    dtype: np.dtype[Any]


class CdrExtent:
    """The extent of a serialised message.

    Each number is aligned to its own size, counted from the end of the encapsulation header; an empty list has no
    alignment.

    Attributes:
        length: Length in bytes, including the header.
        gaps: Padding bytes before aligned values.
        numbers: All numbers of the message, in order, without the lengths of texts and lists.

    Raises:
        ConfigurationError: The message has a field of an unknown type.
    """

    def __init__(self, message: Any) -> None:
        self.gaps: list[slice] = []
        self.numbers: list[Number] = []
        self.length = HEADER
        self._message(message)

    def _message(self, message: Any) -> None:
        for name, kind in message.get_fields_and_field_types().items():
            self._value(getattr(message, name), kind)

    def _value(self, value: Any, kind: str) -> None:
        if kind in _SIZES:
            self._items((value,), kind)
        elif kind.startswith("string"):
            self._align(4)
            self.length += 4
            self.length += len(value.encode()) + 1
        elif found := _LIST.fullmatch(kind):
            self._align(4)
            self.length += 4
            self._items(value, found[1])
        elif found := _ARRAY.fullmatch(kind):
            self._items(value, found[1])
        elif hasattr(value, "get_fields_and_field_types"):
            self._message(value)
        else:
            raise ConfigurationError(f"a field of the type {kind} cannot be published here")

    def _items(self, values: Any, kind: str) -> None:
        size = _SIZES.get(kind)
        if size is None:
            for value in values:
                self._value(value, kind)
        elif len(values):
            self._align(size)
            first, self.length = self.length, self.length + size * len(values)
            if (dtype := _NUMBERS.get(kind)) is not None:
                self.numbers += [Number(place, dtype) for place in range(first, self.length, size)]

    def _align(self, size: int) -> None:
        if missing := (HEADER - self.length) % size:
            self.gaps.append(slice(self.length, self.length + missing))
            self.length += missing
