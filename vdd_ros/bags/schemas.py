"""Structures of the message types in a bag, for reading their bytes by field."""

from typing import Any

from vdd_ros.errors import SchemaError
from vdd_ros.robot.cdr.schema import Kind, List, Schema, simple
from vdd_ros.text import printable


def schema_from(store: Any, msgtype: str) -> Schema:
    """Return the structure of a message type.

    Args:
        store: A type store of rosbags that has the type and those in it.
        msgtype: Its name.

    Raises:
        SchemaError: The store lacks the type, or one in it.
    """
    try:
        fields = store.get_msgdef(msgtype).fields
    except KeyError:
        raise SchemaError(
            f"message type {printable(msgtype)} is not known; record it with a recorder that stores definitions "
            "(rosbag2 from Iron on)"
        ) from None
    return Schema(msgtype, {name: _kind(store, *kind) for name, kind in fields})


def _kind(store: Any, node: Any, detail: Any) -> Kind:
    from rosbags.interfaces import Nodetype

    if node == Nodetype.NAME:
        return schema_from(store, detail)
    if node == Nodetype.BASE:
        return simple(detail[0])
    inner, size = detail
    item = _kind(store, *inner)
    if isinstance(item, List):
        raise SchemaError("a list of lists is no field of a message")
    if node == Nodetype.ARRAY:
        return List(item, length=size)
    return List(item, bound=size or None)
