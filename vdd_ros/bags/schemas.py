"""Structures of the message types in a bag, for reading their bytes by field."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from vdd_ros.errors import SchemaError
from vdd_ros.robot.cdr.schema import Kind, List, Opaque, Schema, simple
from vdd_ros.text import printable

Definitions: TypeAlias = Mapping[str, Any]

_WIDE = "/msg/wstring"
"""End of the name by which rosbags calls a wstring of a .msg definition, which it takes for a message."""


def schema_from(definitions: Definitions, msgtype: str) -> Schema:
    """Return the structure of a message type.

    Args:
        definitions: Constants and fields of types by name, as rosbags parses them; `fielddefs` of a type store.
        msgtype: Name of the type.

    Raises:
        SchemaError: The type is not defined, or one in it.
    """
    if msgtype not in definitions:
        raise SchemaError(
            f"message type {printable(msgtype)} is not known; record it with a recorder that stores definitions "
            "(rosbag2 from Iron on)"
        )
    _, fields = definitions[msgtype]
    return Schema(msgtype, {name: _kind(definitions, *kind) for name, kind in fields})


def _kind(definitions: Definitions, node: Any, detail: Any) -> Kind:
    from rosbags.interfaces import Nodetype

    if node == Nodetype.NAME:
        if detail not in definitions and detail.endswith(_WIDE):
            return Opaque("wstring")
        return schema_from(definitions, detail)
    if node == Nodetype.BASE:
        return simple(detail[0])
    inner, size = detail
    item = _kind(definitions, *inner)
    if isinstance(item, List):
        raise SchemaError("a list of lists is no field of a message")
    if node == Nodetype.ARRAY:
        return List(item, length=size)
    return List(item, bound=size or None)
