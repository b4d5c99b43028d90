"""The episodes of a demo are read back from its bag: results, paths, and the expert that acted on each position."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_files import STORE
from rosbags.rosbag2 import StoragePlugin, Writer

from vdd_ros.demo.demo import _save_video
from vdd_ros.demo.episodes import DemoRecord, EpisodeSummary, read_demo
from vdd_ros.errors import RecordingError
from vdd_ros.resources import path
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks import get_task

POSE, INT, TEXT = "geometry_msgs/msg/PoseStamped", "std_msgs/msg/Int64", "std_msgs/msg/String"


def pose(x: float, y: float) -> Any:
    def make(name: str, **values: Any) -> Any:
        return STORE.types[name](**values)

    stamp = make("builtin_interfaces/msg/Time", sec=1, nanosec=0)
    return make(
        POSE,
        header=make("std_msgs/msg/Header", stamp=stamp, frame_id=""),
        pose=make(
            "geometry_msgs/msg/Pose",
            position=make("geometry_msgs/msg/Point", x=x, y=y, z=0.0),
            orientation=make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
        ),
    )


def number(value: int) -> Any:
    return STORE.types[INT](data=value)


def text(**value: Any) -> Any:
    return STORE.types[TEXT](data=json.dumps(value))


def write(bag: Path, messages: list[tuple[int, str, str, Any]]) -> None:
    """Write (time, topic, type, message)."""
    with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topics = dict.fromkeys((topic, kind) for _, topic, kind, _ in messages)
        connections = {key: writer.add_connection(*key, typestore=STORE) for key in topics}
        for time, topic, kind, message in messages:
            writer.write(connections[topic, kind], time, STORE.serialize_cdr(message, kind))


def read(bag: Path, commander: str = "student") -> DemoRecord:
    robot = RobotFile.load(path("config/robots/avoiding.yaml"))
    return read_demo(bag, robot, get_task("avoiding").spec, ("tcp_x", "tcp_y"), commander)


def two_episodes() -> list[tuple[int, str, str, Any]]:
    return [
        (10, "/episode", INT, number(0)),
        (20, "/tcp_pose", POSE, pose(0.1, 0.2)),
        (25, "/student/expert", INT, number(5)),
        (30, "/tcp_pose", POSE, pose(0.3, 0.4)),
        (31, "/other/student/expert", INT, number(9)),
        (35, "/student/expert", INT, number(6)),
        (36, "/sim_robot/result", TEXT, text(episode=0, success=True, mode=3, steps=2)),
        (40, "/episode", INT, number(1)),
        (50, "/tcp_pose", POSE, pose(0.5, 0.6)),
        (55, "/student/expert", INT, number(7)),
        (60, "/tcp_pose", POSE, pose(0.7, 0.8)),
        (61, "/sim_robot/result", TEXT, text(episode=1, success=False, mode=None, steps=2)),
        (61, "/sim_robot/result", TEXT, text(summary={"episodes": 2, "successes": 1})),
    ]


def test_paths_are_split_at_the_episodes_and_coloured_by_the_next_expert(tmp_path: Path) -> None:
    write(tmp_path / "bag", two_episodes())
    record = read(tmp_path / "bag")
    assert [found.tolist() for found in record.paths] == [[[0.1, 0.2], [0.3, 0.4]], [[0.5, 0.6], [0.7, 0.8]]]
    assert record.experts is not None
    # After the last tick there is no next expert: the last one stays.
    assert [found.tolist() for found in record.experts] == [[5, 6], [7, 7]]
    assert (len(record.results), record.successes, record.modes) == (2, 1, [3])


def test_a_commander_without_experts_leaves_the_paths_without_colours(tmp_path: Path) -> None:
    write(tmp_path / "bag", two_episodes())
    record = read(tmp_path / "bag", commander="teacher")
    assert record.experts is None
    assert np.shape(record.paths) == (2, 2, 2)


def test_a_bag_without_results_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "bag", two_episodes()[:3])
    with pytest.raises(RecordingError, match="no result of an episode"):
        read(tmp_path / "bag")


@pytest.mark.parametrize(
    "result",
    [
        "[" * 100_000,
        "7",
        json.dumps({"episode": 0, "success": True, "steps": 2}),
        json.dumps({"episode": 0, "success": True, "mode": None, "steps": 2}),
        json.dumps({"episode": 0, "success": 1, "mode": "left", "steps": 2}),
        json.dumps({"episode": 0, "success": "yes", "mode": 3, "steps": 2}),
    ],
)
def test_a_result_that_no_robot_says_is_refused(tmp_path: Path, result: str) -> None:
    write(tmp_path / "bag", [*two_episodes(), (62, "/sim_robot/result", TEXT, STORE.types[TEXT](data=result))])
    with pytest.raises(RecordingError, match="/sim_robot/result"):
        read(tmp_path / "bag")


def test_another_type_where_the_robot_is_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "bag", [(20, "/tcp_pose", TEXT, text(x=1)), *two_episodes()[-2:]])
    with pytest.raises(RecordingError, match="a message on /tcp_pose does not match the robot file"):
        read(tmp_path / "bag")


def test_a_video_shows_the_robot_of_each_episode_as_it_moved(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    pytest.importorskip("matplotlib")
    paths = [np.linspace((0.525, -0.28), (0.3, 0.37), steps) for steps in (30, 20, 10)]
    results: list[EpisodeSummary] = [
        {"episode": 0, "success": True, "mode": 23, "steps": 29},
        {"episode": 1, "success": False, "mode": None, "steps": 19},
        {"episode": 2, "success": True, "mode": 0, "steps": 9},
    ]
    _save_video(tmp_path / "episodes.mp4", get_task("avoiding"), DemoRecord(results, paths, None), speed=1.0)
    with av.open(str(tmp_path / "episodes.mp4")) as container:
        stream = container.streams.video[0]
        assert sum(1 for _ in container.decode(stream)) == 30 + 29
        assert float(stream.average_rate) == pytest.approx(1 / 0.035, rel=1e-3)
