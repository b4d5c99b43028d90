"""Kinds of files and folders, by name and first bytes, and the commands that take them.

Nothing that could run code is opened, and the result is only used in messages.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vdd_ros.documents import read_json, read_yaml
from vdd_ros.errors import VddError

BAG, DEMONSTRATIONS, POLICY, GRAPH, ROBOT, SPEC, CHECKPOINT, OTHER = (
    *("bag", "demonstrations", "policy", "graph", "robot", "spec", "checkpoint", "other"),
)
_POLICY_KEY = b"vdd_ros.policy"
_METADATA, _MOST_PARTS = 14, 10_000
"""Field number of an ONNX file's metadata, and how many fields are examined."""
_MOST_TEXT = 1 << 20
_FOLDER = "name the data set's folder"
_READERS: dict[str, Callable[[Path, type[VddError]], object]] = {
    ".yaml": read_yaml,
    ".yml": read_yaml,
    ".json": read_json,
}


@dataclass(frozen=True)
class FileKind:
    """A kind of file or folder.

    Attributes:
        family: Use of the file: one of the constants of this module.
        name: The kind in words, with its article.
        use: The command that takes it, as the end of a sentence; empty without one.
    """

    family: str
    name: str
    use: str = ""


_TRAIN = "`vdd train --demos` takes it, and `vdd demos convert` converts it to another format"
_BAG = FileKind(
    BAG, "a bag", "`vdd demos from-bags` makes demonstrations from it, `vdd robot new` and `vdd robot check` read it"
)
_ROBOT = FileKind(
    ROBOT,
    "a robot file",
    "`vdd run --robot`, `vdd demos from-bags --robot`, `vdd robot check` and the parameter robot_file take it",
)
_POLICY = FileKind(POLICY, "a policy file", "`vdd run --policy` and `vdd evaluate` take it")
_GRAPH = FileKind(GRAPH, "an ONNX graph of another tool", "`vdd wrap` makes a policy file from it")
_SPEC = FileKind(SPEC, "a description of a graph", "`vdd wrap --spec` takes it")
_DESCRIPTION = FileKind(DEMONSTRATIONS, "a description of a data set", _TRAIN)
_SET = FileKind(DEMONSTRATIONS, "a demonstration set of vdd_ros", "`vdd train --demos` and `vdd demos info` take it")
_CHECKPOINT = FileKind(
    CHECKPOINT,
    "a checkpoint of `vdd train` or `vdd distil`",
    "`vdd distil --teacher` and `vdd export` take it; `vdd export` makes a policy file from it",
)
_MODEL = FileKind(
    OTHER,
    "a model of another program (config.json beside model.safetensors, as LeRobot keeps it)",
    "`vdd import lerobot` makes a teacher of a DiffusionPolicy; export others as ONNX and wrap that with `vdd wrap`",
)
_TORCH = FileKind(
    OTHER,
    "a file of torch.save, which is never unpickled",
    "`vdd import diffusion-policy` takes a checkpoint of diffusion_policy; export another model as ONNX",
)
_WEIGHTS = FileKind(
    OTHER, "a file of weights (safetensors), without a graph", "of a checkpoint of `vdd train`, name the folder"
)
_CONTROLLERS = FileKind(OTHER, "a file for ros2_control's controllers", "the controller manager takes it")
_PARAMETERS = FileKind(OTHER, "a ROS parameter file", "nodes take it with --params-file")
_PICKLE = FileKind(OTHER, "a pickle, which is never opened", "of D3IL, `vdd train --demos` takes the folder")

_MAGIC = {
    b"\x89MCAP0\r\n": _BAG,
    b"SQLite format 3\x00": _BAG,
    b"#ROSBAG V": FileKind(OTHER, "a bag of ROS 1", "convert it with rosbags-convert"),
    b"\x89HDF\r\n\x1a\n": FileKind(DEMONSTRATIONS, "a data set in HDF5, as robomimic and Minari keep it", _TRAIN),
    b"PAR1": FileKind(DEMONSTRATIONS, "a Parquet file, as LeRobot keeps frames", "name the data set, the folder above"),
    b"\x80\x02": _PICKLE,
    b"\x80\x03": _PICKLE,
    b"\x80\x04": _PICKLE,
    b"\x80\x05": _PICKLE,
}
_FOLDERS: dict[str, FileKind] = {
    "meta/info.json": FileKind(DEMONSTRATIONS, "a LeRobot data set", _TRAIN),
    "data/main_data.hdf5": FileKind(DEMONSTRATIONS, "a data set of Minari", _TRAIN),
    "data/metadata.json": FileKind(DEMONSTRATIONS, "a data set of Minari", _TRAIN),
    "meta/episode_ends/.zarray": FileKind(DEMONSTRATIONS, "a zarr store, as Diffusion Policy keeps it", _TRAIN),
    "meta/episode_ends/zarr.json": FileKind(DEMONSTRATIONS, "a zarr store, as Diffusion Policy keeps it", _TRAIN),
    "demonstrations.npz": _SET,
    "metadata.yaml": _BAG,
}


