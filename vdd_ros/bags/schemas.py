"""Structures of the message types in a bag, for reading their bytes by field."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from vdd_ros.errors import SchemaError
from vdd_ros.robot.cdr.schema import Kind, List, Number, Opaque, Schema, simple
from vdd_ros.text import printable

Definitions: TypeAlias = Mapping[str, Any]
_MOST_VALUES, _MOST_BYTES = 100_000, 1 << 28

_WIDE = "/msg/wstring"
"""Ending of rosbags' name for a wstring of a .msg definition, which it mistakes for a message."""


def schema_from(definitions: Definitions, msgtype: str) -> Schema:
    """Return the structure of a message type.

    Args:
        definitions: Constants and fields of types by name, as parsed by rosbags: `fielddefs` of a type store.
        msgtype: Name of the type.

    Raises:
        SchemaError: The type, or one nested in it, is not defined; or a message with empty lists has too many values or
            bytes.
    """
    return _Structures(definitions).of(msgtype).schema


class _Size(NamedTuple):
    """Smallest content of a message: values (lists of numbers count as one), and bytes."""

    values: int
    bytes: int


_ONE = _Size(1, 4)


class _Structure(NamedTuple):
    schema: Schema
    size: _Size


class _Structures:
    """Builds each structure once: doubly nested types could otherwise cause endless work from a few lines."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._known: dict[str, _Structure] = {}

    def of(self, msgtype: str) -> _Structure:
        """Return a type's structure; see `schema_from`."""
        if msgtype in self._known:
            return self._known[msgtype]
        if msgtype not in self._definitions:
            raise SchemaError(
                f"message type {printable(msgtype)} is unknown; record it with a recorder that stores definitions "
                "(rosbag2 from Iron on)"
            )
        _, fields = self._definitions[msgtype]
        kinds, values, size = {}, 0, 0
        for name, kind in fields:
            kinds[name], one = self._kind(*kind)
            values, size = values + one.values, size + one.bytes
            if values > _MOST_VALUES or size > _MOST_BYTES:
                raise SchemaError(
                    f"a message of {printable(msgtype)} has more than {_MOST_VALUES:,} values or {_MOST_BYTES:,} bytes "
                    "with empty lists; that is not a robot's message"
                )
        self._known[msgtype] = _Structure(Schema(msgtype, kinds), _Size(values, size))
        return self._known[msgtype]

    def _kind(self, node: Any, detail: Any) -> tuple[Kind, _Size]:
        from rosbags.interfaces import Nodetype

        if node == Nodetype.NAME:
            if detail not in self._definitions and detail.endswith(_WIDE):
                return Opaque("wstring"), _ONE
            return self.of(detail)
        if node == Nodetype.BASE:
            kind = simple(detail[0])
            return kind, _Size(1, kind.size) if isinstance(kind, Number) else _ONE
        inner, size = detail
        item, one = self._kind(*inner)
        if isinstance(item, List):
            raise SchemaError("a list of lists is not a valid field of a message")
        if node != Nodetype.ARRAY:
            return List(item, bound=size or None), _ONE
        return List(item, length=size), _Size(1 if isinstance(item, Number) else one.values * size, one.bytes * size)
