"""The serialised messages of a bag in the order of receipt, without holding the bag in memory."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol

from vdd_ros.bags.blocks import MessageBlock, of_blocks, of_messages
from vdd_ros.bags.contents import BagContents, Channel, StoredMessage, describe_losses
from vdd_ros.bags.decompression import ZSTD_MAGIC
from vdd_ros.bags.layout import BagLayout, find_bag, mend_hint, scan_bag, shown
from vdd_ros.bags.mcap_records import is_mcap
from vdd_ros.bags.mcap_scan import Scanned
from vdd_ros.bags.mcap_stream import McapStream, outline, unpacked_singly
from vdd_ros.bags.sqlite_scan import is_sqlite
from vdd_ros.bags.sqlite_stream import SqliteStream
from vdd_ros.errors import RecordingError
from vdd_ros.text import printable


class _Source(Protocol):
    """A source of messages.

    Attributes:
        channels: The topics; one in several files is listed several times.
    """

    channels: list[Channel]

    def counts(self) -> list[int]:
        """Return the number of messages of each channel."""
        ...

    def batches(self, places: Collection[int]) -> Iterator[list[StoredMessage]]:
        """Yield the messages of some channels in the order of receipt, in lists."""
        ...


class RawBag:
    """An open bag; a context manager.

    Bags of MCAP files with chunks and statistics, and databases without journals, are streamed: memory holds a few
    chunks. For others (without chunks or statistics, or packed as a whole) it holds the offsets of the messages, 60
    bytes each; compressed data is unpacked into a temporary file.

    Args:
        path: A rosbag2 folder, or one file of it.
        wanted: Whether messages of a topic, by its name, will be read; others may be skipped.

    Attributes:
        path: The same.
        channels: Its topics; one in several files is listed several times.
        counted: Topic, type and number of messages according to metadata.yaml.

    Raises:
        RecordingError: It is not a bag, is damaged, or holds fewer wanted messages than its metadata count.
    """

    def __init__(self, path: Path, wanted: Callable[[str], bool] = lambda topic: True) -> None:
        self.path = path
        self._stack = ExitStack()
        bag = find_bag(path)
        self.counted = bag.counted
        with self._stack as stack:
            self._source = _stream(bag, stack) or _scanned(bag, wanted, stack)
            self.channels = self._source.channels
            _refuse_fewer(bag, self.channels, self._source.counts(), wanted)
            self._stack = stack.pop_all()

    def counts(self) -> list[int]:
        """Return the number of messages of each channel; possibly 0 for unwanted topics."""
        return self._source.counts()

    def messages(self, places: Collection[int] | None = None) -> Iterator[StoredMessage]:
        """Yield the messages of the channels with these indices in `channels` (None: all), in the order of receipt.

        Raises:
            RecordingError: The bag turns out to be damaged, or to hold fewer messages than its metadata count. Messages
                yielded before are valid but incomplete.
        """
        return chain.from_iterable(self.batches(places))

    def batches(self, places: Collection[int] | None = None) -> Iterator[list[StoredMessage]]:
        """Yield the same messages in lists of several hundred."""
        with self._whole():
            for batch in self._source.batches(self._chosen(places)):
                is_packed = _is_packed(one.content for one in (batch[:1] + batch[-1:]))
                yield unpacked_singly(batch) if is_packed else batch

    def blocks(self, places: Collection[int] | None = None) -> Iterator[MessageBlock]:
        """Yield the same messages in blocks of several thousand."""
        numbers = {id(channel): place for place, channel in enumerate(self.channels)}
        if not isinstance(self._source, McapStream):
            yield from of_messages(self.batches(places), numbers)
            return
        with self._whole():
            for block in of_blocks(self._source.blocks(self._chosen(places))):
                if not _is_packed((block.contents[0], block.contents[-1])):
                    yield block
                    continue
                yield MessageBlock.of(unpacked_singly(block.messages(self.channels)), numbers)

    def _chosen(self, places: Collection[int] | None) -> Collection[int]:
        return range(len(self.channels)) if places is None else places

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except RecordingError as error:
            raise RecordingError(f"{shown(self.path)} is not a whole bag: {error}; {mend_hint(self.path)}") from error

    def close(self) -> None:
        """Close its files."""
        self._stack.close()

    def __enter__(self) -> "RawBag":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_packed(contents: Iterable[bytes]) -> bool:
    """Return whether messages are compressed one by one; in a bag, either all are or none."""
    return any(content.startswith(ZSTD_MAGIC) for content in contents)


def _stream(bag: BagLayout, stack: ExitStack) -> _Source | None:
    """Return a source that needs little memory; None if a file does not allow it."""
    if bag.unfinished or bag.missing or not all(file.is_file() for file in bag.files):
        return None
    if all(map(is_mcap, bag.files)):
        files: list[BinaryIO] = [stack.enter_context(file.open("rb")) for file in bag.files]
        outlines = [one for number, file in enumerate(files) if (one := outline(file, number)) is not None]
        if len(outlines) < len(files):
            return None
        found = McapStream(list(bag.files), files, outlines)
        return found if found.streams else None
    if all(map(is_sqlite, bag.files)):
        try:
            database = SqliteStream(bag.files)
        except RecordingError:  # the scan reports the remaining content
            return None
        stack.callback(database.close)
        return database
    return None


class _Scanned:
    """The messages of a bag whose records were all scanned."""

    def __init__(self, contents: BagContents) -> None:
        self._contents = contents
        self.channels = contents.channels

    def counts(self) -> list[int]:
        return list(self._contents.counts().values())

    def batches(self, places: Collection[int]) -> Iterator[list[StoredMessage]]:
        for message in self._contents.messages(places):
            yield [message]
        if self._contents.losses:
            raise RecordingError("; ".join(describe_losses(self._contents.losses)))


def _scanned(bag: BagLayout, wanted: Callable[[str], bool], stack: ExitStack) -> _Scanned:
    """Return a source with the location of each message; raises RecordingError if anything is lost."""
    contents = stack.enter_context(BagContents(wanted=wanted))
    try:
        scanned = scan_bag(bag, contents)
    except RecordingError as error:
        raise RecordingError(f"{shown(bag.path)} is not a readable bag: {error}") from error
    if problems := _problems(bag, contents, scanned):
        raise RecordingError(f"{shown(bag.path)} is not a whole bag: {'; '.join(problems)}; {mend_hint(bag.path)}")
    return _Scanned(contents)


def _problems(bag: BagLayout, contents: BagContents, scanned: Collection[Scanned]) -> list[str]:
    found = describe_losses(contents.losses)
    found += ["a file has no proper end" for one in scanned if not one.complete][:1]
    found += [
        f"a file counts {one.counted:,} messages, of which {one.found:,} are found"
        for one in scanned
        if one.counted is not None and one.found < one.counted
    ]
    found += [f"the file {name} is missing" for name in bag.missing]
    found += [f"{file.name} holds messages that are not in the database yet" for file in bag.unfinished]
    return list(dict.fromkeys(found))


def _refuse_fewer(bag: BagLayout, channels: list[Channel], counts: list[int], wanted: Callable[[str], bool]) -> None:
    """Refuse a bag with fewer wanted messages than metadata.yaml counts."""
    found: Counter[tuple[str, str]] = Counter()
    for channel, count in zip(channels, counts, strict=True):
        found[channel.topic, channel.msgtype] += count
    fewer = [
        f"of {count:,} messages that are counted on {printable(topic)} {found[topic, kind]:,} are found"
        for topic, kind, count in bag.counted
        if wanted(topic) and found[topic, kind] < count
    ]
    if fewer:
        raise RecordingError(f"{shown(bag.path)} is not a whole bag: {'; '.join(fewer)}; {mend_hint(bag.path)}")
