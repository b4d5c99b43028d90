"""Content of a bag's files, from any writer, whole or cut off: messages by time, and unreadable data.

Sources are never written to. Messages stay in place; memory holds only their positions (30 bytes each). Messages
from compressed chunks and databases are copied to a temporary file.
"""

import tempfile
from array import array
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.decompression import MOST_BYTES, ZSTD_MAGIC, unpack
from vdd_ros.errors import RecordingError

Ints = NDArray[np.int64]

LAST_STAMP_NS = 2**63 - 1
"""The largest valid time in a bag."""


@dataclass(frozen=True)
class Channel:
    """One topic of one file.

    Attributes:
        topic: Its full name.
        msgtype: Its type, such as std_msgs/msg/String; empty if the file does not state it.
        definition: The definition of the type in the file; empty if missing.
        encoding: How messages are serialised; `cdr` in ROS 2.
        offered_qos: The publishers' profiles as YAML; empty if the file does not state them.
    """

    topic: str
    msgtype: str
    definition: str = ""
    encoding: str = "cdr"
    offered_qos: str = ""


@dataclass
class Loss:
    """Bytes of a bag that could not be read, for one reason.

    Attributes:
        count: Number of pieces.
        size: Bytes of all of them.
        harmless: Whether they held no whole message, only a truncated one.
    """

    count: int = 0
    size: int = 0
    harmless: bool = True


@dataclass
class Places:
    """Positions of messages in one file: parallel columns, one entry per message."""

    channel: "array[int]" = field(default_factory=lambda: array("q"))
    log_ns: "array[int]" = field(default_factory=lambda: array("q"))
    publish_ns: "array[int]" = field(default_factory=lambda: array("q"))
    spooled: "array[int]" = field(default_factory=lambda: array("b"))
    offset: "array[int]" = field(default_factory=lambda: array("q"))
    size: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, channel: int, log_ns: int, publish_ns: int, *, spooled: bool, offset: int, size: int) -> None:
        """Add a message of a channel (the file's own number) at an offset in the file, or in the spool."""
        self.channel.append(channel)
        self.log_ns.append(log_ns)
        self.publish_ns.append(publish_ns)
        self.spooled.append(spooled)
        self.offset.append(offset)
        self.size.append(size)

    def __len__(self) -> int:
        return len(self.channel)


class StoredMessage(NamedTuple):
    """One message of a bag: channel, times of receipt and publishing (ns), and bytes."""

    channel: Channel
    log_ns: int
    publish_ns: int
    content: bytes


class BagContents:
    """Collects the messages of one or several files.

    Attributes:
        channels: Topics of all files, in the order in which they were found.
        losses: Unreadable data by reason.
        notes: Further remarks for a reader, in words.
    """

    def __init__(self, folder: Path | None = None, wanted: Callable[[str], bool] = lambda topic: True) -> None:
        """Start without messages.

        Args:
            folder: Folder for temporary files; by default the system's.
            wanted: Whether messages of a topic, by its name, are needed; others may be dropped.
        """
        self.channels: list[Channel] = []
        self.losses: dict[str, Loss] = {}
        self.notes: list[str] = []
        self.folder = folder
        self.wanted = wanted
        self._files: list[BinaryIO] = []
        self._spool: BinaryIO | None = None
        self._columns: list[tuple[Ints, ...]] = []

    def __len__(self) -> int:
        return sum(len(columns[0]) for columns in self._columns)

    def open(self, path: Path) -> BinaryIO:
        """Open a source for reading; it stays open until `close`."""
        file = path.open("rb")
        self._files.append(file)
        return file

    def temporary(self) -> BinaryIO:
        """Return a new unnamed temporary file, which stays open until `close`."""
        file: BinaryIO = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - open until `close`
        self._files.append(file)
        return file

    @property
    def spool(self) -> BinaryIO:
        """The file for unpacked messages."""
        if self._spool is None:
            self._spool = self.temporary()
        return self._spool

    def keep(self, content: bytes) -> int:
        """Append bytes to the spool and return their offset."""
        offset = self.spool.seek(0, 2)
        self.spool.write(content)
        return offset

    def lose(self, reason: str, size: int, *, harmless: bool = False) -> None:
        """Record the loss of some bytes."""
        loss = self.losses.setdefault(reason, Loss())
        loss.count += 1
        loss.size += size
        loss.harmless &= harmless

    def add(self, file: BinaryIO, channels: dict[int, Channel], places: Places) -> None:
        """Add the messages of a file; those of unknown channels count as lost."""
        known = {number: len(self.channels) + place for place, number in enumerate(channels)}
        self.channels += channels.values()
        numbers, index = np.unique(_column(places.channel), return_inverse=True)
        mapped = np.array([known.get(number, -1) for number in numbers.tolist()], dtype=np.int64)
        channel = mapped[index] if len(numbers) else np.empty(0, dtype=np.int64)
        source = np.where(_column(places.spooled) != 0, -1, self._files.index(file))
        columns = (channel, *map(_column, (places.log_ns, places.publish_ns)), source)
        columns += tuple(map(_column, (places.offset, places.size)))
        for size in columns[-1][channel < 0].tolist():
            self.lose("messages of an unknown topic", size)
        self._columns.append(tuple(column[channel >= 0] for column in columns))

    def counts(self) -> dict[int, int]:
        """Return the number of messages of each channel, by its index in `channels`."""
        channel = self._joined()[0]
        return {place: int(count) for place, count in enumerate(np.bincount(channel, minlength=len(self.channels)))}

    def messages(self, channels: Collection[int] | None = None) -> Iterator[StoredMessage]:
        """Yield the messages of some channels (by index; None: all) in the order of receipt.

        Individually compressed messages are unpacked; those that fail count as lost.

        Raises:
            RecordingError: A source became shorter.
        """
        channel, log_ns, publish_ns, source, offset, size = self._joined()
        order = np.argsort(log_ns, kind="stable")
        if channels is not None:
            order = order[np.isin(channel[order], list(channels))]
        for row in order.tolist():
            file = self.spool if source[row] < 0 else self._files[source[row]]
            file.seek(int(offset[row]))
            content = file.read(int(size[row]))
            if len(content) < size[row]:
                raise RecordingError(
                    "the bag became shorter while it was read; wait until it is no longer being written"
                )
            if content.startswith(ZSTD_MAGIC):
                content, whole = unpack("zstd", content, MOST_BYTES)
                if not whole:
                    self.lose("messages with damaged compression", int(size[row]))
                    continue
            yield StoredMessage(self.channels[channel[row]], int(log_ns[row]), int(publish_ns[row]), content)

    def close(self) -> None:
        """Close every file."""
        for file in self._files:
            file.close()

    def __enter__(self) -> "BagContents":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _joined(self) -> tuple[Ints, ...]:
        """Return channel, log time, publish time, file (-1: spool), offset and size of every message, (n,) each."""
        if not self._columns:
            return tuple(np.empty(0, dtype=np.int64) for _ in range(6))
        if len(self._columns) > 1:
            joined = tuple(np.concatenate(parts) for parts in zip(*self._columns, strict=True))
            self._columns = [joined]
        return self._columns[0]


def describe_losses(losses: dict[str, Loss]) -> list[str]:
    """Describe the losses."""
    return [
        (f"{loss.size:,} bytes lost: " if loss.size else "lost, of unknown size: ")
        + reason
        + (f" ({loss.count:,} times)" if loss.count > 1 else "")
        for reason, loss in losses.items()
    ]


def _column(values: "array[int]") -> Ints:
    return np.array(values, dtype=np.int64)
