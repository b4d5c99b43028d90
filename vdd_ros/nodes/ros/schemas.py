"""Structures of installed message types, for reading their bytes by field."""

from functools import cache, partial
from typing import Any

from rclpy.serialization import deserialize_message

from vdd_ros.errors import SchemaError
from vdd_ros.nodes.ros.messages import message_class
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.cdr.schema import PLACEHOLDER, Kind, List, Number, Opaque, Schema, Text, simple

_NAMES = {"boolean": "bool", "octet": "byte", "float": "float32", "double": "float64"}
"""Names in .msg files of simple types that IDL names differently."""


@cache
def message_format(type_name: str) -> MessageFormat:
    """Return the serialised form of an installed message type, such as `sensor_msgs/msg/JointState`.

    Raises:
        RobotFileError: The type is not installed.
    """
    kind = message_class(type_name)
    try:
        schema = schema_of(kind)
    except SchemaError:  # an unknown kind of definition: messages are read as a whole
        schema = None
    return MessageFormat(type_name, schema, partial(_deserialized, kind))


def schema_of(kind: Any) -> Schema:
    """Return the structure of a message class.

    Raises:
        SchemaError: It has a field of an unknown kind, or one whose type is not installed.
    """
    name = f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"
    fields = dict(zip(kind.get_fields_and_field_types(), map(_kind, kind.SLOT_TYPES), strict=True))
    return Schema(name, fields or {PLACEHOLDER: Number("B")})


def _kind(type_: Any) -> Kind:
    """Return the kind of a type as rosidl describes it."""
    form = type(type_).__name__
    if form == "NamespacedType":
        return schema_of(message_class("/".join((*type_.namespaces, type_.name))))
    if form == "BasicType":
        return simple(_NAMES.get(type_.typename, type_.typename))
    if form in ("UnboundedString", "BoundedString"):
        return Text()
    if form in ("UnboundedWString", "BoundedWString"):
        return Opaque("wstring")
    if form not in ("Array", "UnboundedSequence", "BoundedSequence"):
        raise SchemaError(f"a field is a {form}, which this version does not support")
    item = _kind(type_.value_type)
    if isinstance(item, List):
        raise SchemaError("a field is a list of lists, which this version does not support")
    if form == "Array":
        return List(item, length=type_.size)
    return List(item, bound=type_.maximum_size if form == "BoundedSequence" else None)


def _deserialized(kind: Any, content: bytes) -> Any:
    return deserialize_message(content, kind)
