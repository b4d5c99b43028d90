"""`vdd bag example`: an arm that reaches its target both ways, in bags that become demonstrations."""

from pathlib import Path

import numpy as np
import pytest

from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.evaluation.demonstration_info.report import examine

pytest.importorskip("rosbags")

from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks import get_task
from vdd_ros.tasks.example_arm.sim import gripper

TASK = get_task("example_arm")


def test_the_examples_become_demonstrations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recordings = tmp_path / "recordings"
    assert main(["bag", "example", "--out", str(recordings), "--episodes", "4"]) == 0
    assert "4 bags, 2 with the elbow up" in capsys.readouterr().out
    argv = [
        "demos",
        "from-bags",
        str(recordings),
        "--robot",
        str(recordings / "arm.yaml"),
        "--out",
        str(tmp_path / "D"),
    ]
    assert main(argv) == 0
    assert "4, 0 left out" in capsys.readouterr().out
    found = DemonstrationSet.load(tmp_path / "D")
    assert found.header.task == "example_arm"
    for number, pairs in enumerate(found.episodes()):
        last = found.observation[pairs.stop - 1]
        assert gripper(found.action[pairs.stop - 1]) == pytest.approx(last[:2], abs=2e-3)
        assert gripper(last[2:]) == pytest.approx(last[:2], abs=2e-3)
        assert (last[3] < 0) is np.bool_(number % 2 == 0)
        assert np.abs(found.action[pairs.start] - found.observation[pairs.start, 2:]).max() < 0.2
    assert examine(found).suspicions == []


def test_a_first_robot_file_of_the_examples_leads_to_the_same_demonstrations(tmp_path: Path) -> None:
    """As its comments propose, without an edit: the arm's own file differs in its limits and ages."""
    recordings, first = tmp_path / "recordings", tmp_path / "example_arm.yaml"
    assert main(["bag", "example", "--out", str(recordings), "--episodes", "4"]) == 0
    assert main(["robot", "new", "--bag", str(recordings), "--out", str(first)]) == 0
    assert main(["robot", "check", str(first), "--bag", str(recordings / "ep_000")]) == 0
    RobotFile.load(first).check(TASK.spec.observation, TASK.spec.action)
    for file, out in ((first, "A"), (recordings / "arm.yaml", "B")):
        argv = ["demos", "from-bags", str(recordings), "--robot", str(file), "--out", str(tmp_path / out)]
        assert main(argv) == 0
    one, other = (DemonstrationSet.load(tmp_path / out) for out in "AB")
    assert one.header.signature.differences(other.header.signature) == []
    assert one.header.task == other.header.task == TASK.spec.name
    for pairs, same in zip(one.episodes(), other.episodes(), strict=True):  # more of a motion counts in a smaller range
        rows, fewer = (
            np.hstack([found.observation[at], found.action[at]]) for found, at in ((one, pairs), (other, same))
        )
        cut = int(np.flatnonzero((rows == fewer[0]).all(axis=1))[0])
        assert cut <= 3
        assert len(rows) - len(fewer) <= 6
        np.testing.assert_array_equal(rows[cut : cut + len(fewer)], fewer)


def test_recordings_are_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["bag", "example", "--out", str(tmp_path), "--episodes", "1"]
    assert main(argv) == 0
    assert main(argv) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*argv[:-1], "0"]) == 2
    assert "--episodes is 0" in capsys.readouterr().err
