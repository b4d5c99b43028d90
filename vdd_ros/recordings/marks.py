"""Begin and end of episodes, from a marker's messages or from service calls."""

import struct
from typing import Any, NamedTuple

from vdd_ros.errors import DemonstrationError

_EVENT = struct.Struct("<B3xiI16s4xq")
"""The beginning of a service event in CDR: kind, time, client and number of the call (service_msgs)."""
_HEADER = 4
_MOST_CALLS = 100_000


class Mark(NamedTuple):
    """A mark: whether an episode begins, which ends the previous one, and its label."""

    begins: bool
    label: str = ""


class Marker:
    """Follows the messages of a marker topic.

    A Bool is true during an episode. A number, or a text, names the episode; a negative number, or an empty text, is
    between episodes. Each Empty begins a new episode.
    """

    def __init__(self) -> None:
        self._now: object = None
        self._count = 0

    def take(self, message: Any) -> Mark | None:
        """Return the mark of a message; None for a repetition.

        Raises:
            DemonstrationError: The message is of another kind.
        """
        value = getattr(message, "data", None)
        if value is None and _is_empty(message):
            return self._begin("")
        if not isinstance(value, bool | int | str):
            raise DemonstrationError(
                f"the marker of episodes carries {type(value).__name__}; std_msgs/msg/Bool, Int32, Int64, String or "
                "Empty can mark episodes"
            )
        if value == self._now and type(value) is type(self._now):
            return None
        before, self._now = self._now, value
        between = value is False or value == "" or (not isinstance(value, bool | str) and value < 0)
        if not between:
            return self._begin("" if isinstance(value, bool) else str(value))
        return None if before is None else Mark(begins=False)

    def _begin(self, label: str) -> Mark:
        self._count += 1
        return Mark(begins=True, label=label or str(self._count))


class ServiceCalls:
    """Follows the events of services: each call of the first begins an episode, each of the second ends it."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, bytes, int]] = set()
        self._count = 0

    def take(self, role: str, content: bytes) -> Mark | None:
        """Return the mark of an event; None for a further event of the same call.

        Args:
            role: `start` or `stop`.
            content: The event, serialised.

        Raises:
            DemonstrationError: It is too short for an event.
        """
        if len(content) < _HEADER + _EVENT.size or content[:2] != b"\0\1":
            raise DemonstrationError(
                f"a service event of {len(content)} bytes cannot be read; record it as rosbag2 does"
            )
        _, _, _, client, number = _EVENT.unpack_from(content, _HEADER)
        call = (role, client, number)
        if call in self._seen:
            return None
        if len(self._seen) >= _MOST_CALLS:
            self._seen.clear()
        self._seen.add(call)
        self._count += role == "start"
        return Mark(begins=role == "start", label=str(self._count))


def _is_empty(message: Any) -> bool:
    """Return whether a message has no field; those of rosbags have a placeholder."""
    return all(name.startswith("_") or "structure_needs" in name for name in vars(message))
