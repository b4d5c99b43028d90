"""Streams the messages of whole MCAP files in the order of receipt, one chunk after the other."""

import struct
from array import array
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.blocks import MessageBlock
from vdd_ros.bags.contents import LAST_STAMP_NS, Channel, StoredMessage
from vdd_ros.bags.decompression import MOST_BYTES, ZSTD_MAGIC, unpack
from vdd_ros.bags.mcap_records import (
    CHANNEL,
    CHUNK,
    CHUNK_HEAD,
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
    Statistics,
    statistics_of,
    text_at,
)
from vdd_ros.errors import RecordingError
from vdd_ros.robot.cdr.packed import Packed

_BODY = RECORD.size
_HEAD = np.dtype(
    [
        *(("opcode", "u1"), ("length", "<u8"), ("channel", "<u2"), ("number", "<u4")),
        *(("log_ns", "<u8"), ("publish_ns", "<u8")),
    ]
)
"""A message before its content: `RECORD`, then `MESSAGE_HEAD`."""
_CHANNELS = 1 << 16
_SHORTEST = 16
"""Minimum average size of a record with its head, in bytes; records of topics and messages are larger."""
_CHECKED = 1 << 20
"""Bytes of a chunk between checks of that average: a few bytes can expand to millions of empty records."""
_MOST_OVERLAPPING = 1 << 26
"""Limit on the bytes of chunks kept at once because their times overlap."""


class _Chunk(NamedTuple):
    """A chunk: times of its first and last message, its file, and the location of its records."""

    start_ns: int
    end_ns: int
    file: int
    offset: int
    packed: int
    size: int
    checksum: int
    compression: str


class McapFile:
    """One open MCAP file: everything except its messages.

    Attributes:
        channels: Its topics, by its own numbers.
        counts: Number of messages by channel.
        chunks: Its chunks.
    """

    def __init__(self, channels: dict[int, Channel], counts: dict[int, int], chunks: list[_Chunk]) -> None:
        self.channels, self.counts, self.chunks = channels, counts, chunks


def outline(file: BinaryIO, number: int) -> McapFile | None:
    """Return the outline of an MCAP file if its messages can be streamed.

    Args:
        file: The open file.
        number: Index of the file among those of the bag.

    Returns:
        None if it is truncated or damaged, has no statistics, or has messages outside of chunks.
    """
    found = _Outline(file, number)
    try:
        whole = found.run()
    except (ValueError, struct.error):
        return None
    if not whole or found.statistics is None:
        return None
    counts, channels = found.statistics.by_channel, found.descriptions.channels
    if sum(counts.values()) != found.statistics.messages or not set(counts) <= set(channels):
        return None
    return McapFile(channels, {key: counts.get(key, 0) for key in channels}, found.chunks)


class _Outline:
    """Walks over the records of a file without reading its chunks."""

    def __init__(self, file: BinaryIO, number: int) -> None:
        self._file, self._number = file, number
        self.descriptions = Descriptions()
        self.chunks: list[_Chunk] = []
        self.statistics: Statistics | None = None

    def run(self) -> bool:
        """Return whether the file is complete and has messages only in chunks; raises ValueError if it is damaged."""
        file = self._file
        size = file.seek(0, 2)
        file.seek(0)
        if file.read(len(MAGIC)) != MAGIC:
            return False
        place = len(MAGIC)
        while place + RECORD.size <= size:
            file.seek(place)
            opcode, length = RECORD.unpack(file.read(RECORD.size))
            if opcode in (0, MESSAGE) or place + RECORD.size + length > size:
                return False
            if opcode == FOOTER:
                file.seek(place + RECORD.size + length)
                return file.read() == MAGIC
            self._take(opcode, place + RECORD.size, length)
            place += RECORD.size + length
        return False

    def _take(self, opcode: int, body: int, length: int) -> None:
        if opcode == CHUNK:
            self.chunks.append(self._chunk(body, length))
        elif opcode in (HEADER, SCHEMA, CHANNEL, STATISTICS):
            if length > MOST_DEFINITION:
                raise ValueError("a description is too long")
            record = self._file.read(length)
            if opcode == HEADER and text_at(record, 0)[0] not in PROFILES:
                raise ValueError("the profile is not that of ROS 2")
            if opcode == SCHEMA:
                self.descriptions.add_schema(record)
            elif opcode == CHANNEL:
                self.descriptions.add_channel(record)
            elif opcode == STATISTICS:
                self.statistics = statistics_of(record)

    def _chunk(self, body: int, length: int) -> _Chunk:
        start_ns, end_ns, size, checksum, named = CHUNK_HEAD.unpack(self._file.read(CHUNK_HEAD.size))
        if named > 16 or size > MOST_BYTES:
            raise ValueError("the chunk has no usable head")
        compression = self._file.read(named).decode("ascii")
        (packed,) = struct.unpack("<Q", self._file.read(8))
        offset = body + CHUNK_HEAD.size + named + 8
        if compression not in ("", "lz4", "zstd") or offset + packed > body + length:
            raise ValueError("the chunk has no usable content")
        return _Chunk(start_ns, end_ns, self._number, offset, packed, size, checksum, compression)


