"""Records of MCAP files: their numbers, their layout, and the parts that describe topics.

An MCAP file is a magic, a header and then records, each an opcode (1 byte), a length (8 bytes) and that many bytes.
Messages lie among them or in chunks, which may be compressed.
"""

import struct
from pathlib import Path
from typing import NamedTuple

from vdd_ros.bags.contents import Channel

MAGIC = b"\x89MCAP0\r\n"
RECORD = struct.Struct("<BQ")
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, STATISTICS, ATTACHMENT = 1, 2, 3, 4, 5, 6, 0x0B, 0x09
DATA_END = 0x0F

MESSAGE_HEAD = struct.Struct("<HIQQ")
"""Channel, sequence number, time of receipt, time of publishing."""
CHUNK_HEAD = struct.Struct("<QQQII")
"""Times of the first and the last message, unpacked size, checksum, length of the compression's name."""

PROFILES = ("ros2", "")
MOST_DEFINITION = 1 << 22
"""Size limit of a schema or channel record, in bytes."""


class Statistics(NamedTuple):
    """Number of messages in a file, and of each channel."""

    messages: int
    by_channel: dict[int, int]


class Descriptions:
    """Collects the schemas and channels of a file.

    Attributes:
        channels: Topics by the file's own number.
    """

    def __init__(self) -> None:
        self.channels: dict[int, Channel] = {}
        self._schemas: dict[int, tuple[str, str]] = {}

    def add_schema(self, record: bytes) -> None:
        """Take a schema record; raises ValueError if it is damaged."""
        name, place = text_at(record, 2)
        _, place = text_at(record, place)
        definition, _ = text_at(record, place)
        self._schemas[number_at(record, 0, 2)] = name, definition

    def add_channel(self, record: bytes) -> None:
        """Take a channel record; raises ValueError if it is damaged."""
        topic, place = text_at(record, 4)
        encoding, place = text_at(record, place)
        msgtype, definition = self._schemas.get(number_at(record, 2, 2), ("", ""))
        qos = map_at(record, place).get("offered_qos_profiles", "")
        self.channels[number_at(record, 0, 2)] = Channel(topic, msgtype, definition, encoding, qos)


def is_mcap(path: Path) -> bool:
    """Return whether a file starts with the magic of MCAP."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def statistics_of(record: bytes) -> Statistics:
    """Return the counts of a statistics record; raises ValueError if it is damaged."""
    counts, place = {}, 42
    end = place + 4 + number_at(record, place, 4)
    for entry in range(place + 4, end, 10):
        counts[number_at(record, entry, 2)] = number_at(record, entry + 2, 8)
    return Statistics(number_at(record, 0, 8), counts)


def number_at(record: bytes, place: int, size: int) -> int:
    """Return an unsigned number of some bytes; raises ValueError if the record is too short."""
    if place + size > len(record):
        raise ValueError("the record is too short")
    return int.from_bytes(record[place : place + size], "little")


def text_at(record: bytes, place: int) -> tuple[str, int]:
    """Return a length-prefixed text, and its end; raises ValueError if the record is too short."""
    length = number_at(record, place, 4)
    place += 4
    if place + length > len(record):
        raise ValueError("the record is too short")
    return record[place : place + length].decode("utf-8"), place + length


def map_at(record: bytes, place: int) -> dict[str, str]:
    """Return a map of texts; raises ValueError if the record is too short."""
    end = place + 4 + number_at(record, place, 4)
    place += 4
    found = {}
    while place < end:
        key, place = text_at(record, place)
        found[key], place = text_at(record, place)
    return found
