"""The memory that a compressed Arrow file takes, from its metadata: pyarrow unpacks without a limit.

The footer of a file lists blocks: dictionaries and record batches. The metadata of a block, a FlatBuffers table, list
its buffers; a compressed buffer begins with its unpacked size (Arrow columnar format, IPC file format).
"""

import struct
from collections import Counter
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"ARROW1"
_CONTINUES = -1
"""First number of a block since Arrow 0.15; before, it was the size of the metadata."""
_OLD_COMPRESSION = b"ARROW:experimental_compression"
"""Key in the metadata of compressed blocks before Arrow 1.0."""
_BLOCK = np.dtype([("offset", "<i8"), ("metadata", "<i4"), ("padding", "<i4"), ("body", "<i8")])
_BUFFER = np.dtype([("offset", "<i8"), ("length", "<i8")])
_DICTIONARIES, _BATCHES = 2, 3
"""Fields of a footer."""
_KIND, _HEADER = 1, 2
"""Fields of the metadata of a block."""
_DICTIONARY, _DATA = 2, 1
"""Kind of a block that is a dictionary, and the field with its batch."""
_BUFFERS, _COMPRESSION = 2, 3
"""Fields of a batch."""
_PREFIX = 8


def unpacked_bytes(content: memoryview) -> int:
    """Return the size of all compressed buffers after unpacking, in bytes; 0 for a file without compression.

    Args:
        content: The file.

    Raises:
        ValueError: It is not an Arrow file, or its metadata are damaged.
    """
    end = len(content) - len(_MAGIC)
    if end < 4 or bytes(content[end:]) != _MAGIC:
        raise ValueError("it was truncated, or is not an Arrow file")
    size = _number(content, "i", end - 4)
    footer = _root(_part(content, end - 4 - size, end - 4))
    lists = [footer.structures(field, _BLOCK).tolist() for field in (_DICTIONARIES, _BATCHES)]
    blocks = Counter(chain.from_iterable(lists))
    return sum(count * _unpacked(content, offset, size) for (offset, size, _, _), count in blocks.items())


def _unpacked(content: memoryview, offset: int, size: int) -> int:
    """Return the unpacked size of the compressed buffers of a block, whose metadata have `size` bytes."""
    start = offset + (8 if _number(content, "i", offset) == _CONTINUES else 4)
    body = offset + size
    metadata = _part(content, start, body)
    message = _root(metadata)
    batch = message.table(_HEADER)
    if batch is not None and message.number("B", _KIND) == _DICTIONARY:
        batch = batch.table(_DATA)
    if batch is None or not (batch.place_of(_COMPRESSION) or _OLD_COMPRESSION in bytes(metadata)):
        return 0
    buffers = batch.structures(_BUFFERS, _BUFFER).tolist()
    return sum(max(_number(content, "q", body + at), 0) for at, length in buffers if length >= _PREFIX)


class _Table(NamedTuple):
    """A table of FlatBuffers: its content and its place there."""

    content: memoryview
    place: int

    def place_of(self, field: int) -> int:
        """Return the place of a field; 0 without it."""
        fields = self.place - _number(self.content, "i", self.place)
        entry = 4 + 2 * field
        if entry >= _number(self.content, "H", fields):
            return 0
        offset = _number(self.content, "H", fields + entry)
        return self.place + offset if offset else 0

    def number(self, code: str, field: int) -> int:
        """Return a number; 0 without it."""
        place = self.place_of(field)
        return _number(self.content, code, place) if place else 0

    def table(self, field: int) -> "_Table | None":
        """Return a table below; None without it."""
        place = self.place_of(field)
        return _Table(self.content, place + _number(self.content, "I", place)) if place else None

    def structures(self, field: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return a list of structures; empty without it."""
        found = self.table(field)
        count = _number(self.content, "I", found.place) if found else 0
        if not found or not count:
            return np.zeros(0, dtype)
        first = found.place + 4
        return np.frombuffer(_part(self.content, first, first + count * dtype.itemsize), dtype)


def _root(content: memoryview) -> _Table:
    return _Table(content, _number(content, "I", 0))


def _number(content: memoryview, code: str, place: int) -> int:
    found: int = struct.unpack(f"<{code}", _part(content, place, place + struct.calcsize(f"<{code}")))[0]
    return found


def _part(content: memoryview, start: int, stop: int) -> memoryview:
    if not 0 <= start <= stop <= len(content):
        raise ValueError(f"its metadata name the bytes {start:,} to {stop:,} of {len(content):,}")
    return content[start:stop]
