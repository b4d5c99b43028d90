"""Makes a complete bag from a truncated one, or one without metadata or index, split, or out of order."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2.metadata import parse_qos

from vdd_ros.bags.contents import BagContents, Channel, describe_losses
from vdd_ros.bags.layout import MENDED, MENDING, METADATA, PARTIAL, SUFFIXES, BagLayout, find_bag, scan_bag, shown
from vdd_ros.bags.mcap_scan import Scanned
from vdd_ros.bags.reader import count_by_library
from vdd_ros.bags.salvage import lock
from vdd_ros.bags.types import definition_of
from vdd_ros.bags.writer import BagWriter
from vdd_ros.documents import parse_yaml
from vdd_ros.errors import RecordingError
from vdd_ros.text import printable

_MADE = "made"
_REPLACED = "replaced"
_LOCK = "lock"


@dataclass(frozen=True)
class Mended:
    """Result of repairing a bag.

    Attributes:
        source: The bag that was read, unchanged.
        output: The whole bag.
        messages: Number of its messages.
        unreadable: Unreadable data with sizes, in words.
        lost: Whether these include, or may include, whole messages.
        notes: Further remarks, in words.
        gaps: Errors in the sequence numbers, in words; empty if there are none.
        replaced: Removed remains of an earlier attempt; None without any.
    """

    source: Path
    output: Path
    messages: int
    unreadable: list[str]
    lost: bool
    notes: list[str]
    gaps: str
    replaced: Path | None = None


def mend(path: Path, output: Path | None = None, *, force: bool = False) -> Mended:
    """Copy every readable message of a bag, in the order of receipt, into a new one; the bag is not changed.

    Args:
        path: The folder `<bag>.partial` left by a recorder, `<bag>` itself, a folder with or without metadata.yaml, or
            a file (.mcap, .db3).
        output: Bag to make; by default `<bag>` for `<bag>.partial`, otherwise `<name>.mended` beside the source.
        force: Replace an existing output if it is a bag.

    Raises:
        RecordingError: There is no such bag, it is complete, it is being written or repaired, no message in it is
            readable, or the output exists already or cannot be written.
    """
    bag = _find(path)
    output = output or _output_of(path)
    aside = output.with_name(output.name + MENDING)
    with ExitStack() as stack:
        for file in bag.files:
            if not lock(stack.enter_context(file.open("rb")), shared=True):
                raise RecordingError(f"{shown(file)} is being written; stop the recorder, which completes it")
        replaced = _clear(aside, output)
        _check_output(output, bag, force=force)
        stack.enter_context(_workshop(aside))
        contents = stack.enter_context(BagContents(aside))
        scanned = scan_bag(bag, contents)
        _refuse(bag, scanned, contents)
        return replace(_write(bag, scanned, contents, output, aside), replaced=replaced)


def _write(bag: BagLayout, scanned: list[Scanned], contents: BagContents, output: Path, aside: Path) -> Mended:
    """Write the bag beside its target, then rename it."""
    made = aside / _MADE / output.name
    made.parent.mkdir()
    writer = BagWriter(made, aside / output.name)
    left_out: list[str] = []
    connections = _add_topics(writer, contents, left_out)
    count = 0
    for message in contents.messages():
        connection = connections.get((message.channel.topic, message.channel.msgtype))
        if connection is not None and writer.failure is None:
            writer.write_to(connection, message.log_ns, message.content, message.publish_ns)
            count += 1
    if not count:
        raise RecordingError(_nothing(bag, contents, left_out))
    gaps = ""
    try:
        writer.close()
    except RecordingError as error:
        if writer.cause is not None:
            raise RecordingError(
                f"bag {shown(output)} could not be written: {writer.cause}; {shown(bag.path)} is unchanged. Free some "
                "space, or name a folder on another disk with --out"
            ) from error
        gaps = writer.describe_gaps()
    _put(made, output, aside)
    losses = list(contents.losses.values())
    missing = [f"the file {shown(name)} is missing" for name in bag.missing]
    missing += _uncovered(bag, scanned, contents)
    unreadable = [*describe_losses(contents.losses), *left_out, *missing]
    lost = bool(left_out or missing) or not all(loss.harmless for loss in losses)
    return Mended(bag.path, output, count, unreadable, lost, contents.notes, gaps)


def _uncovered(bag: BagLayout, scanned: list[Scanned], contents: BagContents) -> list[str]:
    """Describe counted messages that were not found."""
    counted = [one.counted for one in scanned]
    expected = sum(count or 0 for count in counted) if None not in counted else 0
    expected = max(expected, sum(count for _, _, count in bag.counted))
    found = len(contents)
    return [f"of {expected:,} counted messages, {found:,} are found"] if found < expected else []


def _add_topics(writer: BagWriter, contents: BagContents, left_out: list[str]) -> dict[tuple[str, str], Connection]:
    """Add each topic once per type, and report those left out."""
    grouped: dict[tuple[str, str], list[int]] = {}
    for place, channel in enumerate(contents.channels):
        grouped.setdefault((channel.topic, channel.msgtype), []).append(place)
    counts, added = contents.counts(), {}
    for (topic, msgtype), places in grouped.items():
        channels = [contents.channels[place] for place in places]
        count = sum(counts[place] for place in places)
        try:
            first = next((channel for channel in channels if channel.definition), channels[0])
            if first.encoding != "cdr":
                raise RecordingError(f"they are serialised as {printable(first.encoding)!r}; cdr is needed")
            profiles = [profile for channel in channels for profile in _profiles(channel, contents.notes)]
            added[topic, msgtype] = writer.add_topic(
                topic, msgtype, list(dict.fromkeys(profiles)), definition=definition_of(first)
            )
        except RecordingError as error:
            if count:
                left_out.append(f"{count:,} messages of {printable(topic)} are left out: {error}")
    return added


def _profiles(channel: Channel, notes: list[str]) -> list[Qos]:
    """Return the publishers' profiles of a channel; a bag is readable without them, so errors are only noted."""
    with suppress(Exception):  # the library that parses foreign profiles checks nothing
        given = parse_yaml(channel.offered_qos, channel.topic, RecordingError) or []
        if isinstance(given, list):
            return parse_qos(given)
    notes.append(f"the quality of service of {printable(channel.topic)} cannot be read and is left out")
    return []


