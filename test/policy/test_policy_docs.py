"""The Python programs of docs/policy_file.md run, and the file that one of them writes is a policy."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import CHECKOUT
from numpy.typing import NDArray

from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

pytest.importorskip("onnx")

PAGE = CHECKOUT / "docs" / "policy_file.md"
ROBOT = """
inputs:
  camera:
    topic: wrist/image_raw
    type: sensor_msgs/msg/Image
    max_age_s: 0.2
    entries:
      wrist_cam: {encoding: rgb8, shape: [8, 8, 3], unit: 1}
  forces:
    topic: wrench
    type: std_msgs/msg/Float64MultiArray
    max_age_s: 0.1
    entries:
      forces: {field: data, shape: [6], unit: N}
  tcp:
    topic: tcp_pose
    type: geometry_msgs/msg/PoseStamped
    max_age_s: 0.2
    entries:
      x: {field: pose.position.x, unit: m}
command:
  topic: commands
  type: std_msgs/msg/Float64MultiArray
  on_loss: zero
  entries:
    - {name: vx, action: vx, unit: m/s, low: -0.2, high: 0.2, max_step: 0.05}
"""


def test_the_documented_programs_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").symlink_to(CHECKOUT / "models")
    (tmp_path / "robot.yaml").write_text(ROBOT)
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for program in programs:
        exec(compile(program, PAGE.name, "exec"), {})
    assert capsys.readouterr().out.count("[[") == len(programs) == 2
    policy = OnnxPolicy.load("camera.onnx", seed=3)
    RobotFile.load(Path("robot.yaml")).check(policy.spec.observation, policy.spec.action)
    arrays: dict[str, NDArray[Any]] = {"wrist_cam": np.full((1, 8, 8, 3), 100, np.uint8)}
    arrays["forces"] = np.full((1, 6), 20, np.float32)
    found = [policy.act(np.array([[5.0]]), arrays=arrays).action.item() for _ in range(200)]
    assert np.mean(found) == pytest.approx(0.125, abs=4e-4)  # (100 + 20 + 5) / 1000, and noise of deviation 1e-3
    assert np.std(found) == pytest.approx(1e-3, rel=0.3)
