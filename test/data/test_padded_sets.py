"""Relay Kitchen and Block Push: the real steps of padded arrays, and what contradicts the mask."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from padded_sets import LENGTHS, LONGEST, MASK, write_block_push, write_kitchen

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import get_format
from vdd_ros.data.formats.outline import outline
from vdd_ros.errors import DemonstrationError
from vdd_ros.testing.formats import check_format


def test_kitchen_is_read_without_padding_and_goals(tmp_path: Path) -> None:
    observation, action = write_kitchen(tmp_path / "kitchen")
    found = DemonstrationSet.load(tmp_path / "kitchen")
    assert np.array_equal(found.observation, np.concatenate(observation)[:, :30])
    assert np.array_equal(found.action, np.concatenate(action))
    assert found.lengths.tolist() == list(LENGTHS)
    assert (found.header.task, found.header.rate_hz) == ("kitchen", 12.5)
    assert [str(found.header.observation[index]) for index in (0, 8, 22, 23, 29)] == [
        "joint_1 (rad)",
        "finger_2 (m)",
        "microwave (rad)",
        "kettle_x (m)",
        "kettle_qz (1)",
    ]
    assert {feature.unit for feature in found.header.action} == {"1"}


def test_block_push_is_read_without_padding_and_targets(tmp_path: Path) -> None:
    observation, action = write_block_push(tmp_path / "push")
    found = DemonstrationSet.load(tmp_path / "push")
    assert np.array_equal(found.observation, np.concatenate(observation)[:, :10])
    assert np.array_equal(found.action, np.concatenate(action))
    assert (found.header.task, found.header.rate_hz) == ("block_push", 10.0)
    assert str(found.header.observation[5]) == "block2_yaw (rad)"
    (tmp_path / "set.yaml").write_text("data: push\nobservation: [observations, targets]\n")
    with_targets = DemonstrationSet.load(tmp_path / "set.yaml")
    assert np.array_equal(with_targets.observation, np.concatenate(observation))
    assert str(with_targets.header.observation[15]) == "target2_yaw (rad)"
    assert "# Keys that are in neither: targets" in outline(tmp_path / "push")


def test_the_formats_conform(tmp_path: Path) -> None:
    write_kitchen(tmp_path / "kitchen")
    check_format(get_format("relay_kitchen"), tmp_path / "F", tmp_path / "kitchen")
    write_block_push(tmp_path / "push")
    check_format(get_format("block_push"), tmp_path / "G", tmp_path / "push")


HOLE = MASK.copy()
HOLE[1, 2] = 0
EMPTY = MASK.copy()
EMPTY[2] = 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masks": HOLE}, "is not 1 up to the end of episode 1 and 0 after it"),
        ({"masks": MASK * 2}, "is not 1 up to the end of episode 0"),
        ({"masks": EMPTY}, "has an episode without a frame, number 2"),
        ({"masks": MASK[:2]}, "which are not those of Block Push"),
        ({"actions": np.zeros((3, LONGEST, 3))}, "which are not those of Block Push"),
        ({"observations": np.zeros((3, 16))}, r"is float64, \(3, 16\), not numbers in 3 axes"),
        ({"observations": np.array([[["x"]]])}, "not numbers in 3 axes"),
        ({"observations": np.array([[[None]]])}, "is not a readable numpy array"),
        ({"actions": np.full((3, LONGEST, 2), np.nan)}, "NaN or infinity in 16 frames of the episodes 0, 1, 2"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_block_push(tmp_path / "push", **changes)
    with pytest.raises(DemonstrationError, match=message):
        DemonstrationSet.load(tmp_path / "push")


def test_files_that_are_missing_or_cut_are_told(tmp_path: Path) -> None:
    write_block_push(tmp_path / "push")
    file = tmp_path / "push/multimodal_push_observations.npy"
    content = file.read_bytes()
    file.write_bytes(content[:300])
    with pytest.raises(DemonstrationError, match=r"observations\.npy' is not a readable numpy array"):
        DemonstrationSet.load(tmp_path / "push")
    file.unlink()
    with pytest.raises(DemonstrationError, match=r"observations\.npy' is missing"):
        DemonstrationSet.load(tmp_path / "push")


def test_kitchen_of_another_shape_is_refused(tmp_path: Path) -> None:
    write_kitchen(tmp_path / "kitchen", actions_seq=np.zeros((LONGEST, 3, 8)))
    with pytest.raises(DemonstrationError, match="which are not those of Relay Kitchen"):
        DemonstrationSet.load(tmp_path / "kitchen")