def _refuse(bag: BagLayout, scanned: list[Scanned], contents: BagContents) -> None:
    """Raise RecordingError if there is nothing to repair, or no message to save."""
    counted = sum(count for _, _, count in bag.counted)
    complete = all(one.complete for one in scanned) and not (contents.losses or bag.unfinished or bag.missing)
    if bag.metadata and not bag.problem and complete and counted == len(contents) == count_by_library(bag):
        beside = f"; {printable(', '.join(bag.unnamed))} beside it does not belong to it" if bag.unnamed else ""
        raise RecordingError(
            f"{shown(bag.path)} is a complete bag of {counted:,} messages; there is nothing to mend{beside}"
        )
    if not len(contents):
        raise RecordingError(_nothing(bag, contents, []))


def _nothing(bag: BagLayout, contents: BagContents, left_out: list[str]) -> str:
    reasons = [*describe_losses(contents.losses), *left_out] or ["its files are complete and empty"]
    return f"{shown(bag.path)} holds no readable message, so no bag was made: {'; '.join(reasons)}"


def _put(made: Path, output: Path, aside: Path) -> None:
    """Rename a bag to its target, after moving the replaced output aside."""
    try:
        replaced = output.exists()
        if replaced:
            output.rename(aside / _REPLACED)
        try:
            made.rename(output)
        except OSError:
            if replaced:
                (aside / _REPLACED).rename(output)
            raise
    except OSError as error:
        raise RecordingError(f"bag {shown(output)} could not be renamed to its target: {error}") from error


@contextmanager
def _workshop(aside: Path) -> Iterator[None]:
    """Provide a folder, locked while in use and removed afterwards."""
    try:
        aside.mkdir(parents=True)
    except OSError as error:
        raise RecordingError(f"{shown(aside)} cannot be created: {error}; give another path with --out") from error
    try:
        with (aside / _LOCK).open("wb") as file:
            lock(file)
            yield
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _clear(aside: Path, output: Path) -> Path | None:
    """Remove the remains of an earlier killed attempt, and return their path; None without any.

    A bag that the attempt was about to replace is restored.
    """
    if not os.path.lexists(aside):
        return None
    ours = {_MADE, _REPLACED, _LOCK, output.name}
    if aside.is_symlink() or not aside.is_dir() or not ours.issuperset(path.name for path in aside.iterdir()):
        raise RecordingError(
            f"{shown(aside)} is in the way and not from an earlier attempt; move it, or give another name with --out"
        )
    for path in aside.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                if not lock(file):
                    raise RecordingError(f"another process is repairing into {aside}; wait for it, or end it")
    if (aside / _REPLACED).exists() and not output.exists():
        (aside / _REPLACED).rename(output)
    shutil.rmtree(aside)
    return aside


def _find(path: Path) -> BagLayout:
    partial = path.with_name(path.name + PARTIAL)
    return find_bag(partial if not path.exists() and partial.exists() else path)


def _check_output(output: Path, bag: BagLayout, *, force: bool) -> None:
    """Raise RecordingError if the output exists and may not be replaced."""
    if not os.path.lexists(output):
        return
    if not force:
        raise RecordingError(
            f"bag {shown(output)} exists already; remove it, give another name with --out, or replace it with --force"
        )
    place = output.resolve()
    if any(place == file.resolve() or place in file.resolve().parents for file in bag.files):
        raise RecordingError(f"{shown(output)} holds the bag to be mended; give another name with --out")
    found = list(output.iterdir()) if output.is_dir() and not output.is_symlink() else None
    if found is None or (found and not any(file.name == METADATA or file.name.endswith(SUFFIXES) for file in found)):
        raise RecordingError(f"{shown(output)} is not a bag, so --force does not replace it; give another name")


def _output_of(path: Path) -> Path:
    if path.name.endswith(PARTIAL):
        return path.with_name(path.name.removesuffix(PARTIAL))
    if not path.exists():
        return path
    name = path.name
    for suffix in SUFFIXES if path.is_file() else ():
        name = name.removesuffix(suffix)
    return path.with_name(name + MENDED)
