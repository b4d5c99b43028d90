"""LeRobot data sets written with pyarrow, in the three dialects of version 3.0 and in version 2.1.

Trees, column types and metadata are those that LeRobot 0.6.1, 0.4.4, its converter and 0.3.3 write.
"""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTHS = (5, 7)
FPS = 10
NAMES = ["shoulder", "elbow", "wrist"]
SIZE = (4, 6)  # height, width of the images
DIALECTS = ("0.6.1", "0.4.4", "converted")
V3_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
V2_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"


def frames(lengths: tuple[int, ...] = LENGTHS, *, images: bool = False) -> dict[str, NDArray[Any]]:
    """Return the frames of the features: float32 vectors, a number of its own, perhaps images."""
    random, total = np.random.default_rng(0), sum(lengths)
    found: dict[str, NDArray[Any]] = {
        "observation.state": random.normal(size=(total, 3)).astype(np.float32),
        "observation.gripper": random.normal(size=(total, 1)).astype(np.float32),
        "action": random.normal(size=(total, 2)).astype(np.float32),
        "next.done": np.zeros((total, 1), bool),
    }
    if images:
        found["observation.images.top"] = random.integers(0, 256, (total, *SIZE, 3), dtype=np.uint8)
    return found


def feature(values: NDArray[Any], key: str) -> dict[str, Any]:
    if values.ndim == 4:
        return {"dtype": "image", "shape": list(values.shape[1:]), "names": ["height", "width", "channels"]}
    names = {"observation.state": {"motors": NAMES}, "action": ["dx", "dy"]}
    return {"dtype": str(values.dtype), "shape": list(values.shape[1:]), "names": names.get(key)}


def info(version: str, values: dict[str, NDArray[Any]], lengths: tuple[int, ...]) -> dict[str, Any]:
    counters = {name: {"dtype": "int64", "shape": [1], "names": None} for name in COUNTERS}
    return {
        "codebase_version": version,
        "robot_type": None,
        "total_episodes": len(lengths),
        "total_frames": sum(lengths),
        "total_tasks": 1,
        "chunks_size": 1000,
        "fps": FPS,
        "splits": {"train": f"0:{len(lengths)}"},
        "data_path": V3_PATH if version == "v3.0" else V2_PATH,
        "video_path": None,
        "features": {
            **{key: feature(found, key) for key, found in values.items()},
            "timestamp": {"dtype": "float32", "shape": [1], "names": None},
            **counters,
        },
    }


COUNTERS = ("frame_index", "episode_index", "index", "task_index")


def table(values: dict[str, NDArray[Any]], lengths: tuple[int, ...], *, lists: bool = False) -> Any:
    """Return the table of all frames; `lists`: variable lists, as the converter writes."""
    import pyarrow as pa

    episode = np.repeat(np.arange(len(lengths)), lengths)
    frame = np.concatenate([np.arange(length) for length in lengths])
    columns: dict[str, Any] = {key: column(found, lists) for key, found in values.items()}
    columns["timestamp"] = pa.array((frame / FPS).astype(np.float32))
    counted = {"frame_index": frame, "episode_index": episode, "index": np.arange(len(frame)), "task_index": frame * 0}
    return pa.table({**columns, **{name: pa.array(numbers) for name, numbers in counted.items()}})


def column(values: NDArray[Any], lists: bool) -> Any:
    import pyarrow as pa

    if values.ndim == 4:
        from PIL import Image

        rows = []
        for number, image in enumerate(values):
            content = io.BytesIO()
            Image.fromarray(image).save(content, format="PNG")
            rows.append({"bytes": content.getvalue(), "path": f"frame-{number:06d}.png"})
        return pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    if values.ndim == 3:
        rows = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[2])
        return pa.FixedSizeListArray.from_arrays(rows, values.shape[1])
    if values.shape[1] == 1:
        return pa.array(values[:, 0])
    flat = pa.array(values.ravel())
    if lists:
        return pa.ListArray.from_arrays(pa.array(np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]), flat)
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def statistics(values: NDArray[Any], quantiles: bool) -> dict[str, Any]:
    found = values.astype(np.float64)
    record: dict[str, Any] = {name: getattr(found, name)(axis=0).tolist() for name in ("min", "max", "mean", "std")}
    if quantiles:
        record |= {f"q{share:02}": np.quantile(found, share / 100, axis=0).tolist() for share in (1, 10, 50, 90, 99)}
    return record | {"count": [len(found)]}


