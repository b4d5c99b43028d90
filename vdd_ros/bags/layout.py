"""The files of a bag, and its metadata.yaml."""

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdd_ros.bags.contents import BagContents
from vdd_ros.bags.decompression import ZSTD_MAGIC, zstd_file
from vdd_ros.bags.mcap_records import is_mcap
from vdd_ros.bags.mcap_scan import Scanned, scan_mcap
from vdd_ros.bags.sqlite_scan import SIDECARS, is_sqlite, scan_sqlite
from vdd_ros.documents import read_yaml
from vdd_ros.errors import RecordingError
from vdd_ros.file_kinds import BAG, misplaced
from vdd_ros.files import NO_ROOM
from vdd_ros.text import printable

METADATA = "metadata.yaml"
PARTIAL = ".partial"
MENDED, MENDING = ".mended", ".mending"
PACKED = ".zstd"
SUFFIXES = (".mcap", ".db3", f".mcap{PACKED}", f".db3{PACKED}")

_LONGEST_PATH = 4096
_STORAGES = ("mcap", "sqlite3")
_NEWEST_VERSION = 9
_ROS1_MAGIC = b"#ROSBAG V"
_BLOCK = 1 << 20
_CUT_PACKED = "the rest of a truncated or damaged compressed file"


@dataclass(frozen=True)
class BagMetadata:
    """The part of metadata.yaml that is used.

    Attributes:
        files: Paths of the bag's files, in the order of writing; their folders are ignored.
        topics: Topic, type and number of messages.
    """

    files: tuple[str, ...]
    topics: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class BagLayout:
    """The files of a bag.

    Attributes:
        path: The given folder or file.
        files: Its files, in the order of writing.
        metadata: The content of metadata.yaml; empty if it is missing or unusable.
        problem: Why metadata.yaml is unusable, in words; empty if it is usable.
        missing: Files that metadata.yaml names, but that do not exist.
        unnamed: Bag files in the folder that metadata.yaml does not name; they are not read.
    """

    path: Path
    files: tuple[Path, ...]
    metadata: BagMetadata | None = None
    problem: str = ""
    missing: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()

    @property
    def counted(self) -> list[tuple[str, str, int]]:
        """Topic, type and number of messages according to metadata.yaml."""
        return list(self.metadata.topics) if self.metadata else []

    @property
    def unfinished(self) -> list[Path]:
        """Journals of databases, whose content is not in the databases yet, or must be rolled back."""
        beside = [file.with_name(file.name + end) for file in self.files for end in SIDECARS]
        return [file for file in beside if file.is_file() and file.stat().st_size]


def shown(path: Path | str) -> str:
    """Return a path as one line, whole, so that it can be copied."""
    return printable(path, _LONGEST_PATH)


def mend_hint(bag: Path) -> str:
    """Return a remedy for an unreadable bag."""
    return f"`vdd bag mend {shown(bag)}` copies the readable messages into a new bag"


def find_bag(path: Path) -> BagLayout:
    """Find the files of a bag: a folder with or without metadata.yaml, or one file.

    Raises:
        RecordingError: There is none.
    """
    if not path.exists():
        raise RecordingError(f"{shown(path)} is not a readable bag: {_absent(path)}")
    if path.is_file():
        if why := misplaced(path, BAG, "a bag"):
            raise RecordingError(f"{shown(path)} {why}")
        return BagLayout(path, (path,))
    if not path.is_dir():
        raise RecordingError(f"{shown(path)} is not a readable bag: it is neither a folder nor an ordinary file")
    found = path / METADATA
    metadata, problem = _metadata(found) if found.exists() else (None, "it has no metadata.yaml")
    files = tuple(path / Path(name).name for name in metadata.files) if metadata else ()
    missing = tuple(file.name for file in files if not file.is_file())
    present = _files(path)
    if not present:
        if why := misplaced(path, BAG, "a bag"):
            raise RecordingError(f"{shown(path)} {why}")
        raise RecordingError(
            f"{shown(path)} is not a readable bag: the folder holds no file of a bag ({', '.join(SUFFIXES)}); give "
            "the folder that has metadata.yaml"
        )
    if missing:
        problem = f"its file {printable(', '.join(missing))} is missing"
        missing = () if len(present) == len(files) else missing  # otherwise they have new names
    if problem or not files:
        return BagLayout(path, present, metadata, problem, missing)
    named = {file.name.removesuffix(PACKED) for file in files}  # a packed file and its unpacked copy count as one
    unnamed = tuple(file.name for file in present if file.name.removesuffix(PACKED) not in named)
    return BagLayout(path, files, metadata, unnamed=unnamed)


def scan_bag(bag: BagLayout, contents: BagContents) -> list[Scanned]:
    """Add the messages of every file of a bag to `contents`; return the results for those that are MCAP.

    A file of another kind counts as lost if there are others.

    Raises:
        RecordingError: No file can be read (the error is the first file's), or there is no room to unpack one.
    """
    scanned, refused = [], []
    for file in bag.files:
        try:
            scanned.append(_scan(file, contents))
        except (RecordingError, OSError) as error:
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise RecordingError(f"there is no room to unpack {shown(file)}: {error}") from error
            refused.append(error)
            contents.lose(f"{shown(file.name)}: {error}", file.stat().st_size if file.exists() else 0)
    if len(refused) == len(bag.files):
        raise RecordingError(str(refused[0])) from refused[0]
    return scanned


