"""Minari's Arrow: steps as rows, nested parts as structures, the last row without an action."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import get_format
from vdd_ros.data.formats.arrow_sizes import unpacked_bytes
from vdd_ros.data.formats.minari_arrow import ArrowEpisodes
from vdd_ros.data.formats.outline import outline
from vdd_ros.errors import DemonstrationError

pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.dataset")

LENGTHS = [3 + number for number in range(11)]
"""Eleven, so that 10 comes before 2 in the alphabet."""


def vectors(values: NDArray[Any]) -> Any:
    return pa.FixedSizeListArray.from_arrays(values.reshape(-1), type=pa.list_(pa.float64(), values.shape[1]))


def write(folder: Path) -> list[dict[str, NDArray[Any]]]:
    """Write a data set as Minari 0.5 does, and return its episodes."""

    random, found = np.random.default_rng(0), []
    for number, length in enumerate(LENGTHS):
        episode: dict[str, NDArray[Any]] = {
            key: random.normal(size=(length + 1, size)) for key, size in (("arm/pos", 3), ("goal", 2), ("a", 2))
        }
        episode["grip"] = random.integers(0, 3, length + 1)
        episode["a"][-1] = 0.0  # filling
        arm = pa.StructArray.from_arrays([vectors(episode["arm/pos"])], names=["pos"])
        parts = [arm, vectors(episode["goal"]), pa.array(episode["grip"], pa.int32()), pa.array(["x"] * (length + 1))]
        batch = {
            "episode_id": np.full(length + 1, number, np.int32),
            "observations": pa.StructArray.from_arrays(parts, names=["arm", "goal", "grip", "text"]),
            "actions": vectors(episode["a"]),
            "rewards": np.zeros(length + 1),
        }
        pa.dataset.write_dataset(
            pa.RecordBatch.from_pydict(batch),
            folder / "data",
            format="arrow",
            partitioning=["episode_id"],
            existing_data_behavior="overwrite_or_ignore",
        )
        (folder / f"data/{number}/metadata.json").write_text(json.dumps({"id": number, "total_steps": length}))
        found.append(episode)
    metadata = {"total_episodes": 11, "total_steps": sum(LENGTHS), "data_format": "arrow", "dataset_id": "toy/reach-v0"}
    (folder / "data/metadata.json").write_text(json.dumps(metadata))
    return found


def load(folder: Path, observation: str = "[observations/arm/pos, observations/goal]") -> DemonstrationSet:
    (folder / "set.yaml").write_text(f"data: reach\nrate_hz: 25\nobservation: {observation}\n")
    return DemonstrationSet.load(folder / "set.yaml")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint16", "int64", "uint64", "bool"])
def test_number_types_keep_their_names(tmp_path: Path, dtype: str) -> None:
    """Without pandas, which some releases of pyarrow import to convert them."""
    folder = tmp_path / "data" / "0"
    folder.mkdir(parents=True)
    (folder / "metadata.json").write_text(json.dumps({"id": 0, "total_steps": 2}))
    table = pa.table({role: pa.array(np.ones(3, dtype)) for role in ("observations", "actions")})
    with pa.ipc.new_file(folder / "part-0.arrow", table.schema) as writer:
        writer.write_table(table)
    columns = ArrowEpisodes(tmp_path / "data").columns
    assert [column.dtype for column in columns] == [dtype, dtype]
    assert columns[0].read().dtype == dtype


def test_episodes_are_read_in_order_and_part_by_part(tmp_path: Path) -> None:
    made = write(tmp_path / "reach")
    found = load(tmp_path, "[observations/arm/pos, observations/goal, observations/grip]")
    wanted = [np.concatenate([e["arm/pos"], e["goal"], e["grip"][:, None]], axis=1)[:-1] for e in made]
    assert found.lengths.tolist() == LENGTHS
    assert np.array_equal(found.observation, np.concatenate(wanted))
    assert np.array_equal(found.action, np.concatenate([episode["a"][:-1] for episode in made]))
    names = [*(f"arm/pos_{index}" for index in range(3)), "goal_0", "goal_1", "grip"]
    assert [feature.name for feature in found.header.observation] == names
    assert found.header.task == "toy/reach-v0"


def test_what_is_no_number_is_left_out_by_name(tmp_path: Path) -> None:
    write(tmp_path / "reach")
    assert get_format("minari").probe(tmp_path / "reach")
    assert "# observations/text: left out, since it holds string" in outline(tmp_path / "reach")
    with pytest.raises(DemonstrationError, match="'observations/text', which holds string, which are not numbers"):
        load(tmp_path, "[observations/text]")


def test_damage_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "reach")
    file = tmp_path / "reach/data/4/part-0.arrow"
    content = file.read_bytes()
    random = np.random.default_rng(0)
    for place in [*random.integers(0, len(content), 24), None]:
        damage = bytearray(content)
        if place is not None:
            damage[place] ^= 0xFF
        file.write_bytes(bytes(damage) if place is not None else content[: len(content) // 2])
        try:
            load(tmp_path)
        except DemonstrationError as error:
            assert "reach" in str(error)
    file.write_bytes(content)
    (tmp_path / "reach/data/4/part-0.arrow").rename(tmp_path / "reach/data/4/part-0.other")
    with pytest.raises(DemonstrationError, match=r"data/4' holds 0 files of Arrow instead of one"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total_steps": 87}, "has 87 frames, but the lengths of its 11 episodes add up to 88"),
        ({"total_episodes": 12}, "holds 11 episodes instead of 12"),
        ({"data_format": "parquet"}, "neither HDF5 .* nor Arrow.* data_format='arrow'"),
    ],
)
def test_wrong_metadata_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    write(tmp_path / "reach")
    file = tmp_path / "reach/data/metadata.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(DemonstrationError, match=message):
        DemonstrationSet.load(tmp_path / "reach") if "data_format" in changes else load(tmp_path)


def compressed(file: Path, codec: str | None = "zstd", steps: int = 1_001) -> Any:
    """Write steps that repeat into a compressed file, with texts as a dictionary; return them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    texts = pa.array(["one", "two"] * (steps // 2 + 1)).slice(0, steps).dictionary_encode()
    arm = pa.StructArray.from_arrays([vectors(np.zeros((steps, 3))), texts], names=["pos", "text"])
    table = pa.table({"observations": arm, "actions": pa.array(np.arange(steps) // 100)})
    with pa.ipc.new_file(file, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(table, max_chunksize=400)
    return table


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_compressed_episodes_are_read(tmp_path: Path, codec: str) -> None:
    table = compressed(tmp_path / "data/0/part-0.arrow", codec)
    arm, *_, action = ArrowEpisodes(tmp_path / "data").columns
    assert np.array_equal(arm.read(), np.zeros((1_000, 3)))
    assert np.array_equal(action.read(), table["actions"].to_numpy()[:-1])


@pytest.mark.parametrize("codec", ["zstd", "lz4", None])
def test_unpacked_sizes_are_those_that_pyarrow_allocates(tmp_path: Path, codec: str | None) -> None:
    file = tmp_path / "some.arrow"
    compressed(file, codec)
    with pa.memory_map(str(file)) as stream:
        content = stream.read_buffer()
        batches = pa.ipc.open_file(stream).read_all().to_batches()
        buffers = [one for batch in batches for column in batch.columns for one in column.buffers()]
        buffers += batches[0]["observations"].field(1).dictionary.buffers()
        file_bytes = range(content.address, content.address + content.size)
        allocated = sum(one.size for one in buffers if one and one.address not in file_bytes)
        assert unpacked_bytes(memoryview(content)) == allocated
    assert (allocated > 0) == (codec is not None)


def test_an_episode_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    """A buffer begins with its unpacked size, which pyarrow allocates."""
    file = tmp_path / "data/0/part-0.arrow"
    compressed(file)
    content = file.read_bytes()
    actions = struct.pack("<q", 400 * 8)
    assert actions in content
    file.write_bytes(content.replace(actions, struct.pack("<q", 3 << 30), 1))
    with pytest.raises(DemonstrationError, match=r"unpacks to 3,221,\d+,\d+ bytes; at most 1,073,741,824 are read"):
        ArrowEpisodes(tmp_path / "data")


def test_damaged_metadata_are_refused(tmp_path: Path) -> None:
    compressed(tmp_path / "some.arrow")
    content = (tmp_path / "some.arrow").read_bytes()
    random = np.random.default_rng(0)
    for place in random.integers(0, len(content), 500).tolist():
        damage = bytearray(content)
        damage[place] = int(random.integers(256))
        try:
            assert unpacked_bytes(memoryview(damage)) >= 0
        except ValueError as error:
            assert "metadata" in str(error) or "truncated" in str(error)
    with pytest.raises(ValueError, match="was truncated"):
        unpacked_bytes(memoryview(content[:-1]))