def write_v3(
    folder: Path,
    values: dict[str, NDArray[Any]] | None = None,
    lengths: tuple[int, ...] = LENGTHS,
    *,
    dialect: str = "0.6.1",
    files: int = 1,
) -> dict[str, NDArray[Any]]:
    """Write a data set of version 3.0 and return its frames; `files` data files share the episodes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = frames(lengths) if values is None else values
    whole = table(values, lengths, lists=dialect == "converted")
    if dialect == "converted":
        whole = whole.select(sorted(whole.column_names))
    ends, per_file = np.cumsum(lengths), -(-len(lengths) // files)
    rows = []
    for number, length in enumerate(lengths):
        bounds = {"dataset_from_index": int(ends[number] - length), "dataset_to_index": int(ends[number])}
        place = {"data/chunk_index": 0, "data/file_index": number // per_file}
        rows.append({"episode_index": number, "tasks": ["push"], "length": length, **place, **bounds})
    (folder / "data/chunk-000").mkdir(parents=True)
    (folder / "meta/episodes/chunk-000").mkdir(parents=True)
    for file in range(files):
        mine = [row for row in rows if row["data/file_index"] == file]
        with pq.ParquetWriter(folder / f"data/chunk-000/file-{file:03d}.parquet", whole.schema) as writer:
            for row in mine:
                writer.write_table(whole.slice(row["dataset_from_index"], row["length"]))
    pq.write_table(pa.Table.from_pylist(rows), folder / "meta/episodes/chunk-000/file-000.parquet")
    text = {"0.6.1": "task", "0.4.4": "__index_level_0__", "converted": "task"}[dialect]
    pq.write_table(pa.table({"task_index": pa.array([0]), text: pa.array(["push"])}), folder / "meta/tasks.parquet")
    numbers = {key: found for key, found in values.items() if found.ndim == 2}
    stats = {key: statistics(found, dialect != "converted") for key, found in numbers.items()}
    (folder / "meta/stats.json").write_text(json.dumps(stats))
    (folder / "meta/info.json").write_text(json.dumps(info("v3.0", values, lengths), indent=4))
    return values


def write_v2(
    folder: Path, values: dict[str, NDArray[Any]] | None = None, lengths: tuple[int, ...] = LENGTHS
) -> dict[str, NDArray[Any]]:
    """Write a data set of version 2.1 and return its frames."""
    import pyarrow.parquet as pq

    values = frames(lengths) if values is None else values
    whole, start = table(values, lengths), 0
    (folder / "data/chunk-000").mkdir(parents=True)
    (folder / "meta").mkdir()
    for number, length in enumerate(lengths):
        pq.write_table(whole.slice(start, length), folder / f"data/chunk-000/episode_{number:06d}.parquet")
        start += length
    episodes = [{"episode_index": number, "tasks": ["push"], "length": n} for number, n in enumerate(lengths)]
    (folder / "meta/episodes.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in episodes))
    (folder / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "push"}\n')
    (folder / "meta/info.json").write_text(json.dumps(info("v2.1", values, lengths), indent=4))
    return values


def edit_info(folder: Path, **changes: Any) -> None:
    """Replace fields of meta/info.json; None removes one."""
    file = folder / "meta/info.json"
    fields = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({name: value for name, value in fields.items() if value is not None}))
