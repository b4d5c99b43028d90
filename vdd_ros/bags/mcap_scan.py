"""Reads an MCAP file record by record, whole or cut, with an index or without.

An MCAP file is a magic, a header and then records, each an opcode (1 byte), a length (8 bytes) and that many bytes.
Messages lie among them or in chunks, which may be compressed. A file whose writer died ends inside a record.
"""

import re
import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from vdd_ros.bags.contents import LAST_STAMP_NS, BagContents, Channel, Places
from vdd_ros.bags.decompression import MOST_BYTES, unpack
from vdd_ros.errors import RecordingError
from vdd_ros.text import printable

MAGIC = b"\x89MCAP0\r\n"
RECORD = struct.Struct("<BQ")
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, STATISTICS, ATTACHMENT = 1, 2, 3, 4, 5, 6, 0x0B, 0x09

_DATA_END = 0x0F
_MESSAGE = struct.Struct("<HIQQ")
_MAY_BE_MESSAGE = re.compile(rb"(?s)\x05(?=.{4}\0{4}..)")
_CHUNK = struct.Struct("<QQQII")
_PROFILES = ("ros2", "")
_MOST_DEFINITION = 1 << 22  # largest schema or channel record that is read, bytes
_BLOCK = 1 << 20

CUT = "the file ends in the middle of a record"
DAMAGED = "the file is damaged there"
PACKED = "a compressed chunk that is damaged"
REST = "the rest of a compressed chunk that is cut off, as it would be unpacked"
CHECKSUM = "a chunk whose checksum is wrong"
BEHIND = "bytes behind the end of the file, perhaps of another one"
LENGTH = "the file is damaged there: a record claims to be longer than the file"

_SEARCHED = 1 << 24  # bytes of a cut record that are searched for whole messages


@dataclass(frozen=True)
class Scanned:
    """Results of scanning a file, besides its messages.

    Attributes:
        complete: It has a proper end.
        counted: Number of messages in its statistics; None without any.
        found: Number of messages found.
    """

    complete: bool
    counted: int | None = None
    found: int = 0


