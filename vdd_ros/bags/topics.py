"""The topics of a bag: the facts of each, and the messages of the requested ones."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vdd_ros.bags.raw_messages import RawBag
from vdd_ros.bags.reader import BagMessage
from vdd_ros.bags.types import Decoder, undecoded
from vdd_ros.robot.cdr.format import MessageFormat


@dataclass(frozen=True)
class Topic:
    """One topic of a recording.

    Attributes:
        name: Full name.
        type: Message type, as `package/msg/Name`; empty if the recording does not state it.
        count: Number of messages.
    """

    name: str
    type: str
    count: int


@dataclass(frozen=True)
class SerializedMessage:
    """One serialised message.

    Attributes:
        topic: Full name of the topic.
        received_ns: Time of receipt, nanoseconds since the epoch.
        content: Its bytes, with the encapsulation header.
        form: Serialised form of its type.
    """

    topic: str
    received_ns: int
    content: bytes
    form: MessageFormat

    def message(self) -> Any:
        """Return the whole message; raises RecordingError if the bytes are not of its type."""
        try:
            return self.form.deserialize(self.content)
        except Exception as error:  # libraries raise nearly anything for wrong bytes
            raise undecoded(self.topic, self.form.type, self.content, error) from error


class Recording(Protocol):
    """Received messages, from a bag or from a running robot.

    Attributes:
        topics: The topics, by name.
    """

    @property
    def topics(self) -> tuple[Topic, ...]:
        """The topics."""
        ...

    def serialized(self, topics: Collection[str]) -> Iterator[SerializedMessage]:
        """Yield the messages of some topics in the order of receipt."""
        ...


class BagRecording:
    """An open bag. Create one with `open_bag`.

    Attributes:
        topics: Its topics, sorted by name.
    """

    def __init__(self, bag: RawBag) -> None:
        self._bag = bag
        self._decoder = Decoder()
        found: Counter[tuple[str, str]] = Counter()
        for channel, count in zip(bag.channels, bag.counts(), strict=True):
            found[channel.topic, channel.msgtype] += count
        claimed = Counter({(topic, kind): count for topic, kind, count in bag.counted})
        self.topics = tuple(
            Topic(name, kind, max(found[name, kind], claimed[name, kind]))
            for name, kind in sorted({*found, *claimed, *((c.topic, c.msgtype) for c in bag.channels)})
        )

    def serialized(self, topics: Collection[str]) -> Iterator[SerializedMessage]:
        """Yield the messages of some topics in the order of receipt.

        Raises:
            RecordingError: A type has no definition.
        """
        places = [place for place, channel in enumerate(self._bag.channels) if channel.topic in topics]
        for stored in self._bag.messages(places):
            form = self._decoder.form(stored.channel)
            yield SerializedMessage(stored.channel.topic, stored.log_ns, stored.content, form)

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Yield the same messages as a whole.

        Raises:
            RecordingError: A type has no definition, or bytes are not of their type.
        """
        for one in self.serialized(topics):
            yield BagMessage(one.topic, one.received_ns, one.message())

    def first(self, topic: str) -> BagMessage | None:
        """Return the first message of a topic, or None."""
        return next(self.messages([topic]), None)


@contextmanager
def open_bag(path: Path, wanted: Callable[[str], bool] = lambda topic: True) -> Iterator[BagRecording]:
    """Open a bag to list its topics and to read some of them.

    Args:
        path: A rosbag2 directory, or one file of it.
        wanted: Whether messages of a topic, by its name, will be read; others only have the counts of metadata.yaml.

    Raises:
        RecordingError: There is no bag, it is damaged, or it holds fewer wanted messages than its metadata count.
    """
    with RawBag(path, wanted) as bag:
        yield BagRecording(bag)
