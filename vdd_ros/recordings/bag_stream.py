"""The messages of some topics of a bag in the order of receipt, one at a time, if the bag is whole."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from vdd_ros.bags.contents import BagContents, Channel, StoredMessage, describe_losses
from vdd_ros.bags.layout import BagLayout, find_bag, mend_hint, scan_bag, shown
from vdd_ros.bags.mcap_scan import Scanned
from vdd_ros.errors import RecordingError
from vdd_ros.text import printable


class BagStream:
    """An open bag; a context manager.

    The bag may be split, compressed, out of order, or without summary. Memory holds the places of the messages, not
    the messages.

    Args:
        path: A rosbag2 folder, or one file.
        wanted: Whether messages of a topic, by its name, are needed; others may be passed over.

    Attributes:
        path: The same.
        channels: Its topics; one that is in several files is there several times.

    Raises:
        RecordingError: It is no bag, is damaged, or holds fewer messages than it counts.
    """

    def __init__(self, path: Path, wanted: Callable[[str], bool] = lambda topic: True) -> None:
        self.path = path
        bag = find_bag(path)
        self._contents = BagContents(wanted=wanted)
        try:
            scanned = scan_bag(bag, self._contents)
            self._refuse_incomplete(bag, scanned)
        except BaseException:
            self._contents.close()
            raise
        self.channels: list[Channel] = self._contents.channels

    def counts(self) -> list[int]:
        """Return the number of messages of each channel."""
        return list(self._contents.counts().values())

    def messages(self, places: Collection[int]) -> Iterator[StoredMessage]:
        """Yield the messages of the channels with these places in `channels`, in the order of receipt.

        Raises:
            RecordingError: The bag changed meanwhile, or a message's compression is damaged.
        """
        yield from self._contents.messages(places)
        if self._contents.losses:
            raise self._incomplete(describe_losses(self._contents.losses))

    def __enter__(self) -> "BagStream":
        return self

    def __exit__(self, *_: object) -> None:
        self._contents.close()

    def _refuse_incomplete(self, bag: BagLayout, scanned: list[Scanned]) -> None:
        wrong = describe_losses(self._contents.losses)
        wrong += ["a file has no proper end" for one in scanned if not one.complete][:1]
        wrong += [
            f"a file counts {one.counted:,} messages, of which {one.found:,} are found"
            for one in scanned
            if one.counted is not None and one.found < one.counted
        ]
        wrong += self._fewer(bag)
        wrong += [f"its file {printable(name)} is missing" for name in bag.missing]
        wrong += [f"{printable(file.name)} holds messages that are not in it yet" for file in bag.unfinished]
        if wrong:
            raise self._incomplete(wrong)

    def _fewer(self, bag: BagLayout) -> list[str]:
        """Describe the wanted topics of which metadata.yaml counts more messages than there are."""
        found: Counter[tuple[str, str]] = Counter()
        for place, count in self._contents.counts().items():
            channel = self._contents.channels[place]
            found[channel.topic, channel.msgtype] += count
        wanted: Counter[tuple[str, str]] = Counter()
        for topic, msgtype, count in (one for one in bag.counted if self._contents.wanted(one[0])):
            wanted[topic, msgtype] += count
        return [
            f"of {count:,} messages that are counted on {printable(key[0])} {found[key]:,} are found"
            for key, count in wanted.items()
            if found[key] < count
        ]

    def _incomplete(self, wrong: list[str]) -> RecordingError:
        reasons = "; ".join(dict.fromkeys(wrong))
        return RecordingError(f"{shown(self.path)} is not a whole bag: {reasons}; {mend_hint(self.path)}")
