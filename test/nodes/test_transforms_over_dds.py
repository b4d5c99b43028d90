"""Transforms of /tf over DDS: a pose given in another frame, and an input that reads one transform."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from interface_packages import tf2_msgs
from policy_files import write_mixture
from ros_helpers import Bench

pytest.importorskip("rclpy")

from geometry_msgs.msg import PoseStamped, TransformStamped
from node_rig import FAST_HZ, Sensor, started
from rclpy.parameter import Parameter
from std_msgs.msg import Float64MultiArray

from vdd_ros.features import Feature
from vdd_ros.nodes.policy_node import PolicyNode
from vdd_ros.nodes.robot_capture import capture
from vdd_ros.nodes.ros.transforms import STATIC
from vdd_ros.robot.robot_file import RobotFile

TF = "tf2_msgs/msg/TFMessage"


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The package tf2_msgs."""
    with tf2_msgs(tmp_path_factory.mktemp("interfaces")):
        yield


def document() -> dict[str, Any]:
    """Return a robot file that reads a target and the tool's position in the frame of the base."""
    target = {"topic": "target", "type": "geometry_msgs/msg/PoseStamped", "max_age_s": 10.0, "frame": "base"}
    tool = {"topic": "/tf", "type": TF, "max_age_s": 10.0, "transform": {"parent": "base", "child": "tool"}}
    number = {"unit": "m", "low": -9.0, "high": 9.0, "max_step": float("inf"), "max_error": float("inf")}
    entries = [{"name": name, "action": f"d_{name}", "relative_to": name, **number} for name in ("target_x", "tool_x")]
    return {
        "inputs": {
            "target": target | {"entries": {"target_x": {"field": "pose.position.x", "unit": "m"}}},
            "tool": tool | {"entries": {"tool_x": {"field": "transform.translation.x", "unit": "m"}}},
        },
        "command": {
            "topic": "seen",
            "type": "std_msgs/msg/Float64MultiArray",
            "on_loss": "call",
            "loss_service": "stop",
            "entries": entries,
        },
    }


class Robot:
    """Publishes a pose in the frame of a camera, and transforms: the camera stands at x = 1, the tool at x = 0.25."""

    def __init__(self, bench: Bench) -> None:
        from tf2_msgs.msg import TFMessage

        self._node, self._digits, self._kind = bench.node, Sensor(), TFMessage
        self._poses = bench.node.create_publisher(PoseStamped, "target", 10)
        self._transforms = bench.node.create_publisher(TFMessage, "/tf", 10)
        self._static = bench.node.create_publisher(TFMessage, "/tf_static", STATIC)
        self._static.publish(TFMessage(transforms=[self._transform("camera", 1.0)]))

    def publish(self) -> None:
        """Publish everything once."""
        pose = PoseStamped()
        pose.header.frame_id, pose.header.stamp = "camera", self._node.get_clock().now().to_msg()
        pose.pose.position.x, pose.pose.orientation.w = self._digits.measure(0.5), 1.0
        self._poses.publish(pose)
        for others in ([("cart", 7.0)], [("link_1", 3.0), ("tool", self._digits.measure(0.25))]):
            self._transforms.publish(self._kind(transforms=[self._transform(*one) for one in others]))

    def _transform(self, child: str, x: float) -> TransformStamped:
        made = TransformStamped()
        made.header.frame_id, made.child_frame_id = "base", child
        made.header.stamp = self._node.get_clock().now().to_msg()
        made.transform.translation.x, made.transform.rotation.w = x, 1.0
        return made


def test_a_node_sees_poses_in_its_frame_and_one_transform(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "robot.yaml").write_text(yaml.safe_dump(document(), sort_keys=False))
    policy = write_mixture(
        tmp_path / "policy.onnx",
        observation=(Feature("target_x", "m"), Feature("tool_x", "m")),
        action=tuple(Feature(f"d_{name}", "m", 0.0, 1e-4) for name in ("target_x", "tool_x")),
    )
    given = {"policy_path": str(policy), "robot_file": str(tmp_path / "robot.yaml"), "rate_hz": FAST_HZ}
    given |= {"inference_limit_s": 10.0}
    overrides = [Parameter(key, value=value) for key, value in given.items()]
    node: PolicyNode = bench.add(PolicyNode("policy", parameter_overrides=overrides))
    seen = bench.collect(Float64MultiArray, "seen")
    robot = Robot(bench)
    started(node)

    def arrived() -> bool:
        robot.publish()
        return len(seen) > 2

    bench.wait(arrived, "commands")
    assert list(seen[-1].data) == pytest.approx([1.5, 0.25], abs=1e-3)
    assert node.session is not None
    assert node.session.loop.counters.other_joints > 0


def test_a_running_robot_is_read_by_them(bench: Bench) -> None:
    """Nothing is missing where the package is installed."""
    found = capture(RobotFile.from_dict(document()), 0.1)
    assert not found.not_installed
