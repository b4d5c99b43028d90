"""Identifies data and files that no format reads, by their signatures, without opening anything that could run code."""

from collections.abc import Callable
from pathlib import Path

from vdd_ros.documents import read_json
from vdd_ros.errors import DemonstrationError
from vdd_ros.file_kinds import archive_names
from vdd_ros.text import printable

OWN = (
    "docs/formats.md lists the formats; for recordings of your own, fill a "
    "vdd_ros.data.demonstrations.DemonstrationSet and call its save(FOLDER) (docs/tasks.md)"
)
OWN_ARRAYS = {"header.npy", "lengths.npy", "modes.npy"}
"""An archive with one of these members is a set of vdd_ros, perhaps damaged."""
_LEROBOT = "meta/info.json"
_MAGIC = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, but damaged or neither robomimic's nor Minari's",
    b"\x89MCAP0\r\n": "a bag (mcap); 'vdd demos from-bags' makes demonstrations from it",
    b"SQLite format 3\x00": "an SQLite file, as bags of rosbag2 (.db3)",
    b"#ROSBAG V": "a bag of ROS 1",
    b"PAR1": "a Parquet file, as LeRobot uses for frames; its data set is the folder above",
    b"\x93NUMPY": "a single array of numpy, without names, units, rate and lengths of episodes",
}
_SUFFIXES = {
    ".onnx": (
        "an ONNX file, not demonstrations; `vdd run --policy` takes a policy file, `vdd wrap` another tool's graph"
    ),
    ".safetensors": "a file of weights, not demonstrations",
    ".csv": "a table of text",
    ".tfrecord": "a file of TensorFlow records, as RLDS uses for episodes",
}
_PICKLE = "a pickle, as D3IL and others write, which is never opened, since that could run any code in it"


def describe(path: Path) -> str | None:
    """Describe a file or folder of another program; None if it is unknown."""
    return _describe_folder(path) if path.is_dir() else _describe_file(path)


def _describe_folder(folder: Path) -> str | None:
    marks: dict[str, Callable[[], str]] = {
        _LEROBOT: lambda: _lerobot(folder),
        ".zgroup": lambda: "a zarr store, but without Diffusion Policy's episodes (meta/episode_ends)",
        "zarr.json": lambda: "a zarr store, but without Diffusion Policy's episodes (meta/episode_ends)",
        "data/metadata.json": lambda: (
            "a data set of Minari that is neither HDF5 (main_data.hdf5) nor Arrow: copied in part, or stored in "
            "another format; write it again with data_format='arrow'"
        ),
        "dataset_info.json": lambda: "a data set of TensorFlow (RLDS)",
        "model.safetensors": lambda: "a checkpoint without demonstrations; name its training data",
        "metadata.yaml": lambda: "a bag (rosbag2); 'vdd demos from-bags' makes demonstrations from it",
    }
    for name, text in marks.items():
        if (folder / name).exists():
            return text()
    endings = {
        ".mcap": "a bag (rosbag2) without metadata.yaml; 'vdd bag mend' completes it",
        ".db3": "a bag (rosbag2) without metadata.yaml",
        ".hdf5": "a folder of HDF5 files; name one of them",
        ".h5": "a folder of HDF5 files; name one of them",
        ".pkl": f"a folder of pickles: {_PICKLE}",
        ".pickle": f"a folder of pickles: {_PICKLE}",
        ".parquet": "a folder of Parquet files",
        ".zarr": "a folder around a zarr store; name the store",
    }
    for number, path in enumerate(folder.iterdir()):
        if path.suffix in endings:
            return endings[path.suffix]
        if number >= 1_000:
            break
    return None


def _lerobot(folder: Path) -> str:
    """Describe a LeRobot data set of an unsupported version."""
    try:
        info = read_json(folder / _LEROBOT, DemonstrationError, max_bytes=1 << 20)
    except DemonstrationError as error:
        return f"a LeRobot data set whose {_LEROBOT} is damaged ({error})"
    if not isinstance(info, dict) or "codebase_version" not in info:
        return f"a folder with a {_LEROBOT} like a LeRobot data set's, but without codebase_version"
    version = printable(info["codebase_version"], 20)
    return f"a LeRobot data set, version {version}; convert it to version 3.0 with LeRobot"


def _describe_file(file: Path) -> str | None:
    with file.open("rb") as stream:
        head = stream.read(16)
    for magic, text in _MAGIC.items():
        if head.startswith(magic):
            return text
    if _is_pickle(head) or file.suffix in (".pkl", ".pickle"):
        return _PICKLE
    if file.suffix in _SUFFIXES:
        return _SUFFIXES[file.suffix]
    return _describe_archive(file) if head.startswith(b"PK") else None


def _is_pickle(head: bytes) -> bool:
    """Return whether bytes start like a pickle of protocol 2 to 5, or a usual one of protocol 0."""
    return (len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5) or head.startswith((b"(dp0\n", b"(lp0\n"))


def _describe_archive(file: Path) -> str | None:
    names = archive_names(file)
    if any(name.endswith("data.pkl") for name in names):
        return f"a file of torch.save, that is {_PICKLE}"
    if any(name.endswith((".zgroup", ".zarray", "zarr.json")) for name in names):
        return "a zarr store in a zip file, but without Diffusion Policy's episodes (meta/episode_ends)"
    if names and all(name.endswith(".npy") for name in names) and not OWN_ARRAYS & set(names):
        arrays = ", ".join(printable(name.removesuffix(".npy"), 40) for name in names[:6])
        return f"an unrelated .npz file, with the arrays {arrays}"
    return None
