"""Message types of a bag: its own definitions, or those of ROS 2 Jazzy."""

from contextlib import suppress
from typing import Any

from vdd_ros.bags.contents import Channel
from vdd_ros.bags.schemas import schema_from
from vdd_ros.errors import RecordingError, SchemaError
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.cdr.schema import Schema
from vdd_ros.text import printable

_MOST_DEFINITION = 1 << 20
_IDL = "=" * 80 + "\nIDL: "


class Decoder:
    """Decodes messages; definitions of non-standard types come from the bag."""

    def __init__(self) -> None:
        from rosbags.typesys import Stores, get_typestore

        self._store = get_typestore(Stores.ROS2_JAZZY)

    def decode(self, channel: Channel, content: bytes) -> Any:
        """Return a message; its fields are those of the definition.

        Raises:
            RecordingError: The type has no usable definition, or the bytes are not such a message.
        """
        if channel.msgtype not in self._store.types:
            self._learn(channel)
        try:
            return self._store.deserialize_cdr(content, channel.msgtype)
        except Exception as error:  # the library raises nearly anything for wrong bytes
            raise RecordingError(
                f"a message on {printable(channel.topic)} ({len(content):,} bytes) is no {printable(channel.msgtype)}: "
                f"{printable(error or type(error).__name__)}; leave the topic out, or record it with its own type"
            ) from error

    def form(self, channel: Channel) -> MessageFormat:
        """Return how the messages of a channel are read, by field or as a whole.

        Raises:
            RecordingError: The type has no usable definition.
        """
        if channel.msgtype not in self._store.types:
            self._learn(channel)
        try:
            schema: Schema | None = schema_from(self._store, channel.msgtype)
        except SchemaError:  # wide characters and the like: the library reads whole messages
            schema = None
        return MessageFormat(
            channel.msgtype, schema, lambda content: self._store.deserialize_cdr(content, channel.msgtype)
        )

    def _learn(self, channel: Channel) -> None:
        try:
            self._store.register(_parsed(channel))
        except Exception as error:  # foreign definitions may fail in any way, too
            raise undefined(channel) from error
        if channel.msgtype not in self._store.types:
            raise undefined(channel)


def undefined(channel: Channel) -> RecordingError:
    """Return the error of a type without a definition."""
    return RecordingError(
        f"topic {printable(channel.topic)} has the type {printable(channel.msgtype) or 'of no name'}, whose definition "
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
            store.register(_parsed(channel))
            return channel.definition, store.hash_rihs01(channel.msgtype)
    standard = get_typestore(Stores.ROS2_JAZZY)
    if channel.msgtype not in standard.types:
        raise undefined(channel)
    return standard.generate_msgdef(channel.msgtype, ros_version=2)[0], standard.hash_rihs01(channel.msgtype)


def _parsed(channel: Channel) -> Any:
    """Return the types that a definition holds; raises any error of the library for an invalid one."""
    from rosbags.typesys import get_types_from_idl, get_types_from_msg

    if not channel.definition or len(channel.definition) > _MOST_DEFINITION:
        raise ValueError("no definition of a usable size")
    if channel.definition.startswith(_IDL):
        return get_types_from_idl(channel.definition)
    return get_types_from_msg(channel.definition, channel.msgtype)
