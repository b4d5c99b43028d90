"""Writes LeRobot data sets of version 3.0, readable by LeRobot 0.6, without LeRobot.

Numbers become float32, the type of LeRobot's policies. Data that LeRobot cannot store (units, contexts, modes, seed)
are in meta/vdd_ros.json, which LeRobot ignores, so that the set can be restored completely.
"""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats.images import encode_png
from vdd_ros.data.formats.lerobot_info import ACTION, INFO, OBSERVATION, STATISTICS
from vdd_ros.data.formats.lerobot_record import RECORD, record_of
from vdd_ros.data.formats.lerobot_statistics import statistics
from vdd_ros.data.formats.source import needing
from vdd_ros.errors import DemonstrationError
from vdd_ros.files import is_used, replacing_folder
from vdd_ros.text import printable

if TYPE_CHECKING:
    import pyarrow as pa

STATE = f"{OBSERVATION}.state"
FILE_BYTES = 100 << 20
"""Size of a data file after which a new one is started."""
EPISODES_A_CHUNK = 1_000
_DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_EPISODES = Path("meta/episodes/chunk-000/file-000.parquet")
_TASKS = Path("meta/tasks.parquet")
_COUNTERS = ("frame_index", "episode_index", "index", "task_index")


def write(demonstrations: DemonstrationSet, folder: Path) -> Path:
    """Write a set as a LeRobot data set, whole or not at all, and return its folder.

    Args:
        demonstrations: The set.
        folder: Folder of the data set; created, or replaced if this function wrote it.

    Raises:
        DemonstrationError: pyarrow is missing; the set has arrays that are not RGB images, numbers beyond float32, or
            names that LeRobot refuses; or the folder holds something else.
        OSError: The system refuses a file.
    """
    with needing("pyarrow", "a LeRobot data set"):
        import pyarrow  # noqa: F401
    _check(demonstrations)
    with _replacing_folder(folder) as aside:
        _write_files(demonstrations, aside)
    return folder


def _check(demonstrations: DemonstrationSet) -> None:
    """Refuse data that LeRobot cannot store."""
    for feature in demonstrations.header.arrays:
        if feature.dtype != "uint8" or len(feature.shape) != 3 or feature.shape[2] != 3:
            raise DemonstrationError(
                f"the array {feature} cannot be written for LeRobot, which only stores uint8 images of height x width "
                "x 3; leave it out"
            )
        if "/" in feature.name:
            raise DemonstrationError(f"the array {feature} has a slash in its name, which LeRobot refuses; rename it")
        if feature.name == "state":
            raise DemonstrationError(f"the array {feature} has the name of LeRobot's vector of numbers; rename it")
    limit = float(np.finfo(np.float32).max)
    for name, values in (("observation", demonstrations.observation), ("action", demonstrations.action)):
        if values.size and max(float(values.max()), -float(values.min())) > limit:
            raise DemonstrationError(
                f"'{name}' has numbers beyond {limit:.3g}, the largest of LeRobot's float32; scale them"
            )


@contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside a folder, which replaces it when the block succeeds."""
    if is_used(folder) and not (folder / RECORD).is_file():
        raise DemonstrationError(
            f"'{printable(folder)}' holds anything other than a data set that vdd_ros wrote for LeRobot; name another "
            "folder, or remove it"
        )
    with replacing_folder(folder) as new:
        yield new


def _write_files(demonstrations: DemonstrationSet, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    header = demonstrations.header
    rows = _write_data(demonstrations, folder)
    (folder / _EPISODES).parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / _EPISODES)
    pq.write_table(_tasks(header.task), folder / _TASKS)
    frames = {**_frames(demonstrations, slice(None)), **_counted(demonstrations.lengths, header.rate_hz)}
    (folder / STATISTICS).write_text(json.dumps({key: statistics(values) for key, values in frames.items()}))
    (folder / RECORD).write_text(json.dumps(record_of(demonstrations)))
    (folder / INFO).write_text(json.dumps(_info(demonstrations), indent=4))
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())


def _frames(demonstrations: DemonstrationSet, pairs: slice) -> dict[str, NDArray[Any]]:
    """Return pairs by key, in LeRobot's form."""
    return {
        STATE: demonstrations.observation[pairs].astype(np.float32),
        **{f"{OBSERVATION}.{name}": values[pairs] for name, values in demonstrations.arrays.items()},
        ACTION: demonstrations.action[pairs].astype(np.float32),
    }