def is_mcap(path: Path) -> bool:
    """Return whether a file starts with the magic of MCAP."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def scan_mcap(contents: BagContents, file: BinaryIO, name: str) -> Scanned:
    """Add the messages of a file to `contents`.

    Args:
        contents: Receives the messages.
        file: The open file, opened by `contents`.
        name: Of the file, for errors.

    Raises:
        RecordingError: It is not MCAP, or holds no ROS 2 messages.
    """
    return _Scan(contents, file, name).run()


class _Scan:
    def __init__(self, contents: BagContents, file: BinaryIO, name: str) -> None:
        self._contents, self._file, self._name = contents, file, name
        self._schemas: dict[int, tuple[str, str]] = {}
        self._channels: dict[int, Channel] = {}
        self._places = Places()
        self._ended = False
        self._end = 0
        self._counted: int | None = None
        self._found = 0
        self._attachments = 0

    def run(self) -> Scanned:
        size = self._file.seek(0, 2)
        self._file.seek(0)
        if self._file.read(len(MAGIC)) != MAGIC:
            raise RecordingError(f"{self._name} ({size:,} bytes) is not an MCAP file: its first bytes are others")
        self._walk(self._file, len(MAGIC), size, top=True)
        complete = self._ended and self._tail(size) == MAGIC
        if self._ended and size > self._end + len(MAGIC):
            self._contents.lose(BEHIND, size - self._end - len(MAGIC))
        self._contents.add(self._file, self._channels, self._places)
        if self._attachments:
            self._contents.notes.append(f"{self._attachments} attachments in {self._name} are not messages")
        return Scanned(complete, self._counted, self._found)

    def _tail(self, size: int) -> bytes:
        self._file.seek(max(0, size - len(MAGIC)))
        return self._file.read(len(MAGIC))

    def _walk(self, file: BinaryIO, start: int, end: int, *, top: bool, cut: str = CUT) -> None:
        """Take the records of a region; `cut` is the reason to note if the region ends within a record."""
        position = start
        while position < end and not self._ended:
            file.seek(position)
            head = file.read(min(RECORD.size, end - position))
            opcode, length = RECORD.unpack(head) if len(head) == RECORD.size else (-1, 0)
            if opcode == 0:
                self._contents.lose(DAMAGED, end - position)
                return
            body = position + RECORD.size
            if opcode < 0 or body + length > end:
                if not (top and opcode == CHUNK and self._chunk(body, end, whole=False)):
                    reason = LENGTH if cut == CUT and self._holds_messages(file, body, end) else cut
                    self._contents.lose(reason, end - position, harmless=reason == CUT)
                return
            self._take(file, opcode, body, length, top=top)
            position = body + length

    def _take(self, file: BinaryIO, opcode: int, body: int, length: int, *, top: bool) -> None:
        """Take one whole record."""
        if opcode == MESSAGE:
            self._message(file, body, length)
        elif opcode == CHUNK:
            if not (top and self._chunk(body, body + length, whole=True)):
                self._contents.lose(DAMAGED, length)
        elif opcode in (HEADER, SCHEMA, CHANNEL, STATISTICS):
            try:
                if length > _MOST_DEFINITION:
                    raise ValueError
                self._describe(opcode, file.read(length))
            except (ValueError, struct.error, IndexError):
                self._contents.lose(DAMAGED, length)
        elif opcode == ATTACHMENT:
            self._attachments += 1
        elif opcode == FOOTER and top:
            self._ended, self._end = True, body + length

    def _holds_messages(self, file: BinaryIO, start: int, end: int) -> bool:
        """Return whether a cut record contains a whole message of a known topic, followed by another record."""
        file.seek(start)
        rest = file.read(max(0, min(end - start, _SEARCHED)))
        for found in _MAY_BE_MESSAGE.finditer(rest):
            _, length = RECORD.unpack_from(rest, found.start())
            behind = found.start() + RECORD.size + length
            (channel,) = struct.unpack_from("<H", rest, found.start() + RECORD.size)
            whole = _MESSAGE.size <= length and behind < len(rest) and rest[behind] in (MESSAGE, CHUNK, _DATA_END)
            if whole and channel in self._channels:
                return True
        return False

    def _message(self, file: BinaryIO, body: int, length: int) -> None:
        head = file.read(min(_MESSAGE.size, length))
        if len(head) < _MESSAGE.size:
            self._contents.lose(DAMAGED, length)
            return
        channel, _, log_ns, publish_ns = _MESSAGE.unpack(head)
        if log_ns > LAST_STAMP_NS:
            self._contents.lose("messages whose time is none", length)
            return
        self._found += 1
        known = self._channels.get(channel)
        if known is not None and not self._contents.wanted(known.topic):
            return
        publish_ns = publish_ns if publish_ns <= LAST_STAMP_NS else log_ns
        spooled, size = file is not self._file, length - _MESSAGE.size
        offset = self._contents.keep(file.read(size)) if spooled else body + _MESSAGE.size
        self._places.add(channel, log_ns, publish_ns, spooled=spooled, offset=offset, size=size)

    def _describe(self, opcode: int, record: bytes) -> None:
        """Take a record that describes messages; raises ValueError and the like if it is damaged."""
        if opcode == HEADER:
            profile, _ = _text(record, 0)
            if profile not in _PROFILES:
                raise RecordingError(
                    f"{self._name} is an MCAP file of the profile {printable(profile)!r}; messages of ROS 2 are needed"
                )
        elif opcode == SCHEMA:
            name, place = _text(record, 2)
            _, place = _text(record, place)
            definition, _ = _text(record, place)
            self._schemas[_number(record, 0, 2)] = name, definition
        elif opcode == CHANNEL:
            topic, place = _text(record, 4)
            encoding, place = _text(record, place)
            msgtype, definition = self._schemas.get(_number(record, 2, 2), ("", ""))
            qos = _map(record, place).get("offered_qos_profiles", "")
            self._channels[_number(record, 0, 2)] = Channel(topic, msgtype, definition, encoding, qos)
        else:
            self._counted = _number(record, 0, 8)

    def _chunk(self, body: int, end: int, *, whole: bool) -> bool:
        """Take a chunk's content, available from `body` to `end`; return False if not even its header is."""
        self._file.seek(body)
        head = self._file.read(min(_CHUNK.size, end - body))
        if len(head) < _CHUNK.size:
            return False
        _, _, size, checksum, length = _CHUNK.unpack(head)
        start = body + _CHUNK.size + length + 8
        if length > 16 or start > end:
            return False
        compression = self._file.read(length).decode("ascii", "replace")
        (packed,) = struct.unpack("<Q", self._file.read(8))
        if whole and start + packed > end:
            return False
        end = min(end, start + packed)
        if compression:
            self._packed(compression, start, end, size, checksum, whole=whole)
        elif whole and checksum and self._checksum(start, end) != checksum:
            self._contents.lose(CHECKSUM, end - start)
        else:
            self._walk(self._file, start, end, top=False, cut=DAMAGED if whole else CUT)
        return True

    def _packed(self, compression: str, start: int, end: int, size: int, checksum: int, *, whole: bool) -> None:
        """Take a compressed chunk; of a cut one, the messages before the cut."""
        if compression not in ("zstd", "lz4"):
            self._contents.lose(f"chunks of an unknown compression, {printable(compression)!r}", end - start)
            return
        self._file.seek(start)
        content, done = unpack(compression, self._file.read(end - start), min(size, MOST_BYTES))
        if whole and (not done or len(content) != size):
            self._contents.lose(PACKED, end - start)
        elif whole and checksum and crc32(content) != checksum:
            self._contents.lose(CHECKSUM, end - start)
        else:
            if not whole:
                self._contents.lose(REST, max(min(size, MOST_BYTES) - len(content), 0))
            self._walk(BytesIO(content), 0, len(content), top=False, cut=DAMAGED if whole else REST)

    def _checksum(self, start: int, end: int) -> int:
        self._file.seek(start)
        found = 0
        while start < end:
            block = self._file.read(min(_BLOCK, end - start))
            found, start = crc32(block, found), start + max(len(block), 1)
        return found


def _number(record: bytes, place: int, size: int) -> int:
    if place + size > len(record):
        raise ValueError("the record is too short")
    return int.from_bytes(record[place : place + size], "little")


def _text(record: bytes, place: int) -> tuple[str, int]:
    """Return a length-prefixed text, and its end."""
    length = _number(record, place, 4)
    place += 4
    if place + length > len(record):
        raise ValueError("the record is too short")
    return record[place : place + length].decode("utf-8"), place + length


def _map(record: bytes, place: int) -> dict[str, str]:
    end = place + 4 + _number(record, place, 4)
    place += 4
    found = {}
    while place < end:
        key, place = _text(record, place)
        found[key], place = _text(record, place)
    return found