class McapStream:
    """The messages of some whole MCAP files; see `vdd_ros.bags.raw_messages.RawBag`.

    Args:
        paths: Paths of the files, for errors.
        files: The open files.
        outlines: Their outlines.
    """

    def __init__(self, paths: list[Path], files: list[BinaryIO], outlines: list[McapFile]) -> None:
        self._paths, self._files, self._outlines = paths, files, outlines
        self._places = [(file, key) for file, one in enumerate(outlines) for key in one.channels]
        self.channels = [outlines[file].channels[key] for file, key in self._places]
        self._chunks = sorted((chunk for one in outlines for chunk in one.chunks if chunk.size), key=_start)

    def counts(self) -> list[int]:
        """Return the number of messages of each channel."""
        return [self._outlines[file].counts[key] for file, key in self._places]

    @property
    def streams(self) -> bool:
        """Whether few enough chunks overlap in time."""
        return _overlap(self._chunks) <= _MOST_OVERLAPPING

    def batches(self, places: Collection[int]) -> Iterator[list[StoredMessage]]:
        """Yield the messages of some channels in the order of receipt, in lists; see `blocks`."""
        for block in self.blocks(places):
            yield block.messages(self.channels)

    def blocks(self, places: Collection[int]) -> Iterator[MessageBlock]:
        """Yield the messages of some channels in the order of receipt, in blocks of about a chunk.

        Raises:
            RecordingError: A chunk is damaged, or there are fewer messages than the files' statistics count.
        """
        wanted: list[dict[int, int]] = [{} for _ in self._files]
        for place in places:
            file, key = self._places[place]
            wanted[file][key] = place
        found_of = np.zeros(len(self.channels), np.int64)
        waiting: MessageBlock | None = None
        nexts = [*(chunk.start_ns for chunk in self._chunks[1:]), LAST_STAMP_NS]
        for chunk, next_ns in zip(self._chunks, nexts, strict=False):  # without chunks there is no next one
            found = self._block(chunk, wanted[chunk.file])
            found_of += np.bincount(found.places, minlength=len(found_of))
            if waiting is None and (not len(found) or found.log_ns[-1] <= next_ns):
                yield found
                continue
            waiting = found if waiting is None else MessageBlock.joined([waiting, found]).sorted()
            ready = int(np.searchsorted(waiting.log_ns, next_ns, "right"))
            yield waiting.taken(slice(ready))
            waiting = waiting.taken(slice(ready, None)).alone() if ready < len(waiting) else None
        self._check(places, found_of.tolist())

    def _block(self, chunk: _Chunk, wanted: dict[int, int]) -> MessageBlock:
        """Return the messages of a chunk on channels with these numbers, by index, in the order of receipt."""
        content = self._unpacked(chunk)
        records = self._records(chunk, content)
        heads = np.empty(0, _HEAD)
        if len(records):
            heads = np.ndarray(len(content) - _HEAD.itemsize + 1, _HEAD, content, strides=(1,))[records]
        places = np.full(_CHANNELS, -1, np.int32)
        places[list(wanted)] = list(wanted.values())
        place_of = np.where(heads["opcode"] == MESSAGE, places[heads["channel"]], -1)
        chosen = np.flatnonzero(place_of >= 0)
        if len(chosen) < len(heads):
            heads, records, place_of = heads[chosen], records[chosen], place_of[chosen]
        sizes = heads["length"].astype(np.int64) - MESSAGE_HEAD.size
        if len(sizes) and sizes.min() < 0:
            raise self._damaged(chunk, "a message in it is too short")
        times = heads["log_ns"]
        if len(times) and (times.min() < chunk.start_ns or times.max() > LAST_STAMP_NS):
            raise self._damaged(chunk, "its messages were received outside of its stated time")
        packed = Packed(content, records + _HEAD.itemsize, sizes)
        publish_ns = heads["publish_ns"].astype(np.int64)
        return MessageBlock(place_of.astype(np.int64), times.astype(np.int64), publish_ns, packed).sorted()

    def _records(self, chunk: _Chunk, content: bytes) -> NDArray[np.int64]:
        """Return the offsets of the records of a chunk that are long enough for a message."""
        found = array("q")
        place, end = 0, len(content)
        last = end - _HEAD.itemsize
        unpack_from, add = RECORD.unpack_from, found.append
        while place <= last:
            stop = min(place + _CHECKED, last)
            while place <= stop:
                add(place)
                place += _BODY + unpack_from(content, place)[1]
            if len(found) > place // _SHORTEST + 1:
                raise self._damaged(chunk, "its records are too short")
        while place + _BODY <= end:  # records shorter than a message
            place += _BODY + unpack_from(content, place)[1]
        if place != end:
            raise self._damaged(chunk, "its records do not fill it")
        return np.array(found, np.int64)

    def _unpacked(self, chunk: _Chunk) -> bytes:
        file = self._files[chunk.file]
        file.seek(chunk.offset)
        content = file.read(chunk.packed)
        if len(content) < chunk.packed:
            raise self._damaged(chunk, "the file became shorter while it was read")
        if chunk.compression:
            content, whole = unpack(chunk.compression, content, chunk.size)
            if not whole:
                raise self._damaged(chunk, "its compression is damaged")
        if len(content) != chunk.size:
            raise self._damaged(chunk, f"it holds {len(content):,} bytes instead of {chunk.size:,}")
        if chunk.checksum and crc32(content) != chunk.checksum:
            raise self._damaged(chunk, "its checksum is wrong")
        return content

    def _damaged(self, chunk: _Chunk, why: str) -> RecordingError:
        return RecordingError(f"the chunk at byte {chunk.offset:,} of {self._paths[chunk.file].name} is damaged: {why}")

    def _check(self, places: Iterable[int], found: list[int]) -> None:
        for place in places:
            file, key = self._places[place]
            counted, channel = self._outlines[file].counts[key], self.channels[place]
            if found[place] < counted:
                raise RecordingError(
                    f"{self._paths[file].name} counts {counted:,} messages on {channel.topic}, of which "
                    f"{found[place]:,} are found"
                )


def unpacked_singly(messages: list[StoredMessage]) -> list[StoredMessage]:
    """Return messages, unpacked if compressed one by one; raises RecordingError if one is damaged."""
    return [_unpacked(one) if one.content.startswith(ZSTD_MAGIC) else one for one in messages]


def _unpacked(message: StoredMessage) -> StoredMessage:
    content, whole = unpack("zstd", message.content, MOST_BYTES)
    if not whole:
        raise RecordingError(f"the compression of a message on {message.channel.topic} is damaged")
    return message._replace(content=content)


def _start(chunk: _Chunk) -> tuple[int, int, int]:
    return chunk.start_ns, chunk.file, chunk.offset


def _overlap(chunks: list[_Chunk]) -> int:
    """Return the largest number of bytes of other chunks to keep until a chunk begins, or a number above the limit."""
    most, open_ones = 0, list[_Chunk]()
    for chunk in chunks:
        open_ones = [one for one in open_ones if one.end_ns > chunk.start_ns]
        open_ones.append(chunk)
        most = max(most, sum(one.size for one in open_ones[:-1]))
        if most > _MOST_OVERLAPPING:
            break
    return most
