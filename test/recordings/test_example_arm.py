"""`vdd bag example`: an arm that reaches its target both ways, in bags that become demonstrations."""

from pathlib import Path

import numpy as np
import pytest

from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.evaluation.demonstration_info.report import examine

pytest.importorskip("rosbags")

from vdd_ros.tasks.example_arm.sim import gripper


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
        assert gripper(found.action[pairs.stop - 1]) == pytest.approx(last[:2], abs=1e-6)
        assert gripper(last[2:]) == pytest.approx(last[:2], abs=2e-3)
        assert (last[3] < 0) is np.bool_(number % 2 == 0)
        assert np.abs(found.action[pairs.start] - found.observation[pairs.start, 2:]).max() < 0.05
    assert examine(found).suspicions == []


def test_recordings_are_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["bag", "example", "--out", str(tmp_path), "--episodes", "1"]
    assert main(argv) == 0
    assert main(argv) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*argv[:-1], "0"]) == 2
    assert "--episodes is 0" in capsys.readouterr().err
