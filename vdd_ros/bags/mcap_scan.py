"""Reads an MCAP file record by record, complete or truncated, with or without an index.

A file whose writer died ends inside a record.
"""

import re
import struct
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO
from zlib import crc32

from vdd_ros.bags.contents import LAST_STAMP_NS, BagContents, Places
from vdd_ros.bags.decompression import MOST_BYTES, unpack
from vdd_ros.bags.mcap_records import (
    ATTACHMENT,
    CHANNEL,
    CHUNK,
    CHUNK_HEAD,
    DATA_END,
    FOOTER,
    HEADER,
    MAGIC,
    MESSAGE,
    MESSAGE_HEAD,
    MOST_DEFINITION,
    PROFILES,
    RECORD,
    SCHEMA,
    STATISTICS,
    Descriptions,
    number_at,
    text_at,
)
from vdd_ros.errors import RecordingError
from vdd_ros.text import printable

_MAY_BE_MESSAGE = re.compile(rb"(?s)\x05(?=.{4}\0{4}..)")
_BLOCK = 1 << 20

CUT = "the file ends in the middle of a record"
DAMAGED = "the file is damaged there"
PACKED = "a damaged compressed chunk"
REST = "the unpacked rest of a truncated compressed chunk"
CHECKSUM = "a chunk with a wrong checksum"
BEHIND = "bytes after the end of the file, perhaps of another one"
LENGTH = "the file is damaged there: a record claims to be longer than the file"

_SEARCHED = 1 << 24  # bytes of a truncated record that are searched for whole messages


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


def scan_mcap(contents: BagContents, file: BinaryIO, name: str) -> Scanned:
    """Add the messages of a file to `contents`.

    Args:
        contents: Receives the messages.
        file: The open file, opened by `contents`.
        name: Name of the file, for errors.

    Raises:
        RecordingError: It is not MCAP, or holds no ROS 2 messages.
    """
    return _Scan(contents, file, name).run()


class _Scan:
    def __init__(self, contents: BagContents, file: BinaryIO, name: str) -> None:
        self._contents, self._file, self._name = contents, file, name
        self._descriptions = Descriptions()
        self._channels = self._descriptions.channels
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
            raise RecordingError(f"{self._name} ({size:,} bytes) is not an MCAP file, by its first bytes")
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
                if length > MOST_DEFINITION:
                    raise ValueError
                self._describe(opcode, file.read(length))
            except (ValueError, struct.error, IndexError):
                self._contents.lose(DAMAGED, length)
        elif opcode == ATTACHMENT:
            self._attachments += 1
        elif opcode == FOOTER and top:
            self._ended, self._end = True, body + length

    def _holds_messages(self, file: BinaryIO, start: int, end: int) -> bool:
        """Return whether a truncated record contains a whole message of a known topic, followed by another record."""
        file.seek(start)
        rest = file.read(max(0, min(end - start, _SEARCHED)))
        for found in _MAY_BE_MESSAGE.finditer(rest):
            _, length = RECORD.unpack_from(rest, found.start())
            behind = found.start() + RECORD.size + length
            (channel,) = struct.unpack_from("<H", rest, found.start() + RECORD.size)
            whole = MESSAGE_HEAD.size <= length and behind < len(rest) and rest[behind] in (MESSAGE, CHUNK, DATA_END)
            if whole and channel in self._channels:
                return True
        return False

    def _message(self, file: BinaryIO, body: int, length: int) -> None:
        head = file.read(min(MESSAGE_HEAD.size, length))
        if len(head) < MESSAGE_HEAD.size:
            self._contents.lose(DAMAGED, length)
            return
        channel, _, log_ns, publish_ns = MESSAGE_HEAD.unpack(head)
        if log_ns > LAST_STAMP_NS:
            self._contents.lose("messages with an invalid time", length)
            return
        self._found += 1
        known = self._channels.get(channel)
        if known is not None and not self._contents.wanted(known.topic):
            return
        publish_ns = publish_ns if publish_ns <= LAST_STAMP_NS else log_ns
        spooled, size = file is not self._file, length - MESSAGE_HEAD.size
        offset = self._contents.keep(file.read(size)) if spooled else body + MESSAGE_HEAD.size
        self._places.add(channel, log_ns, publish_ns, spooled=spooled, offset=offset, size=size)

    def _describe(self, opcode: int, record: bytes) -> None:
        """Take a record that describes messages; raises ValueError or similar if it is damaged."""
        if opcode == HEADER:
            profile, _ = text_at(record, 0)
            if profile not in PROFILES:
                raise RecordingError(
                    f"{self._name} is an MCAP file with the profile {printable(profile)!r}; ROS 2 messages are needed"
                )
        elif opcode == SCHEMA:
            self._descriptions.add_schema(record)
        elif opcode == CHANNEL:
            self._descriptions.add_channel(record)
        else:
            self._counted = number_at(record, 0, 8)

    def _chunk(self, body: int, end: int, *, whole: bool) -> bool:
        """Take a chunk's content, available from `body` to `end`; return False if not even its header is."""
        self._file.seek(body)
        head = self._file.read(min(CHUNK_HEAD.size, end - body))
        if len(head) < CHUNK_HEAD.size:
            return False
        _, _, size, checksum, length = CHUNK_HEAD.unpack(head)
        start = body + CHUNK_HEAD.size + length + 8
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
        """Take a compressed chunk; of a truncated one, the messages before the cut."""
        if compression not in ("zstd", "lz4"):
            self._contents.lose(f"chunks with an unknown compression, {printable(compression)!r}", end - start)
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
