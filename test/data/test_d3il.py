"""D3IL's pickles: pairs as its own loaders build them, from pickles that numpy wrote."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import get_format
from vdd_ros.errors import DemonstrationError
from vdd_ros.evaluation.compatibility import check_demonstrations
from vdd_ros.tasks import get_task
from vdd_ros.testing.formats import check_format


def write(folder: Path, steps: tuple[int, ...] = (6, 4, 9), *, box: bool = False) -> list[dict[str, Any]]:
    """Write episodes as D3IL's logger does, and return them."""
    folder.mkdir()
    random, episodes = np.random.default_rng(0), []
    for number, count in enumerate(steps):
        robot = {
            "time_stamp": np.arange(1, count + 1) * 0.035,
            "sim_step": np.arange(count) * 35,
            "wall_clock": random.normal(size=count),
            "j_pos": random.normal(size=(count, 7)),
            "c_pos": random.normal(size=(count, 3)),
            "c_quat": random.normal(size=(count, 4)),
            "des_c_pos": random.normal(size=(count, 3)).astype(np.float32),
            "des_j_pos": random.normal(size=(count, 7)),
            "gripper_width": random.uniform(size=count),
        }
        episode: dict[str, Any] = {"context": ([np.zeros(2), 0.5],), "robot": robot}
        if box:
            pose = {"pos": random.normal(size=(count, 3)), "quat": random.normal(size=(count, 4))}
            episode["red-box"] = {"sim_step": np.arange(count), **pose}
        episodes.append(episode)
        # Numbers without zeros in front, so that the alphabet has another order.
        (folder / f"env_{number * 5}_00.pkl").write_bytes(pickle.dumps(episode))
    return episodes


def test_avoiding_is_read_as_its_own_loader_does(tmp_path: Path) -> None:
    """State k with the step of the desired position from k to k + 1; the last state has none."""
    made = write(tmp_path / "data")
    found = DemonstrationSet.load(tmp_path / "data")
    check_demonstrations(found.header, get_task("avoiding").spec)
    assert found.lengths.tolist() == [5, 3, 8]
    robots = [episode["robot"] for episode in made]
    state = [np.concatenate([r["des_c_pos"][:-1, :2], r["c_pos"][:-1, :2]], axis=1) for r in robots]
    assert np.array_equal(found.observation, np.concatenate(state))
    steps = [r["des_c_pos"][1:, :2] - r["des_c_pos"][:-1, :2] for r in robots]
    assert np.array_equal(found.action, np.concatenate(steps))


def test_the_format_conforms(tmp_path: Path) -> None:
    write(tmp_path / "data")
    check_format(get_format("d3il"), tmp_path / "F", tmp_path / "data")
    check_format(get_format("d3il"), tmp_path / "G", tmp_path / "data" / "env_0_00.pkl")


def test_a_task_with_objects_is_described(tmp_path: Path) -> None:
    made = write(tmp_path / "data", box=True)
    with pytest.raises(DemonstrationError, match=r"does not state which of its keys are the observation \(robot/j_pos"):
        DemonstrationSet.load(tmp_path / "data")
    (tmp_path / "set.yaml").write_text(
        "data: data\ntask: pushing\nobservation: [red-box/pos, robot/gripper_width]\n"
        "action: [delta/des_j_pos, next/gripper_width]\n"
    )
    found = DemonstrationSet.load(tmp_path / "set.yaml")
    names = ["red-box_x (m)", "red-box_y (m)", "red-box_z (m)", "gripper_width (m)"]
    assert [str(feature) for feature in found.header.observation] == names
    assert str(found.header.action[0]) == "delta_des_j_pos_0 (rad)"
    assert str(found.header.action[7]) == "next_gripper_width (m)"
    first = made[0]["robot"]
    assert np.array_equal(found.action[:5, :7], np.diff(first["des_j_pos"], axis=0))
    assert np.array_equal(found.action[:5, 7], first["gripper_width"][1:])
    assert np.array_equal(found.observation[:5, :3], made[0]["red-box"]["pos"][:-1])


def rewrite(folder: Path, **changes: Any) -> None:
    file = folder / "env_5_00.pkl"
    episode = pickle.loads(file.read_bytes())
    episode["robot"] = {key: value for key, value in (episode["robot"] | changes).items() if value is not None}
    file.write_bytes(pickle.dumps(episode))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"c_pos": None}, r"env_5_00.pkl' differs from 'env_0_00.pkl' in 'robot/c_pos'"),
        ({"c_pos": np.zeros((3, 3))}, r"the shape \(3, 3\) in 'robot/c_pos', but 4 steps"),
        ({"c_pos": np.zeros((4, 2))}, "differs from"),
        ({"c_pos": np.array([None] * 4)}, "'c_pos' of robot: it holds objects|which are not numbers"),
        ({"c_pos": np.full((4, 3), np.nan)}, "'robot/c_pos' with NaN or infinity in 3 frames of the episodes 1"),
        ({"des_c_pos": np.zeros((1, 3))}, "no 'des_c_pos' of at least two steps"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write(tmp_path / "data")
    rewrite(tmp_path / "data", **changes)
    with pytest.raises(DemonstrationError, match=message):
        DemonstrationSet.load(tmp_path / "data")


def test_episodes_of_different_rates_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "data")
    file = tmp_path / "data" / "env_5_00.pkl"
    episode = pickle.loads(file.read_bytes())
    episode["robot"]["time_stamp"] *= 2
    file.write_bytes(pickle.dumps(episode))
    with pytest.raises(DemonstrationError, match=r"has episodes of 14.29 to 28.57 Hz"):
        DemonstrationSet.load(tmp_path / "data")


def test_times_that_are_not_even_give_no_rate(tmp_path: Path) -> None:
    write(tmp_path / "data", (6,))
    file = tmp_path / "data/env_0_00.pkl"
    episode = pickle.loads(file.read_bytes())
    episode["robot"]["time_stamp"][3] += 0.01
    file.write_bytes(pickle.dumps(episode))
    with pytest.raises(DemonstrationError, match="does not state its rate"):
        DemonstrationSet.load(tmp_path / "data")
