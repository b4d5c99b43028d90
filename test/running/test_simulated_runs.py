"""Runs with a simulated robot, as planned before anything starts."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from policy_files import write_mixture

pytest.importorskip("rclpy")

from vdd_ros.nodes.sim_robot_node import SimParameters
from vdd_ros.running import robot_run
from vdd_ros.running.robot_run import ROBOT, RobotRun


@pytest.mark.parametrize("asked", [{}, {"commands": False}, {"activate": False}, {"params_file": True}])
def test_a_robot_that_no_policy_moves_by_itself_waits(tmp_path: Path, asked: dict[str, Any]) -> None:
    """Until Ctrl-C, or until somebody activates the policy; otherwise a missing command is an error."""
    policy, silent = str(write_mixture(tmp_path / "policy.onnx")), tmp_path / "silent.yaml"
    silent.write_text("/**: {ros__parameters: {enable_control: false}}")
    if "params_file" in asked:
        asked = {"params_file": silent}
    given = robot_run._plan(RobotRun(None, policy, task="avoiding", **asked))[ROBOT].parameters
    longest = {each.name: each.metadata["range"][1] for each in fields(SimParameters)}["idle_timeout_s"]
    assert given.get("idle_timeout_s") == (longest if asked else None)
