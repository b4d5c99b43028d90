"""LeRobot data sets of version 3.0, read without LeRobot: every dialect, and refusals."""

import json
import re
from pathlib import Path
from typing import Any

import lerobot_sets as sets
import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import DemonstrationError
from vdd_ros.features import Feature
from vdd_ros.testing.formats import check_format

pytest.importorskip("pyarrow")


def expected(values: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.concatenate([values["observation.state"], values["observation.gripper"]], axis=1).astype(np.float64)


@pytest.mark.parametrize("dialect", sets.DIALECTS)
@pytest.mark.parametrize("files", [1, 2])
def test_every_dialect_is_read_as_written(tmp_path: Path, dialect: str, files: int) -> None:
    values = sets.write_v3(tmp_path / "arm", dialect=dialect, files=files)
    found = DemonstrationSet.load(tmp_path / "arm")
    assert np.array_equal(found.observation, expected(values))
    assert np.array_equal(found.action, values["action"])
    assert found.lengths.tolist() == list(sets.LENGTHS)
    assert found.modes.tolist() == [-1, -1]
    assert [str(feature) for feature in found.header.observation] == [
        *(f"{name} (unknown)" for name in sets.NAMES),
        "gripper (unknown)",
    ]
    assert [feature.name for feature in found.header.action] == ["dx", "dy"]
    assert (found.header.task, found.header.rate_hz, found.file) == ("arm", 10.0, tmp_path / "arm")


def test_episodes_in_another_order_in_the_files_are_sorted(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = sets.write_v3(tmp_path / "arm")
    file = tmp_path / "arm/data/chunk-000/file-000.parquet"
    table = pq.read_table(file)
    pq.write_table(pa.concat_tables([table.slice(5), table.slice(0, 5)]), file)
    assert np.array_equal(DemonstrationSet.load(tmp_path / "arm").observation, expected(values))


def test_images_become_arrays(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    values = sets.write_v3(tmp_path / "arm", sets.frames(images=True))
    found = DemonstrationSet.load(tmp_path / "arm")
    assert found.header.arrays == (Feature("images.top", "1", shape=(4, 6, 3), dtype="uint8"),)
    assert np.array_equal(found.arrays["images.top"], values["observation.images.top"])


def test_arrays_of_another_type_than_stated_are_refused(tmp_path: Path) -> None:
    """300 is 44 in eight bits."""
    values = sets.frames() | {"observation.map": np.full((12, 2, 2), 300, np.int64)}
    sets.write_v3(tmp_path / "arm", values)
    fields = json.loads((tmp_path / "arm/meta/info.json").read_text())["features"]
    fields["observation.map"]["dtype"] = "uint8"
    sets.edit_info(tmp_path / "arm", features=fields)
    with pytest.raises(DemonstrationError, match=r"'observation\.map' of int64, but its metadata say uint8"):
        DemonstrationSet.load(tmp_path / "arm")


def test_names_may_have_their_index(tmp_path: Path) -> None:
    """So LeRobot names the actions of a gamepad."""
    sets.write_v3(tmp_path / "arm")
    fields = json.loads((tmp_path / "arm/meta/info.json").read_text())["features"]
    fields["action"]["names"] = {"delta_y": 1, "delta_x": 0}
    sets.edit_info(tmp_path / "arm", features=fields)
    found = DemonstrationSet.load(tmp_path / "arm")
    assert [feature.name for feature in found.header.action] == ["delta_x", "delta_y"]


def test_the_format_conforms(tmp_path: Path) -> None:
    from vdd_ros.data.formats import get_format

    sets.write_v3(tmp_path / "arm")
    check_format(get_format("lerobot"), tmp_path / "F", tmp_path / "arm")


def test_a_video_is_refused_with_what_leaves_it_out(tmp_path: Path) -> None:
    sets.write_v3(tmp_path / "arm")
    fields = json.loads((tmp_path / "arm/meta/info.json").read_text())["features"]
    video = {"dtype": "video", "shape": [4, 6, 3], "names": ["height", "width", "channels"]}
    sets.edit_info(tmp_path / "arm", features={"observation.images.top": video, **fields})
    with pytest.raises(DemonstrationError, match=r"'observation.images.top', which is a video; .*vdd demos describe"):
        DemonstrationSet.load(tmp_path / "arm")
    (tmp_path / "set.yaml").write_text("data: arm\nobservation: [observation.state]\n")
    assert DemonstrationSet.load(tmp_path / "set.yaml").observation.shape == (12, 3)


def test_a_recording_that_was_not_finalised_is_told(tmp_path: Path) -> None:
    """Without its end LeRobot leaves data without a footer, and no folder meta/episodes."""
    sets.write_v3(tmp_path / "arm")
    for file in (tmp_path / "arm/meta/episodes").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(DemonstrationError, match=r"not finalised: 2 episodes .* dataset.finalize\(\)"):
        DemonstrationSet.load(tmp_path / "arm")


def test_a_data_file_without_a_footer_is_told(tmp_path: Path) -> None:
    sets.write_v3(tmp_path / "arm")
    file = tmp_path / "arm/data/chunk-000/file-000.parquet"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DemonstrationError, match=r"file-000.parquet' has no end, so its recording was not finalised"):
        DemonstrationSet.load(tmp_path / "arm")


def test_nan_is_told_with_its_episode_and_the_statistics(tmp_path: Path) -> None:
    values = sets.frames()
    values["observation.state"][6, 1] = np.nan
    sets.write_v3(tmp_path / "arm", values)
    with pytest.raises(
        DemonstrationError, match=r"NaN or infinity in 1 frames of the episodes 1\. Its statistics in meta/stats.json"
    ):
        DemonstrationSet.load(tmp_path / "arm")
    (tmp_path / "set.yaml").write_text("data: arm\nleave_out: [1]\n")
    assert np.array_equal(DemonstrationSet.load(tmp_path / "set.yaml").observation, expected(values)[:5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total_frames": 13}, "has 13 frames, but the lengths of its 2 episodes add up to 12"),
        ({"total_episodes": 3}, "does not hold each of the counted episodes 0 to 2"),
        ({"total_episodes": -1}, "total_episodes -1, not a whole number from 0"),
        ({"fps": 0}, "has the fps 0, not a number above 0"),
        ({"fps": True}, "has the fps True"),
        ({"features": {}}, "has no features"),
        ({"features": {"action": 3}}, "the feature 'action' by an object"),
        ({"data_path": "../{chunk_index:03d}"}, "not one of LeRobot's"),
        ({"data_path": "data/{chunk_index.__class__}"}, "not one of LeRobot's"),
        ({"data_path": "data/{file_index:0999999d}"}, "not one of LeRobot's"),
        ({"data_path": "data/file-{file_index:04d}.parquet"}, "file-0000.parquet' is missing"),
    ],
)
def test_wrong_metadata_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    sets.write_v3(tmp_path / "arm")
    sets.edit_info(tmp_path / "arm", **changes)
    with pytest.raises(DemonstrationError, match=message):
        DemonstrationSet.load(tmp_path / "arm")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([4], "lists of 3 to 3 numbers instead of 4"),
        ([0], "the shape"),
        ("three", "the shape three"),
        ([3, 2], "float"),
    ],
)
def test_a_shape_that_the_frames_have_not_is_refused(tmp_path: Path, shape: Any, message: str) -> None:
    sets.write_v3(tmp_path / "arm")
    fields = json.loads((tmp_path / "arm/meta/info.json").read_text())["features"]
    fields["observation.state"]["shape"] = shape
    sets.edit_info(tmp_path / "arm", features=fields)
    with pytest.raises(DemonstrationError, match=re.escape(message)):
        DemonstrationSet.load(tmp_path / "arm")