def _counted(lengths: NDArray[np.int64], rate_hz: float) -> dict[str, NDArray[Any]]:
    """Return LeRobot's own columns of all frames, each (M, 1)."""
    index = np.arange(int(lengths.sum()))
    episode = np.repeat(np.arange(len(lengths)), lengths)
    frame = index - np.repeat(np.cumsum(lengths) - lengths, lengths)
    numbers = dict(zip(_COUNTERS, (frame, episode, index, np.zeros_like(index)), strict=True))
    return {"timestamp": (frame / rate_hz).astype(np.float32)[:, None], **{k: v[:, None] for k, v in numbers.items()}}


def _write_data(demonstrations: DemonstrationSet, folder: Path) -> list[dict[str, Any]]:
    """Write the frames, one row group per episode, and return the rows of meta/episodes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    counted = _counted(demonstrations.lengths, demonstrations.header.rate_hz)
    rows: list[dict[str, Any]] = []
    writer, file, file_bytes = None, -1, FILE_BYTES
    try:
        for number, pairs in enumerate(demonstrations.episodes()):
            frames = {**_frames(demonstrations, pairs), **{key: values[pairs] for key, values in counted.items()}}
            table = pa.table({key: _column(values) for key, values in frames.items()})
            if writer is None or file_bytes >= FILE_BYTES:
                if writer is not None:
                    writer.close()
                file, file_bytes = file + 1, 0
                chunk_index, file_index = divmod(file, EPISODES_A_CHUNK)
                place = folder / _DATA.format(chunk_index=chunk_index, file_index=file_index)
                place.parent.mkdir(parents=True, exist_ok=True)
                writer = pq.ParquetWriter(place, table.schema)
            writer.write_table(table, row_group_size=table.num_rows)
            file_bytes += table.nbytes
            rows.append(_episode(number, pairs, file, demonstrations.header.task, frames))
    finally:
        if writer is not None:
            writer.close()
    return rows


def _episode(number: int, pairs: slice, file: int, task: str, frames: dict[str, NDArray[Any]]) -> dict[str, Any]:
    chunk_index, file_index = divmod(file, EPISODES_A_CHUNK)
    return {
        "episode_index": number,
        "tasks": [task],
        "length": pairs.stop - pairs.start,
        "data/chunk_index": chunk_index,
        "data/file_index": file_index,
        "dataset_from_index": pairs.start,
        "dataset_to_index": pairs.stop,
        **{
            f"stats/{key}/{name}": found for key, values in frames.items() for name, found in statistics(values).items()
        },
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
    }


def _column(values: NDArray[Any]) -> "pa.Array":
    import pyarrow as pa

    if values.ndim == 4:
        rows = [{"bytes": encode_png(image), "path": f"frame-{number:06d}.png"} for number, image in enumerate(values)]
        return pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    flat = pa.array(np.ascontiguousarray(values).ravel())
    return flat if values.shape[1] == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _tasks(task: str) -> "pa.Table":
    """Return the table of tasks; its texts are the index for pandas, which LeRobot uses."""
    import pyarrow as pa

    table = pa.table({"task_index": pa.array([0], pa.int64()), "task": pa.array([task])})
    kinds = (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_type, "metadata": None}
        for name, kind, numpy_type in kinds
    ]
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def _info(demonstrations: DemonstrationSet) -> dict[str, Any]:
    header = demonstrations.header
    features: dict[str, Any] = {
        STATE: {"dtype": "float32", "shape": [len(header.vector)], "names": [one.name for one in header.vector]}
    }
    for one in header.arrays:
        names = ["height", "width", "channels"]
        features[f"{OBSERVATION}.{one.name}"] = {"dtype": "image", "shape": list(one.shape), "names": names}
    features[ACTION] = {"dtype": "float32", "shape": [len(header.action)], "names": [one.name for one in header.action]}
    features["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    features |= {name: {"dtype": "int64", "shape": [1], "names": None} for name in _COUNTERS}
    count = len(demonstrations.lengths)
    return {
        "codebase_version": "v3.0",
        "robot_type": None,
        "total_episodes": count,
        "total_frames": int(demonstrations.lengths.sum()),
        "total_tasks": 1,
        "chunks_size": EPISODES_A_CHUNK,
        "data_files_size_in_mb": FILE_BYTES >> 20,
        "video_files_size_in_mb": 200,
        "fps": int(header.rate_hz) if math.floor(header.rate_hz) == header.rate_hz else header.rate_hz,
        "splits": {"train": f"0:{count}"},
        "data_path": _DATA,
        "video_path": None,
        "features": features,
    }