def _scan(file: Path, contents: BagContents) -> Scanned:
    with file.open("rb") as opened:
        head = opened.read(16)
    if is_mcap(file):
        return scan_mcap(contents, contents.open(file), shown(file))
    if is_sqlite(file):
        scan_sqlite(contents, file)
        return Scanned(complete=True)
    if head.startswith(ZSTD_MAGIC):
        return _scan_packed(file, contents)
    raise RecordingError(f"{shown(file)} is neither an MCAP file nor a rosbag2 database: {_what(file, head)}")


def _scan_packed(file: Path, contents: BagContents) -> Scanned:
    """Unpack a file that was compressed as a whole, as far as possible, and add its messages."""
    with tempfile.TemporaryDirectory(dir=contents.folder) as folder:
        target = Path(folder, file.name.removesuffix(".zstd"))
        with file.open("rb") as packed, target.open("wb") as unpacked:
            try:
                shutil.copyfileobj(zstd_file(packed), unpacked, _BLOCK)
            except OSError:
                raise
            except Exception:  # the library raises its own errors for truncated and damaged files
                contents.lose(_CUT_PACKED, 0)
        if is_sqlite(target):
            scan_sqlite(contents, target)
            return Scanned(complete=True)
        return scan_mcap(contents, contents.open(target), shown(file))


def _what(file: Path, head: bytes) -> str:
    if not head:
        return "it is empty"
    if head.startswith(_ROS1_MAGIC):
        return "it is a bag of ROS 1; convert it with `rosbags-convert`"
    return f"it begins with {head[:8]!r}" if file.suffix in (".mcap", ".db3") else "give a bag's folder, .mcap or .db3"


def _absent(path: Path) -> str:
    partial = path.with_name(path.name + PARTIAL)
    if partial.exists():
        return (
            f"it does not exist, but {shown(partial)} does: its recorder still runs, or was killed; then "
            f"{mend_hint(path)}"
        )
    return "it does not exist; give the folder of a bag, or its file"


def _metadata(file: Path) -> tuple[BagMetadata | None, str]:
    """Return the content of metadata.yaml, and why it is unusable."""
    try:
        content = read_yaml(file, RecordingError)
    except RecordingError as error:
        return None, str(error).rstrip(".")
    information = content.get("rosbag2_bagfile_information") if isinstance(content, dict) else None
    if not isinstance(information, dict):
        return None, "metadata.yaml has no rosbag2_bagfile_information"
    if problem := _mistake(information):
        return None, f"metadata.yaml {problem}"
    listed = [(topic["topic_metadata"], topic["message_count"]) for topic in information["topics_with_message_count"]]
    topics = tuple((topic["name"], topic["type"], count) for topic, count in listed)
    return BagMetadata(tuple(information["relative_file_paths"]), topics), ""


def _mistake(information: dict[object, Any]) -> str:
    """Return the error in the metadata; empty if there is none."""
    version, storage = information.get("version"), information.get("storage_identifier")
    if not isinstance(version, int) or version > _NEWEST_VERSION:
        return f"has the version {printable(version)!r}; versions up to {_NEWEST_VERSION} are supported"
    if storage not in _STORAGES:
        return f"names the storage {printable(storage)!r}; {' and '.join(_STORAGES)} are supported"
    files = information.get("relative_file_paths")
    if not isinstance(files, list) or not all(isinstance(name, str) and Path(name).name for name in files):
        return "does not list its files"
    if len({Path(name).name for name in files}) < len(files):
        return "lists a file twice"
    topics = information.get("topics_with_message_count")
    if not isinstance(topics, list) or not all(map(_is_topic, topics)):
        return "does not list its topics"
    return ""


def _is_topic(topic: Any) -> bool:
    if not isinstance(topic, dict) or not isinstance(topic.get("topic_metadata"), dict):
        return False
    count, named = topic.get("message_count"), topic["topic_metadata"]
    texts = isinstance(named.get("name"), str) and isinstance(named.get("type"), str)
    return texts and type(count) is int and count >= 0


def _files(folder: Path) -> tuple[Path, ...]:
    """Return the files of a bag in a folder, or if it has none, in its only subfolder with any."""
    if files := _files_in(folder):
        return files
    below = [found for inner in sorted(folder.iterdir()) if _may_hold(inner) and (found := _files_in(inner))]
    if len(below) > 1:
        names = ", ".join(shown(found[0].parent) for found in below)
        raise RecordingError(f"{shown(folder)} holds {len(below)} bags; give one of them: {names}")
    return below[0] if below else ()


def _files_in(folder: Path) -> tuple[Path, ...]:
    files = [file for file in folder.iterdir() if file.name.endswith(SUFFIXES) and file.is_file()]
    return tuple(sorted(files, key=_order))


def _may_hold(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not folder.name.endswith((MENDED, MENDING))


def _order(file: Path) -> tuple[list[int], str]:
    """Sort name_2 before name_10."""
    name = file.name.removesuffix(".zstd").removesuffix(".db3")
    return [int(number) for number in re.findall(r"[0-9]+", name)[-1:]], file.name