def test_frames_that_are_missing_are_told(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    sets.write_v3(tmp_path / "arm")
    file = tmp_path / "arm/data/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(file).slice(0, 11), file)
    with pytest.raises(DemonstrationError, match="holds 6 frames of episode 1 instead of 7"):
        DemonstrationSet.load(tmp_path / "arm")


@pytest.mark.parametrize("number", [-1, 2, 1 << 40])
def test_frames_of_an_episode_that_is_not_there_are_told(tmp_path: Path, number: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sets.write_v3(tmp_path / "arm")
    file = tmp_path / "arm/data/chunk-000/file-000.parquet"
    table = pq.read_table(file)
    place = table.column_names.index("episode_index")
    numbers = [*table.column("episode_index").to_pylist()[:-1], number]
    pq.write_table(table.set_column(place, "episode_index", pa.array(numbers, pa.int64())), file)
    with pytest.raises(DemonstrationError, match=f"holds frames of episode {number:,}, but there are 2 episodes"):
        DemonstrationSet.load(tmp_path / "arm")


def test_a_column_whose_name_goes_on_behind_a_dot_is_not_mixed_up(tmp_path: Path) -> None:
    values = sets.frames()
    values["action.left"] = np.ones((12, 2), np.float32)
    sets.write_v3(tmp_path / "arm", values)
    found = DemonstrationSet.load(tmp_path / "arm")
    assert [feature.name for feature in found.header.action] == ["dx", "dy", "action.left_0", "action.left_1"]
    assert np.array_equal(found.action, np.concatenate([values["action"], values["action.left"]], axis=1))
