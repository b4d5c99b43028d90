"""Many messages of a bag as arrays, without Python code per message."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.contents import Channel, StoredMessage
from vdd_ros.robot.cdr.packed import Packed

Ints = NDArray[np.int64]
BYTES, MESSAGES = 4 << 20, 1 << 14
"""Size of a merged block: at least these bytes, or this number of messages."""

_stored = partial(tuple.__new__, StoredMessage)
"""Makes a message from its four values, in half the time of calling the class."""


@dataclass(frozen=True)
class MessageBlock:
    """n messages in the order of receipt.

    Attributes:
        places: (n,) index of each one's channel among the channels of the bag.
        log_ns: (n,) times of receipt, which never decrease.
        publish_ns: (n,) times of publishing.
        contents: Their bytes.
    """

    places: Ints
    log_ns: Ints
    publish_ns: Ints
    contents: Packed

    @classmethod
    def of(cls, messages: Sequence[StoredMessage], places: dict[int, int]) -> "MessageBlock":
        """Return messages as a block; `places` are the indices of the channels, by their `id`."""
        count = len(messages)
        return cls(
            np.fromiter((places[id(one.channel)] for one in messages), np.int64, count),
            np.fromiter((one.log_ns for one in messages), np.int64, count),
            np.fromiter((one.publish_ns for one in messages), np.int64, count),
            Packed.of([one.content for one in messages]),
        )

    @classmethod
    def joined(cls, blocks: "Sequence[MessageBlock]") -> "MessageBlock":
        """Return the messages of several blocks, one block after the other."""
        if len(blocks) == 1:
            return blocks[0]
        buffers = [block.contents.content for block in blocks]
        shifts = np.cumsum([0, *map(len, buffers)])
        starts = [block.contents.starts + shift for block, shift in zip(blocks, shifts, strict=False)]
        sizes = np.concatenate([block.contents.sizes for block in blocks])
        return cls(
            np.concatenate([block.places for block in blocks]),
            np.concatenate([block.log_ns for block in blocks]),
            np.concatenate([block.publish_ns for block in blocks]),
            Packed(b"".join(buffers), np.concatenate(starts), sizes),
        )

    def __len__(self) -> int:
        return len(self.places)

    def taken(self, rows: Ints | slice) -> "MessageBlock":
        """Return some messages; the buffer stays the same."""
        return MessageBlock(self.places[rows], self.log_ns[rows], self.publish_ns[rows], self.contents.taken(rows))

    def sorted(self) -> "MessageBlock":
        """Return the messages in the order of receipt; those of the same time keep their order."""
        if (self.log_ns[1:] >= self.log_ns[:-1]).all():
            return self
        return self.taken(np.argsort(self.log_ns, kind="stable"))

    def alone(self) -> "MessageBlock":
        """Return the same messages in a buffer without anything else."""
        return MessageBlock(self.places, self.log_ns, self.publish_ns, self.contents.alone())

    def messages(self, channels: Sequence[Channel]) -> list[StoredMessage]:
        """Return the messages one by one."""
        content, starts = self.contents.content, self.contents.starts
        columns = (self.places, self.log_ns, self.publish_ns, starts, starts + self.contents.sizes)
        return [
            _stored((channels[place], log_ns, publish_ns, content[start:stop]))
            for place, log_ns, publish_ns, start, stop in zip(*(each.tolist() for each in columns), strict=True)
        ]


def of_messages(batches: Iterable[list[StoredMessage]], places: dict[int, int]) -> Iterator[MessageBlock]:
    """Merge lists of messages, perhaps of length one, into blocks."""
    waiting: list[StoredMessage] = []
    size = 0
    for batch in batches:
        waiting += batch
        size += sum(len(one.content) for one in batch)
        if size >= BYTES or len(waiting) >= MESSAGES:
            yield MessageBlock.of(waiting, places)
            waiting, size = [], 0
    if waiting:
        yield MessageBlock.of(waiting, places)


def of_blocks(blocks: Iterable[MessageBlock]) -> Iterator[MessageBlock]:
    """Merge small blocks."""
    waiting: list[MessageBlock] = []
    size = 0
    for block in blocks:
        if not len(block):
            continue
        waiting.append(block)
        size += len(block.contents.content)
        if size >= BYTES:
            yield MessageBlock.joined(waiting)
            waiting, size = [], 0
    if waiting:
        yield MessageBlock.joined(waiting)
