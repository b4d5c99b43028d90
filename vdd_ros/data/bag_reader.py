"""Reads the messages of some topics out of a bag, all of them or none."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdd_ros.data.bag_contents import BagContents, Channel, StoredMessage, describe_losses
from vdd_ros.data.bag_layout import BagLayout, find_bag, mend_hint, scan_bag
from vdd_ros.data.bag_types import Decoder
from vdd_ros.errors import RecordingError
from vdd_ros.text import printable


@dataclass(frozen=True)
class BagMessage:
    """One message of a bag.

    Attributes:
        topic: Full name of the topic.
        received_ns: When the recorder received it, nanoseconds since the epoch.
        message: The decoded message; its fields are those of the message definition.
    """

    topic: str
    received_ns: int
    message: Any


def read_messages(bag: Path, suffixes: Collection[str], types: Mapping[str, str] | None = None) -> Iterator[BagMessage]:
    """Yield the messages of the topics that end in one of the suffixes, in the order of receipt.

    Args:
        bag: A rosbag2 directory, or one file of it.
        suffixes: Ends of topic names.
        types: Ends of topic names to the type that is meant; messages of others on such a topic are passed over.

    Raises:
        RecordingError: There is no bag, it is damaged, holds fewer messages than it counts, or one cannot be decoded.
    """
    wanted, decoder = _Wanted(tuple(suffixes), types or {}), Decoder()
    for stored in _stored(find_bag(bag), wanted):
        yield BagMessage(stored.channel.topic, stored.log_ns, decoder.decode(stored.channel, stored.content))


def count_by_library(bag: BagLayout) -> int:
    """Return how many messages other readers get of a bag; 0 where they refuse it."""
    from rosbags.rosbag2 import Reader

    try:
        with Reader(bag.path) as reader:
            return sum(1 for _ in reader.messages())
    except Exception:  # a damaged file makes the parser raise nearly anything
        return 0


@dataclass(frozen=True)
class _Wanted:
    suffixes: tuple[str, ...]
    types: Mapping[str, str]

    def topic(self, name: str) -> bool:
        return name.endswith(self.suffixes)

    def channel(self, topic: str, msgtype: str) -> bool:
        meant = (msgtype == kind for end, kind in self.types.items() if topic.endswith(end))
        return self.topic(topic) and all(meant)


def _stored(bag: BagLayout, wanted: _Wanted) -> list[StoredMessage]:
    """Return messages by time: through the library, else record by record where nothing of the files is lost."""
    problem = bag.problem
    if not problem:
        try:
            found, counted = _by_library(bag, wanted)
        except Exception as error:  # a damaged file makes the parser raise nearly anything
            problem = printable(error) or type(error).__name__
        else:
            if len(found) >= counted:
                return found
            problem = f"it counts {counted:,} messages, of which {len(found):,} are found"
    return _by_scan(bag, wanted, problem)


def _by_library(bag: BagLayout, wanted: _Wanted) -> tuple[list[StoredMessage], int]:
    """Return messages by time, and how many the bag counts."""
    from rosbags.rosbag2 import Reader

    if bag.unfinished:
        raise RecordingError(f"{bag.unfinished[0].name} holds messages that are not in it yet")
    with Reader(bag.path) as reader:
        asked = [c for c in reader.connections if wanted.channel(c.topic, c.msgtype)]
        counted = sum(connection.msgcount for connection in asked)
        channels = {c.id: Channel(c.topic, c.msgtype, c.msgdef.data) for c in asked}
        # Without a connection to filter for, the reader would yield every message.
        read = reader.messages(asked) if asked else ()
        found = [StoredMessage(channels[c.id], stamp, stamp, bytes(raw)) for c, stamp, raw in read]
    return sorted(found, key=lambda message: message.log_ns), counted


def _by_scan(bag: BagLayout, wanted: _Wanted, problem: str) -> list[StoredMessage]:
    """Return messages by time; raises RecordingError, for the problem at hand, where any is lost or missing."""
    with BagContents(wanted=wanted.topic) as contents:
        try:
            scanned = scan_bag(bag, contents)
        except RecordingError as error:
            raise RecordingError(f"{printable(bag.path)} is not a readable bag: {error}") from error
        asked = [n for n, c in enumerate(contents.channels) if wanted.channel(c.topic, c.msgtype)]
        found = list(contents.messages(asked))
        wrong = describe_losses(contents.losses)
    wrong += ["a file has no proper end" for one in scanned if not one.complete][:1]
    wrong += [
        f"a file counts {one.counted:,} messages, of which {one.found:,} are found"
        for one in scanned
        if one.counted is not None and one.found < one.counted
    ]
    counted = sum(count for topic, msgtype, count in bag.counted if wanted.channel(topic, msgtype))
    if len(found) < counted:
        wrong.append(f"metadata.yaml counts {counted:,} messages, of which {len(found):,} are found")
    if wrong or bag.unfinished or bag.missing:
        reasons = "; ".join(dict.fromkeys(filter(None, [problem, *wrong])))
        raise RecordingError(f"{printable(bag.path)} is not a readable bag: {reasons}; {mend_hint(bag.path)}")
    return found
