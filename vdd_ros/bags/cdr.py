"""Where a message ends once it is serialised as CDR, as all middlewares of ROS 2 in use do, and where it has gaps."""

import re
from typing import Any

from vdd_ros.errors import ConfigurationError

HEADER = 4
_SIZES = {
    **dict.fromkeys(("boolean", "octet", "char", "int8", "uint8"), 1),
    **dict.fromkeys(("int16", "uint16"), 2),
    **dict.fromkeys(("int32", "uint32", "float"), 4),
    **dict.fromkeys(("int64", "uint64", "double"), 8),
}
_LIST = re.compile(r"sequence<([^,<>]+)(?:, \d+)?>")
_ARRAY = re.compile(r"(.+)\[\d+\]")


class CdrExtent:
    """The extent of a serialised message.

    Each number is aligned to its own size, counted from behind the header of the encapsulation; an empty list aligns
    nothing.

    Attributes:
        length: In bytes, the header included.
        gaps: Bytes that belong to nothing, left out to align what follows them.

    Raises:
        ConfigurationError: The message has a field of a type that is not known here.
    """

    def __init__(self, message: Any) -> None:
        self.gaps: list[slice] = []
        self.length = HEADER
        self._message(message)

    def _message(self, message: Any) -> None:
        for name, kind in message.get_fields_and_field_types().items():
            self._value(getattr(message, name), kind)

    def _value(self, value: Any, kind: str) -> None:
        if size := _SIZES.get(kind):
            self._numbers(size, 1)
        elif kind.startswith("string"):
            self._numbers(4, 1)
            self.length += len(value.encode()) + 1
        elif found := _LIST.fullmatch(kind):
            self._numbers(4, 1)
            self._items(value, found[1])
        elif found := _ARRAY.fullmatch(kind):
            self._items(value, found[1])
        elif hasattr(value, "get_fields_and_field_types"):
            self._message(value)
        else:
            raise ConfigurationError(f"a field of the type {kind} cannot be published here")

    def _items(self, values: Any, kind: str) -> None:
        if size := _SIZES.get(kind):
            self._numbers(size, len(values))
            return
        for value in values:
            self._value(value, kind)

    def _numbers(self, size: int, count: int) -> None:
        if not count:
            return
        if missing := (HEADER - self.length) % size:
            self.gaps.append(slice(self.length, self.length + missing))
        self.length += missing + size * count
