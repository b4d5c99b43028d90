"""Waits are cut off at the operator's motion: of numbers whose limits come from elsewhere, and of orientations."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from vdd_ros.data.demonstrations import DemonstrationSet

pytest.importorskip("rosbags")

from recorded_arm import EPOCH_NS, MS, command, convert, document, joints, write_recording
from recorded_poses import pose, pose_document

from vdd_ros.cli.main import main

TRIM = {"trim": {"until": "first_motion", "after_s": 0.1}}
URDF = """<robot name="arm"><joint name="shoulder" type="{kind}"><limit lower="-2" upper="2" velocity="1" effort="1"/>
</joint></robot>"""


def moved(folder: Path, shoulder: dict[str, Any], first: Callable[[float], float], **more: Any) -> DemonstrationSet:
    """Convert 4 s in which the elbow moves from 1.5 to 2 s, and the shoulder as a function of time."""
    sent = [joints(EPOCH_NS + k * 10 * MS, (0.0, 0.0)) for k in range(400)]
    for k in range(80):
        values = first(0.05 * k), min(max(0.05 * k - 1.5, 0.0), 0.5)
        sent.append(command(EPOCH_NS + (50 * k + 30) * MS, values))
    write_recording(folder / "bag", sorted(sent, key=lambda one: one.at_ns))
    entry = {"name": "shoulder", "action": "shoulder_target", "measured": "shoulder", "unit": "rad", **shoulder}
    given = document(**more)["command"]
    given["entries"][0] = entry
    assert convert(folder, folder / "bag", command=given, demonstrations=TRIM, **more) == 0
    return DemonstrationSet.load(folder / "D")


def ramp(time_s: float) -> float:
    """Return a motion from 0.5 to 3 s."""
    return min(max(time_s - 0.5, 0.0), 2.5)


@pytest.mark.parametrize("kind", ["revolute", "continuous", ""])
@pytest.mark.parametrize("source", ["from_demonstrations", "urdf"])
def test_a_number_whose_limits_come_from_elsewhere_moves_too(tmp_path: Path, source: str, kind: str) -> None:
    """With and without a description, and without limits in it."""
    (tmp_path / "arm.urdf").write_text(URDF.format(kind=kind or "fixed"))
    found = moved(tmp_path, {"limits": source}, ramp, **({"urdf": "arm.urdf"} if kind else {}))
    assert found.action[0, 0] == pytest.approx(0.05)
    assert found.action[-1, 0] == 2.5


def test_limits_of_a_robot_description_tell_what_is_no_motion(tmp_path: Path) -> None:
    """0.1 % of 4 rad is no motion, though it is the whole range of the episode."""
    (tmp_path / "arm.urdf").write_text(URDF.format(kind="revolute"))
    found = moved(tmp_path, {"limits": "urdf"}, lambda time_s: 0.001 * ramp(time_s), urdf="arm.urdf")
    assert found.action[0, 1] == pytest.approx(0.05)


def test_turning_is_motion(tmp_path: Path) -> None:
    """The tool turns from 0.5 to 3 s, and moves from 1.5 to 2 s."""
    sent = [pose(EPOCH_NS + k * 10 * MS, "/tool") for k in range(400)]
    for k in range(80):
        half, x = 0.5 * ramp(0.05 * k), min(max(0.05 * k - 1.5, 0.0), 0.5)
        sign = 1 if k % 2 else -1  # the same orientation
        turn = (0.0, 0.0, sign * math.sin(half), sign * math.cos(half))
        sent.append(pose(EPOCH_NS + (50 * k + 30) * MS, "/commands", (x, 0.0, 0.0), turn))
    write_recording(tmp_path / "bag", sorted(sent, key=lambda one: one.at_ns))
    (tmp_path / "tool.yaml").write_text(yaml.safe_dump(pose_document("vector", demonstrations=TRIM)))
    options = ["--robot", str(tmp_path / "tool.yaml"), "--out", str(tmp_path / "D")]
    assert main(["demos", "from-bags", str(tmp_path / "bag"), *options]) == 0
    found = DemonstrationSet.load(tmp_path / "D").action
    np.testing.assert_allclose(found[[0, -1], 5], [0.05, 2.5], atol=1e-9)
