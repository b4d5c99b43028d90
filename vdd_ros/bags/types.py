"""Message types of a bag: its own definitions, or those of ROS 2 Jazzy."""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.contents import Channel
from vdd_ros.bags.schemas import Definitions, schema_from
from vdd_ros.errors import RecordingError, SchemaError
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.text import printable

_ENCODING = "cdr"
Floats = NDArray[np.float64]

_MOST_DEFINITION = 1 << 20
_FORMS_KEPT = 256
_IDL = "=" * 80 + "\nIDL: "


class Decoder:
    """Decodes messages by the definitions of their bag, otherwise by the standard ones; parses each type once."""

    def __init__(self) -> None:
        self._forms: dict[tuple[str, str], MessageFormat] = {}

    def decode(self, channel: Channel, content: bytes) -> Any:
        """Return a message; its fields are those of the definition.

        Raises:
            RecordingError: The type has no usable definition, or the bytes are not such a message.
        """
        form = self.form(channel)
        try:
            return form.deserialize(content)
        except Exception as error:  # the library raises nearly anything for wrong bytes
            raise undecoded(channel.topic, channel.msgtype, content, error) from error

    def form(self, channel: Channel) -> MessageFormat:
        """Return the serialised form of a channel's messages, to be read by field or as a whole; see `format_of`."""
        key = channel.msgtype, channel.definition
        if key not in self._forms:
            self._forms[key] = format_of(channel)
        return self._forms[key]


def format_of(channel: Channel) -> MessageFormat:
    """Return the serialised form of the messages of a channel, by the bag's own definition or the standard one.

    Raises:
        RecordingError: Its type has no definition, or its messages are not CDR.
    """
    if channel.encoding not in (_ENCODING, ""):
        raise RecordingError(
            f"messages on {printable(channel.topic)} are serialised as {printable(channel.encoding)!r}; only "
            f"{_ENCODING} can be read. Leave the topic out, or record it with a recorder of ROS 2"
        )
    try:
        return _form_of(channel.msgtype, channel.definition)
    except SchemaError:  # an unknown nested type
        raise undefined(channel) from None


@lru_cache(maxsize=_FORMS_KEPT)
def _form_of(msgtype: str, definition: str) -> MessageFormat:
    """Return the form of a type; parsing a definition takes longer than reading many messages."""
    definitions, store = _definitions_of(msgtype, definition)
    return MessageFormat(msgtype, schema_from(definitions, msgtype), partial(_deserialized, store, msgtype))


def _deserialized(store: Any, msgtype: str, content: bytes) -> Any:
    return store.deserialize_cdr(content, msgtype)


def _definitions_of(msgtype: str, definition: str) -> tuple[Definitions, Any]:
    """Return definitions, including that of a type if available, and a type store with them."""
    from rosbags.typesys import Stores, get_typestore

    if definition:
        with suppress(Exception):  # foreign definitions may fail in any way
            own = _parsed(msgtype, definition)
            schema_from(own, msgtype)
            store = get_typestore(Stores.EMPTY)
            with suppress(Exception):  # rosbags has no wstring
                store.register(own)
            return own, store
    standard = get_typestore(Stores.ROS2_JAZZY)
    return standard.fielddefs, standard


class Encoder:
    """Serialises a few standard messages."""

    def __init__(self) -> None:
        from rosbags.typesys import Stores, get_typestore

        self._store = get_typestore(Stores.ROS2_JAZZY)
        self._types = self._store.types

    def joint_state(self, stamp_ns: int, names: Sequence[str], positions: Floats) -> bytes:
        """Return a sensor_msgs/JointState with positions, (n,)."""
        kind, none = "sensor_msgs/msg/JointState", np.empty(0)
        return self._bytes(kind, self._types[kind](self._header(stamp_ns), list(names), positions, none, none))

    def pose(self, stamp_ns: int, x: float, y: float) -> bytes:
        """Return a geometry_msgs/PoseStamped at a position, not rotated."""
        kind, types = "geometry_msgs/msg/PoseStamped", self._types
        place = types["geometry_msgs/msg/Point"](x=x, y=y, z=0.0)
        turned = types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0)
        return self._bytes(kind, types[kind](self._header(stamp_ns), types["geometry_msgs/msg/Pose"](place, turned)))

    def numbers(self, values: Floats) -> bytes:
        """Return a std_msgs/Float64MultiArray with values, (n,)."""
        kind, types = "std_msgs/msg/Float64MultiArray", self._types
        return self._bytes(kind, types[kind](types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0), values))

    def _header(self, stamp_ns: int) -> Any:
        stamp = self._types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 1_000_000_000))
        return self._types["std_msgs/msg/Header"](stamp=stamp, frame_id="base_link")

    def _bytes(self, kind: str, message: Any) -> bytes:
        return bytes(self._store.serialize_cdr(message, kind))


def undecoded(topic: str, kind: str, content: bytes, error: Exception) -> RecordingError:
    """Return the error for bytes that are not a message of their topic's type."""
    return RecordingError(
        f"a message on {printable(topic)} ({len(content):,} bytes) is not a {printable(kind)}: "
        f"{printable(error or type(error).__name__)}; leave the topic out, or record it with its own type"
    )


def undefined(channel: Channel) -> RecordingError:
    """Return the error for a type without a definition."""
    return RecordingError(
        f"topic {printable(channel.topic)} has the type {printable(channel.msgtype) or '(none)'}, whose definition "
        "is neither in the bag nor among the standard messages of ROS 2 Jazzy; record it with a recorder that stores "
        "definitions (rosbag2 from Iron on), or leave the topic out"
    )


def definition_of(channel: Channel) -> tuple[str, str]:
    """Return the definition of a channel's type, its own or the standard one, and its hash (RIHS01).

    Raises:
        RecordingError: There is no usable definition.
    """
    from rosbags.typesys import Stores, get_typestore

    if channel.definition:
        store = get_typestore(Stores.EMPTY)
        with suppress(Exception):  # foreign definitions may fail in any way
            store.register(_parsed(channel.msgtype, channel.definition))
            return channel.definition, store.hash_rihs01(channel.msgtype)
    standard = get_typestore(Stores.ROS2_JAZZY)
    if channel.msgtype not in standard.types:
        raise undefined(channel)
    return standard.generate_msgdef(channel.msgtype, ros_version=2)[0], standard.hash_rihs01(channel.msgtype)


def _parsed(msgtype: str, definition: str) -> Any:
    """Return the types in a definition; raises any error of the library for an invalid one."""
    from rosbags.typesys import get_types_from_idl, get_types_from_msg

    if not definition or len(definition) > _MOST_DEFINITION:
        raise ValueError("the definition has no usable size")
    if definition.startswith(_IDL):
        return get_types_from_idl(definition)
    return get_types_from_msg(definition, msgtype)
