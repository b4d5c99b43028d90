"""The topics of a bag: what it holds of each, and the messages of those that are asked for."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vdd_ros.bags.contents import BagContents, describe_losses
from vdd_ros.bags.layout import BagLayout, find_bag, mend_hint, scan_bag, shown
from vdd_ros.bags.mcap_scan import Scanned
from vdd_ros.bags.reader import BagMessage
from vdd_ros.bags.types import Decoder
from vdd_ros.errors import RecordingError
from vdd_ros.text import printable


@dataclass(frozen=True)
class Topic:
    """One topic of a recording.

    Attributes:
        name: Full name.
        type: Message type, as `package/msg/Name`; empty if the recording does not say.
        count: Number of messages.
    """

    name: str
    type: str
    count: int


class Recording(Protocol):
    """Messages that were received, from a bag or from a running robot.

    Attributes:
        topics: What there is, by name.
    """

    @property
    def topics(self) -> tuple[Topic, ...]:
        """The topics."""
        ...

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Yield the messages of some topics in the order of receipt."""
        ...


class BagRecording:
    """An open bag. Create one with `open_bag`.

    Attributes:
        topics: Its topics, sorted by name.
    """

    def __init__(self, contents: BagContents, counted: Collection[tuple[str, str, int]]) -> None:
        self._contents = contents
        self._decoder = Decoder()
        found = _counts(contents)
        claimed = Counter({(topic, kind): count for topic, kind, count in counted})
        self.topics = tuple(
            Topic(name, kind, max(found[name, kind], claimed[name, kind]))
            for name, kind in sorted({*found, *claimed, *((c.topic, c.msgtype) for c in contents.channels)})
        )

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Yield the messages of some topics in the order of receipt.

        Raises:
            RecordingError: A type has no definition, or bytes are not of their type.
        """
        places = [place for place, channel in enumerate(self._contents.channels) if channel.topic in topics]
        for stored in self._contents.messages(places):
            message = self._decoder.decode(stored.channel, stored.content)
            yield BagMessage(stored.channel.topic, stored.log_ns, message)

    def first(self, topic: str) -> BagMessage | None:
        """Return the first message of a topic, or None if there is none."""
        return next(self.messages([topic]), None)


@contextmanager
def open_bag(path: Path, wanted: Callable[[str], bool] = lambda topic: True) -> Iterator[BagRecording]:
    """Open a bag to see its topics and to read some of them.

    Args:
        path: A rosbag2 directory, or one file of it.
        wanted: Whether messages of a topic, by its name, will be read; of others only the counts of metadata.yaml are
            known.

    Raises:
        RecordingError: There is no bag, it is damaged, or it holds fewer wanted messages than it counts.
    """
    bag = find_bag(path)
    with BagContents(wanted=wanted) as contents:
        try:
            scanned = scan_bag(bag, contents)
        except RecordingError as error:
            raise RecordingError(f"{shown(path)} is not a readable bag: {error}") from error
        if problems := _problems(bag, contents, scanned, wanted):
            raise RecordingError(f"{shown(path)} is not a whole bag: {'; '.join(problems)}; {mend_hint(path)}")
        yield BagRecording(contents, bag.counted)


def _counts(contents: BagContents) -> Counter[tuple[str, str]]:
    """Return the number of messages by topic and type, in all files."""
    found: Counter[tuple[str, str]] = Counter()
    for place, count in contents.counts().items():
        channel = contents.channels[place]
        found[channel.topic, channel.msgtype] += count
    return found


def _problems(
    bag: BagLayout, contents: BagContents, scanned: Collection[Scanned], wanted: Callable[[str], bool]
) -> list[str]:
    """Return what is missing of a bag, in words."""
    found = describe_losses(contents.losses)
    found += ["a file has no proper end" for one in scanned if not one.complete][:1]
    found += [
        f"a file counts {one.counted:,} messages, of which {one.found:,} are found"
        for one in scanned
        if one.counted is not None and one.found < one.counted
    ]
    counts = _counts(contents)
    found += [
        f"of {count:,} messages that are counted on {printable(topic)} {counts[topic, kind]:,} are found"
        for topic, kind, count in bag.counted
        if wanted(topic) and counts[topic, kind] < count
    ]
    found += [f"the file {name} is missing" for name in bag.missing]
    found += [f"{file.name} holds messages that are not in it yet" for file in bag.unfinished]
    return list(dict.fromkeys(found))
