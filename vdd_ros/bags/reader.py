"""Reads all messages of some topics from a bag, or fails."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdd_ros.bags.contents import BagContents, Channel, StoredMessage, describe_losses
from vdd_ros.bags.decompression import MOST_BYTES, ZSTD_MAGIC, unpack
from vdd_ros.bags.layout import BagLayout, find_bag, mend_hint, scan_bag, shown
from vdd_ros.bags.types import Decoder
from vdd_ros.errors import RecordingError
from vdd_ros.text import printable


@dataclass(frozen=True)
class BagMessage:
    """One message of a bag.

    Attributes:
        topic: Full name of the topic.
        received_ns: Time of receipt by the recorder, nanoseconds since the epoch.
        message: The decoded message; its fields are those of the message definition.
    """

    topic: str
    received_ns: int
    message: Any


def read_messages(
    bag: Path, suffixes: Collection[str], types: Mapping[str, Collection[str]] | None = None
) -> Iterator[BagMessage]:
    """Yield the messages of the topics that end in one of the suffixes, in the order of receipt.

    Args:
        bag: A rosbag2 directory, or one file of it.
        suffixes: Endings of topic names.
        types: Topic suffix -> expected types; messages of other types on such a topic are skipped.

    Raises:
        RecordingError: There is no bag, it is damaged, has fewer messages than counted, or one cannot be decoded.
    """
    wanted, decoder = _Wanted(tuple(suffixes), types or {}), Decoder()
    for stored in _stored(find_bag(bag), wanted):
        yield BagMessage(stored.channel.topic, stored.log_ns, decoder.decode(stored.channel, stored.content))


def count_by_library(bag: BagLayout) -> int:
    """Return the number of messages that other readers get from a bag; 0 if they refuse it."""
    from rosbags.rosbag2 import Reader

    try:
        with Reader(bag.path) as reader:
            return sum(1 for _ in reader.messages())
    except Exception:  # the parser raises nearly anything for a damaged file
        return 0


@dataclass(frozen=True)
class _Wanted:
    suffixes: tuple[str, ...]
    types: Mapping[str, Collection[str]]

    def topic(self, name: str) -> bool:
        return name.endswith(self.suffixes)

    def channel(self, topic: str, msgtype: str) -> bool:
        meant = (msgtype in kinds for end, kinds in self.types.items() if topic.endswith(end))
        return self.topic(topic) and all(meant)


def _stored(bag: BagLayout, wanted: _Wanted) -> list[StoredMessage]:
    """Return messages by time: through the library, otherwise record by record if the files are complete.

    Without metadata.yaml, the library silently stops at damage.
    """
    problem = bag.problem
    if bag.metadata and not problem and not bag.unfinished:
        try:
            found, fewer = _by_library(bag, wanted)
        except Exception as error:  # the parser raises nearly anything for a damaged file
            problem = printable(error) or type(error).__name__
        else:
            if not fewer:
                return found
            problem = fewer
    return _by_scan(bag, wanted, problem)


def _by_library(bag: BagLayout, wanted: _Wanted) -> tuple[list[StoredMessage], str]:
    """Return messages by time, and a description if they are fewer than counted."""
    from rosbags.rosbag2 import Reader

    with Reader(bag.path) as reader:
        asked = [c for c in reader.connections if wanted.channel(c.topic, c.msgtype)]
        counted = [(c.topic, c.msgtype, c.msgcount) for c in asked]
        channels = {c.id: Channel(c.topic, c.msgtype, c.msgdef.data) for c in asked}
        # Without a connection to filter for, the reader would yield every message.
        read = reader.messages(asked) if asked else ()
        found = [StoredMessage(channels[c.id], stamp, stamp, _unpacked(bytes(raw))) for c, stamp, raw in read]
    return sorted(found, key=lambda message: message.log_ns), fewer_than_counted(counted, found)


def _unpacked(content: bytes) -> bytes:
    """Return a message, unpacked if it is individually compressed."""
    if not content.startswith(ZSTD_MAGIC):
        return content
    content, whole = unpack("zstd", content, MOST_BYTES)
    if not whole:
        raise RecordingError("the compression of a message is damaged")
    return content


def fewer_than_counted(counted: Iterable[tuple[str, str, int]], found: Iterable[StoredMessage]) -> str:
    """Describe topics with fewer messages than counted; empty without any.

    Args:
        counted: Topic, type and number of messages.
        found: The messages.
    """
    there = Counter((message.channel.topic, message.channel.msgtype) for message in found)
    wanted: Counter[tuple[str, str]] = Counter()
    for topic, msgtype, count in counted:
        wanted[topic, msgtype] += count
    return ", ".join(
        f"of {count:,} messages that are counted on {printable(key[0])} {there[key]:,} are found"
        for key, count in wanted.items()
        if there[key] < count
    )


def _by_scan(bag: BagLayout, wanted: _Wanted, problem: str) -> list[StoredMessage]:
    """Return messages by time; raises RecordingError, citing the problem, if any is lost or missing."""
    with BagContents(wanted=wanted.topic) as contents:
        try:
            scanned = scan_bag(bag, contents)
        except RecordingError as error:
            raise RecordingError(f"{shown(bag.path)} is not a readable bag: {error}") from error
        asked = [n for n, c in enumerate(contents.channels) if wanted.channel(c.topic, c.msgtype)]
        found = list(contents.messages(asked))
        wrong = describe_losses(contents.losses)
    wrong += ["a file has no proper end" for one in scanned if not one.complete][:1]
    wrong += [
        f"a file counts {one.counted:,} messages, of which {one.found:,} are found"
        for one in scanned
        if one.counted is not None and one.found < one.counted
    ]
    wrong.append(fewer_than_counted([one for one in bag.counted if wanted.channel(*one[:2])], found))
    wrong += [f"{file.name} holds messages that are not in the database yet" for file in bag.unfinished]
    if any(wrong) or bag.missing:
        reasons = "; ".join(dict.fromkeys(filter(None, [problem, *wrong])))
        raise RecordingError(f"{shown(bag.path)} is not a readable bag: {reasons}; {mend_hint(bag.path)}")
    return found
