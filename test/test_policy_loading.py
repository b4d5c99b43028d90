"""What a node says about the policy that it loaded."""

from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from node_rig import AVOIDING

from vdd_ros.nodes.policy_loading import load
from vdd_ros.nodes.policy_parameters import PolicyParameters
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.robot import RobotFile


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
    assert ("[arm.policy]: TensorRT had to build 1 engines" in said) == bool(built)
    assert ("vdd prebuild" in said) == bool(built)
