"""Make a whole bag of what a recorder left that was killed."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from rosbags.rosbag2 import Reader, ReaderError

from vdd_ros.errors import RecordingError
from vdd_ros.nodes.bag_salvage import lock, salvage
from vdd_ros.nodes.bag_writer import BagWriter

PARTIAL = ".partial"
MENDING = ".mending"


@dataclass(frozen=True)
class Mended:
    """What came of a bag.

    Attributes:
        output: The whole bag.
        messages: How many messages it holds.
        cut: Bytes at the end of the damaged file that were half of something.
        gaps: Which sequence numbers are missing, in words; empty if none.
        replaced: What an earlier try had left, and is gone; None if there was nothing.
    """

    output: Path
    messages: int
    cut: int
    gaps: str
    replaced: Path | None = None


def mend(path: Path, output: Path | None = None) -> Mended:
    """Copy what can be read of a bag without an end into a whole one, and leave it where it is.

    Of the damaged file, only the half record at its end is cut off.

    Args:
        path: The folder `<bag>.partial` that the recorder left, `<bag>` itself, or an MCAP file.
        output: Bag to make; by default `<bag>`, or `<name>.mended` of another folder or file.

    Raises:
        RecordingError: There is no such file, it is being written or mended, nothing in it can be read, or the output
            exists already or cannot be written.
    """
    source = _damaged(path)
    output = output or _output_of(path)
    if output.exists():
        raise RecordingError(f"bag {output} exists already; remove it or give another name with --out")
    aside = output.with_name(f"{output.name}{MENDING}")
    replaced = _clear(aside)
    cut = salvage(source)
    gaps = ""
    try:
        writer = BagWriter(output, aside)
        count = _copy(source, writer)
        writer.close()
    except RecordingError as error:
        if not output.exists():
            raise RecordingError(f"{error}; what can be read of it is in {source}") from error
        gaps = str(error)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Mended(output, count, cut, gaps, replaced)


def _clear(aside: Path) -> Path | None:
    """Remove what an earlier try left when it was killed, and return its path; None if there is nothing."""
    if not aside.exists():
        return None
    for path in aside.rglob("*.mcap"):
        with path.open("rb") as file:
            if not lock(file):
                raise RecordingError(f"another process is mending into {aside}; wait for it, or end it")
    shutil.rmtree(aside)
    return aside


def _copy(source: Path, writer: BagWriter) -> int:
    count = 0
    try:
        with Reader(source) as reader:
            for connection in reader.connections:
                profiles = getattr(connection.ext, "offered_qos_profiles", ())
                writer.add_topic(connection.topic, connection.msgtype, profiles)
            for connection, stamp_ns, message in reader.messages():
                writer.write(connection.topic, stamp_ns, bytes(message))
                count += 1
    except ReaderError as error:
        raise RecordingError(f"{source} cannot be read: {error}") from error
    return count


def _damaged(path: Path) -> Path:
    """Return the one MCAP file of a bag."""
    partial = path.with_name(path.name + PARTIAL)
    folder = partial if not path.exists() and partial.exists() else path
    if (folder / "metadata.yaml").exists():
        raise RecordingError(f"{folder} has metadata.yaml: it is a whole bag, there is nothing to mend")
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.mcap"))
    if len(files) != 1:
        raise RecordingError(
            f"{path} holds {len(files)} MCAP files; give the folder BAG.partial of one bag, or its file"
        )
    return files[0]


def _output_of(path: Path) -> Path:
    if path.name.endswith(PARTIAL):
        return path.with_name(path.name.removesuffix(PARTIAL))
    return path.with_name(f"{path.stem}.mended") if path.exists() else path
