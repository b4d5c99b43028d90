"""A policy that observes a camera and a force sensor in a node, over real DDS."""

from array import array
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from array_policies import CAMERA, FORCES, JOINTS, array_document, write_linear
from node_rig import started
from numpy.testing import assert_allclose
from ros_helpers import Bench

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray

from vdd_ros.nodes.policy_node import PolicyNode

RNG = np.random.default_rng(6)


class Cell:
    """Publishes joints, images and forces, and collects the commands."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.joints, self.forces = RNG.normal(size=2), RNG.normal(size=5)
        self.pixels = RNG.integers(0, 256, CAMERA.shape).astype(np.uint8)
        self.encoding = "rgb8"
        self.publishers = {
            kind: bench.node.create_publisher(kind, topic, 10)
            for kind, topic in ((JointState, "joint_states"), (Image, "wrist/image"), (Float64MultiArray, "wrench"))
        }
        self.commands = bench.collect(Float64MultiArray, "/arm/commands")

    def publish(self) -> None:
        now = self.bench.node.get_clock().now().to_msg()
        joints = JointState(name=list(JOINTS), position=self.joints.tolist())
        rows, columns = self.pixels.shape[:2]
        image = Image(height=rows, width=columns, encoding=self.encoding, step=3 * columns)
        image.data = array("B", self.pixels.tobytes())
        joints.header.stamp = image.header.stamp = now
        for message in (joints, image, Float64MultiArray(data=self.forces.tolist())):
            self.publishers[type(message)].publish(message)

    def commands_now(self, wanted: np.ndarray) -> bool:
        """Whether the newest command is this one."""
        return np.allclose(self.commands[-1].data, wanted, 1e-4, 1e-5)

    def run_until(self, condition: Callable[[], Any], what: str) -> None:
        """Publish until a condition holds."""

        def published() -> Any:
            self.publish()
            return condition()

        self.bench.wait(published, what)


def test_a_node_runs_a_policy_that_sees(tmp_path: Path, bench: Bench) -> None:
    """What it commands is what numpy makes of joints, pixels and forces; an image of another size is refused."""
    written = write_linear(tmp_path / "p.onnx", rate_hz=50.0)
    robot_file = tmp_path / "robot.yaml"
    robot_file.write_text(yaml.safe_dump(array_document(max_age_s=1.0)))
    cell = Cell(bench)
    diagnostics: list[Any] = bench.collect(DiagnosticArray, "/diagnostics")
    parameters = {"policy_path": str(written.path), "robot_file": str(robot_file)}
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    node = started(bench.add(PolicyNode("policy", parameter_overrides=overrides)))
    cell.run_until(lambda: cell.commands, "commands")
    for encoding, pixels in (("rgb8", cell.pixels), ("bgr8", cell.pixels[..., ::-1])):
        cell.encoding = encoding
        seen: dict[str, np.ndarray] = {
            "observation": cell.joints[None],
            CAMERA.name: pixels[None],
            FORCES.name: cell.forces[None],
        }
        wanted = written.action(**seen)
        cell.run_until(partial(cell.commands_now, wanted), encoding)
        assert_allclose(cell.commands[-1].data, wanted, rtol=1e-4, atol=1e-5)
    assert node.session is not None
    assert node.session.loop.counters.refused_messages == 0
    cell.pixels = cell.pixels[:3]
    why = "camera: an image is 3 high and 6 wide; the robot file says 4 and 6"
    cell.run_until(lambda: any(why in message.status[0].message for message in diagnostics), "the diagnosis")
