"""Shards of zarr 3: many chunks in one file, with an index of their locations."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vdd_ros.data.formats.zarr_codecs import checked

_ABSENT = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True)
class Shards:
    """Layout of chunks in shards.

    Attributes:
        counts: Chunks of a shard along each axis.
        at_start: Whether the index precedes or follows the chunks.
        little: Whether its numbers are little-endian.
        has_checksum: Whether a CRC-32C follows the index.
    """

    counts: tuple[int, ...]
    at_start: bool
    little: bool
    has_checksum: bool

    @property
    def index_size(self) -> int:
        """Size of the index, in bytes."""
        return 16 * math.prod(self.counts) + 4 * self.has_checksum

    def chunks(self, content: bytes) -> Iterator[tuple[tuple[int, ...], bytes]]:
        """Yield index in the shard and content of each stored chunk.

        Raises:
            ValueError: The shard is damaged.
        """
        if len(content) < self.index_size:
            raise ValueError("it was truncated")
        index = content[: self.index_size] if self.at_start else content[len(content) - self.index_size :]
        places = np.frombuffer(checked(index) if self.has_checksum else index, "<u8" if self.little else ">u8")
        for chunk, (start, size) in zip(np.ndindex(self.counts), places.reshape(-1, 2).tolist(), strict=True):
            if start == size == _ABSENT:
                continue
            if start + size > len(content):
                raise ValueError(f"its index places a chunk at {start:,}, after its end")
            yield chunk, content[start : start + size]
