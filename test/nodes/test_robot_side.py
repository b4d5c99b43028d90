"""The robot's information during configuration, over DDS: its controllers' joints, its description."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_rig import command_document, command_policy
from ros_helpers import Bench

pytest.importorskip("rclpy")

import rclpy
from node_rig import FAST_HZ
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_msgs.msg import String

from vdd_ros.nodes.policy_node import PolicyNode
from vdd_ros.nodes.ros.messages import LATCHED

ARRAY, TRAJECTORY = "std_msgs/msg/Float64MultiArray", "trajectory_msgs/msg/JointTrajectory"
JOINTS = ["shoulder", "elbow"]
ARM = """<robot name="arm">
  <joint name="shoulder" type="revolute"><limit lower="-0.5" upper="0.5" velocity="1" effort="1"/></joint>
  <joint name="elbow" type="revolute"><limit lower="-0.25" upper="0.5" velocity="2" effort="1"/></joint>
</robot>"""

Configured = Callable[..., PolicyNode]


@pytest.fixture
def configured(bench: Bench, tmp_path: Path) -> Configured:
    """Make a node for a robot file of two joints, and configure it."""

    def configure(kind: str, *, limits: bool = False, **more: Any) -> PolicyNode:
        controller = {} if limits else {"controller": "/arm_controller"}
        document = command_document(kind, JOINTS, ["rad", "rad"], **controller)
        if limits:
            for entry in document["command"]["entries"]:
                for key in ("low", "high", "max_step"):
                    del entry[key]
                entry["limits"] = "urdf"
        robot = tmp_path / "robot.yaml"
        robot.write_text(yaml.safe_dump(document))
        policy = command_policy(tmp_path / "policy.onnx", ["rad", "rad"])
        given = {"policy_path": str(policy), "robot_file": str(robot), "rate_hz": FAST_HZ} | more
        node: PolicyNode = bench.add(
            PolicyNode("policy", parameter_overrides=[Parameter(key, value=value) for key, value in given.items()])
        )
        node.trigger_configure()
        return node

    return configure


@pytest.fixture
def other() -> Iterator[Callable[[str], Any]]:
    """Make nodes of other processes, which another thread spins: a node that is configured spins nothing."""
    executor, nodes = SingleThreadedExecutor(), []
    thread = threading.Thread(target=executor.spin, daemon=True)

    def make(name: str, **parameters: Any) -> Any:
        node = rclpy.create_node(
            name,
            automatically_declare_parameters_from_overrides=True,
            parameter_overrides=[Parameter(key, value=value) for key, value in parameters.items()],
        )
        nodes.append(node)
        executor.add_node(node)
        if not thread.is_alive():
            thread.start()
        return node

    yield make
    executor.shutdown()
    thread.join(10.0)
    for node in nodes:
        node.destroy_node()


def test_a_controller_of_the_same_joints_is_taken(configured: Configured, other: Any) -> None:
    other("arm_controller", joints=JOINTS, interface_name="position")
    node = configured(ARRAY, robot_timeout_s=60.0)
    assert node.state == "inactive", node.failure


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"joints": JOINTS[::-1]}, "the joints elbow, shoulder, in a different order from"),
        ({"joints": JOINTS, "interface_name": "effort"}, "it takes effort commands, but shoulder is angle (rad)"),
        ({"update_rate": 100}, "it has no parameter `joints`"),
    ],
)
def test_a_controller_that_would_misunderstand_is_refused(
    configured: Configured, other: Any, parameters: dict[str, Any], problem: str
) -> None:
    other("arm_controller", **parameters)
    node = configured(ARRAY, robot_timeout_s=60.0)
    assert node.state == "unconfigured"
    assert problem in str(node.failure)


def test_a_controller_that_is_not_there_is_refused_unless_a_warning_suffices(configured: Configured) -> None:
    node = configured(TRAJECTORY, robot_timeout_s=0.1)
    assert node.state == "unconfigured"
    assert "command.controller: /arm_controller did not report its parameters within 0.1 s" in str(node.failure)
    node.set_parameters([Parameter("unreachable_controller", value="warn")])
    node.trigger_configure()
    assert node.state == "inactive", node.failure


def test_a_shadow_asks_no_controller(configured: Configured) -> None:
    assert configured(TRAJECTORY, robot_timeout_s=0.1, enable_control=False).state == "inactive"


def test_the_published_description_gives_the_limits(configured: Configured, other: Any) -> None:
    publisher = other("robot_state_publisher").create_publisher(String, "robot_description", LATCHED)
    publisher.publish(String(data=ARM))
    node = configured(ARRAY, limits=True, robot_timeout_s=60.0)
    assert node.session is not None, node.failure
    channel = node.session.loop.commander.channel
    assert channel.low.tolist() == [-0.5, -0.25]
    assert channel.max_step.tolist() == pytest.approx([1 / FAST_HZ, 2 / FAST_HZ])


def test_without_a_description_the_node_does_not_configure(configured: Configured) -> None:
    node = configured(ARRAY, limits=True, robot_timeout_s=0.1)
    assert node.state == "unconfigured"
    assert "nothing came on /robot_description within 0.1 s; start robot_state_publisher" in str(node.failure)
