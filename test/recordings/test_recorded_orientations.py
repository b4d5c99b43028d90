"""Recorded commands of orientations: what is not a rotation is refused; the sign of a quaternion does not jump."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from vdd_ros.data.demonstrations import DemonstrationSet

pytest.importorskip("rosbags")

from recorded_arm import EPOCH_NS, MS, write_recording
from recorded_poses import pose, pose_document

from vdd_ros.cli.main import main

Turn = tuple[float, float, float, float]
HALF = math.sqrt(0.5)


def run(folder: Path, form: str, turn: Callable[[float], Turn]) -> int:
    """Convert 2 s of commands with an orientation as a function of time."""
    sent = [pose(EPOCH_NS + k * 10 * MS, "/tool") for k in range(200)]
    sent += [pose(EPOCH_NS + (50 * k + 30) * MS, "/commands", turn=turn(0.05 * k)) for k in range(40)]
    write_recording(folder / "bag", sorted(sent, key=lambda one: one.at_ns))
    (folder / "tool.yaml").write_text(yaml.safe_dump(pose_document(form)))
    options = ["--robot", str(folder / "tool.yaml"), "--out", str(folder / "D")]
    return main(["demos", "from-bags", str(folder / "bag"), *options])


@pytest.mark.parametrize("by_columns", [True, False])
@pytest.mark.parametrize(
    ("form", "turn", "reason"),
    [
        ("vector", (0.0, 0.0, 0.0, 0.0), "a quaternion is only zeros: its publisher does not set it"),
        ("six_d", (0.0, 0.0, 1.0, 1.0), "a quaternion is of the norm 1.414"),
        ("quaternion", (math.nan, 0.0, 0.0, 1.0), "a quaternion is of the norm nan"),
        ("yaw", (0.0, HALF, 0.0, HALF), "a rotation has no yaw"),
    ],
)
def test_commands_without_an_orientation_are_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    turn: Turn,
    reason: str,
    by_columns: bool,
) -> None:
    """One of them is counted; if all are such, the episode is left out."""
    if not by_columns:
        monkeypatch.setattr("vdd_ros.recordings.bag_conversion.why_not_by_columns", lambda _: "a test says so")
    (tmp_path / "one").mkdir()
    assert run(tmp_path / "one", form, lambda time_s: turn if time_s == 1.0 else (0.0, 0.0, 0.0, 1.0)) == 0
    assert f"command: 1 of 40 messages refused, first: {reason}" in capsys.readouterr().out
    assert run(tmp_path, form, lambda _: turn) == 2
    assert f"no usable message of the command; 40 were refused, first: {reason}" in capsys.readouterr().err


def test_the_sign_of_a_quaternion_does_not_jump(tmp_path: Path) -> None:
    """A tool that points down is near half a turn: w changes its sign with every tremble."""

    def down(time_s: float) -> Turn:
        return math.cos(0.02 * math.sin(20 * time_s)), 0.0, 0.0, math.sin(0.02 * math.sin(20 * time_s))

    assert run(tmp_path, "quaternion", down) == 0
    action = DemonstrationSet.load(tmp_path / "D").action
    expected = np.array([down(0.05 * k) for k in range(len(action))])
    np.testing.assert_allclose(action[:, 3:], expected, atol=1e-12)
    assert (expected[:, 3] < 0).any()
