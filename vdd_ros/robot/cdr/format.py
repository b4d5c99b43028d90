"""Reading the bytes of one message type: by field, or as a whole."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vdd_ros.errors import ObservationError
from vdd_ros.robot.cdr.schema import Schema
from vdd_ros.text import printable

_SHOWN = 200


@dataclass(frozen=True)
class MessageFormat:
    """The serialised form of one message type.

    Attributes:
        type: Its name, such as `sensor_msgs/msg/JointState`.
        schema: Its structure; None if unknown, so that messages are only read as a whole.
        deserialize: Makes a message from bytes, for readers of whole messages; may raise anything.
    """

    type: str
    schema: Schema | None
    deserialize: Callable[[bytes], Any]

    def message(self, content: bytes) -> Any:
        """Return the message in some bytes; raises ObservationError if they are not one."""
        try:
            return self.deserialize(content)
        except Exception as error:  # libraries raise nearly anything for wrong bytes
            raise ObservationError(
                f"{len(content):,} bytes are not a {self.type}: {printable(error or type(error).__name__, _SHOWN)}"
            ) from None
