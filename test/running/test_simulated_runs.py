"""Runs with a simulated robot: as planned before anything starts, and whole."""

import signal
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from node_rig import AVOIDING
from policy_files import write_mixture

pytest.importorskip("rclpy")

from vdd_ros.bags.latency import read_latency_bag
from vdd_ros.cli.main import main
from vdd_ros.nodes.sim_robot_node import SimParameters
from vdd_ros.running import robot_run
from vdd_ros.running.robot_run import ROBOT, RobotRun, execute


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


def test_a_simulated_robot_that_nothing_moves_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its episodes would never end."""
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "logs"))
    monkeypatch.setattr(robot_run, "signals_noted", lambda: nullcontext([signal.SIGINT]))  # before the first node
    said: list[str] = []
    asked = RobotRun(robot=None, policy=str(write_mixture(tmp_path / "p.onnx")), task="avoiding", commands=False)
    assert execute(asked, said.append).code == 0
    assert "nothing moves the simulated robot, so no episode ends: end the run with Ctrl-C" in said


def test_a_simulated_robot_can_be_stopped_by_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `on_loss: call` demands; also after its last episode."""
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "logs"))
    document = yaml.safe_load(AVOIDING.read_text())
    document["command"] |= {"on_loss": "call", "loss_service": "/avoiding_controller/stop"}
    robot = tmp_path / "robot.yaml"
    robot.write_text(yaml.safe_dump(document))
    policy = str(write_mixture(tmp_path / "p.onnx"))
    said: list[str] = []
    ending = execute(RobotRun(robot, policy, task="avoiding", episodes=1, seed=3), said.append)
    assert ending.code == 0, said


def test_a_simulated_robot_needs_no_robot_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its domain is one of its own; the run ends with the episodes."""
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "logs"))
    bag = tmp_path / "bag"
    policy = write_mixture(tmp_path / "p.onnx")
    code = main(["run", "--sim", "--policy", str(policy), "--record", str(bag), "--episodes", "1", "--seed", "3"])
    shown = capsys.readouterr()
    assert code == 0, shown
    assert "vdd run: the simulated episodes are over; all nodes ended cleanly" in shown.err
    assert f"recording into {bag}" in shown.out
    assert "nobody publishes" not in shown.out
    assert [node.node for node in read_latency_bag(bag)] == ["/policy"]
