"""A node's reports on its loaded policy."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")

from node_rig import AVOIDING

from vdd_ros.nodes.policy.loading import load
from vdd_ros.nodes.policy.parameters import PolicyParameters
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile


@pytest.mark.parametrize("built", [[], ["graph_sm90.engine"]])
def test_a_node_that_had_to_build_engines_warns(
    nan_policy: Path, built: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(OnnxPolicy, "engines_built", built)
    monkeypatch.setattr(OnnxPolicy, "engine_folder", Path("/cache"))
    parameters = PolicyParameters(policy_path=str(nan_policy), robot_file=str(AVOIDING))
    loaded = load(str(nan_policy), RobotFile.load(AVOIDING), parameters, "/arm/policy")
    assert loaded.info["machine"]["binding"] == "host"
    said = capfd.readouterr().err
    assert ("[arm.policy]: TensorRT had to build 1 engine " in said) == bool(built)
    assert ("vdd prebuild" in said) == bool(built)


def test_a_file_that_changes_while_it_is_loaded_is_described_by_what_acts(
    nan_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was read once: its hash is that of the policy that acts, whatever the file has become."""
    path = tmp_path / "next.onnx"
    path.write_bytes(nan_policy.read_bytes())
    digest, real = sha256(path.read_bytes()).hexdigest(), OnnxPolicy.load

    def load_and_spoil(*args: Any, **options: Any) -> OnnxPolicy:
        policy = real(*args, **options)
        path.write_bytes(b"another")
        return policy

    monkeypatch.setattr(OnnxPolicy, "load", load_and_spoil)
    parameters = PolicyParameters(policy_path=str(path), robot_file=str(AVOIDING))
    loaded = load(str(path), RobotFile.load(AVOIDING), parameters, "/policy")
    assert loaded.info["policy_sha256"] == loaded.active.policy.sha256 == digest
