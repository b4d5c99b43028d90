"""Minari's Arrow: steps as rows, nested parts as structures, the last row without an action."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import get_format
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
