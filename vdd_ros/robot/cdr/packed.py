"""Many serialised messages in one buffer, addressed by arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Packed:
    """n messages, with their encapsulation headers, anywhere in one buffer.

    Attributes:
        content: The buffer.
        starts: (n,) offset of each message.
        sizes: (n,) its size in bytes.
    """

    content: bytes
    starts: Ints
    sizes: Ints

    @classmethod
    def of(cls, contents: Sequence[bytes]) -> "Packed":
        """Pack some messages one after the other."""
        sizes = np.fromiter(map(len, contents), np.int64, len(contents))
        return cls(b"".join(contents), np.cumsum(sizes) - sizes, sizes)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, place: int) -> bytes:
        start = int(self.starts[place])
        return self.content[start : start + int(self.sizes[place])]

    def taken(self, places: Ints | slice) -> "Packed":
        """Return the messages at some indices, in the same buffer."""
        return Packed(self.content, self.starts[places], self.sizes[places])

    def alone(self) -> "Packed":
        """Return the same messages in a buffer without anything else."""
        return Packed.of([self[place] for place in range(len(self))])

    def rows(self, places: Ints, size: int) -> NDArray[np.uint8]:
        """Return the first `size` bytes of some messages, (m, size); none of them may be shorter."""
        if not size or not len(places):
            return np.empty((len(places), size), np.uint8)
        ends = len(self.content) - size + 1
        windows = np.ndarray((ends,), f"V{size}", self.content, strides=(1,))  # overlapping views, not copies
        return windows[self.starts[places]].view(np.uint8).reshape(-1, size)