def misplaced(path: Path, family: str, what: str) -> str:
    """Return the kind of a file that is not the one a command takes.

    Args:
        path: The file or folder.
        family: The family that the command takes, one of the constants of this module.
        what: The same in words, with an article.

    Returns:
        The end of a sentence about the path; empty if it is of that family, or of unknown kind.
    """
    kind = file_kind(path)
    if kind is None or kind.family == family:
        return ""
    return f"is {kind.name}, not {what}" + (f"; {kind.use}" if kind.use else "")


def file_kind(path: Path) -> FileKind | None:
    """Return the kind of a file or folder; None if it is unknown, missing or cannot be read."""
    try:
        return _of_folder(path) if path.is_dir() else _of_file(path)
    except (OSError, ValueError, KeyError, VddError):
        return None


def _of_folder(folder: Path) -> FileKind | None:
    if (folder / "model.safetensors").exists():
        return _MODEL if not (folder / "model.json").exists() else _CHECKPOINT
    for mark, kind in _FOLDERS.items():
        if (folder / mark).exists():
            return kind
    return None


def _of_file(file: Path) -> FileKind | None:
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        head = stream.read(16)
    size = file.stat().st_size
    if known := [kind for magic, kind in _MAGIC.items() if head.startswith(magic)]:
        return known[0]
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return _WEIGHTS
    if head.startswith(b"PK"):
        return _of_archive(file)
    if file.suffix == ".onnx" and head[:1] == b"\x08":  # the version of the format comes first
        return _of_onnx(file, size)
    read = _READERS.get(file.suffix)
    return _of_document(read(file, VddError)) if read is not None and size <= _MOST_TEXT else None


def _of_onnx(file: Path, size: int) -> FileKind | None:
    """Walk over the fields of an ONNX file, reading only keys and lengths; None if it is truncated."""
    found = _GRAPH
    with file.open("rb") as stream:
        for _ in range(_MOST_PARTS):
            if stream.tell() == size:
                return found
            key = _varint(stream)
            if key & 7 == 0:
                _varint(stream)
                continue
            length = _varint(stream) if key & 7 == 2 else {1: 8, 5: 4}[key & 7]
            if stream.tell() + length > size:
                return None
            if key >> 3 == _METADATA and _POLICY_KEY in stream.peek(len(_POLICY_KEY) + 8)[: len(_POLICY_KEY) + 8]:
                found = _POLICY
            stream.seek(length, 1)
    return None


def _varint(stream: BinaryIO) -> int:
    """Read a protobuf varint; raises ValueError at the end of the file."""
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            raise ValueError("it ends too early")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number has more than 10 bytes")


def archive_names(file: Path) -> list[str]:
    """Return the names in a zip file; empty if it is not a readable zip file; raises nothing."""
    try:
        if not file.is_file() or not zipfile.is_zipfile(file):
            return []
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except Exception:  # the library raises nearly anything for a damaged archive
        return []


def _of_archive(file: Path) -> FileKind | None:
    names = archive_names(file)
    if {"header.npy", "lengths.npy"} <= set(names):
        return _SET
    if any(name in _FOLDERS for name in names):
        return next(_FOLDERS[name] for name in names if name in _FOLDERS)
    if any(name.endswith("data.pkl") for name in names):
        return _TORCH
    return None


def _of_document(document: object) -> FileKind | None:
    if not isinstance(document, dict):
        return None
    kinds = (
        ("inputs" in document and ("command" in document or "commands" in document), _ROBOT),
        ({"rate_hz", "observation", "action"} <= set(document) and "data" not in document, _SPEC),
        ("data" in document and "type" not in document, _DESCRIPTION),
        ("rosbag2_bagfile_information" in document, FileKind(BAG, "the metadata.yaml of a bag", "name its folder")),
        ("codebase_version" in document, FileKind(DEMONSTRATIONS, "the info.json of a LeRobot data set", _FOLDER)),
        ("controller_manager" in document, _CONTROLLERS),
        (_has_parameters(document), _PARAMETERS),
    )
    return next((kind for applies, kind in kinds if applies), None)


def _has_parameters(document: object, depth: int = 3) -> bool:
    if not isinstance(document, dict) or not depth:
        return False
    return "ros__parameters" in document or any(_has_parameters(below, depth - 1) for below in document.values())
