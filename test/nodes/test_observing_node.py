"""What an input observes, over DDS: the last command, and topics by the quality of service of their publishers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from array_policies import LinearPolicy, write_linear
from ros_helpers import Bench

pytest.importorskip("rclpy")

from node_rig import FAST_HZ, Sensor, diagnose, started
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from vdd_ros.features import Feature
from vdd_ros.nodes.policy_node import PolicyNode
from vdd_ros.nodes.ros.messages import RELIABLE, SENSOR_DATA, matching_profile

NAMES = ("shoulder_target", "elbow_target")
JOINTS = ("shoulder", "elbow")
STATES = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


def document(qos: str = "sensor_data") -> dict[str, Any]:
    """Return the robot file of an arm whose policy observes its own last command."""
    readings = {joint: {"joint": joint, "interface": "position", "unit": "rad"} for joint in JOINTS}
    arm = {"topic": "joint_states", "type": "sensor_msgs/msg/JointState", "max_age_s": 5.0, "qos": qos}
    entries = [
        {
            "name": name,
            "measured": joint,
            "unit": "rad",
            "low": -90,
            "high": 90,
            "max_step": ".inf",
            "max_error": ".inf",
        }
        for name, joint in zip(NAMES, JOINTS, strict=True)
    ]
    command = {"topic": "commands", "type": "std_msgs/msg/Float64MultiArray", "on_loss": "hold", "entries": entries}
    return {
        "inputs": {"arm": arm | {"entries": readings}, "last": {"command": "command", "entries": "all"}},
        "command": command,
    }


def arm_of(bench: Bench, folder: Path, qos: str = "sensor_data") -> tuple[PolicyNode, LinearPolicy]:
    """Return a node that runs a policy of joints and last commands, and the policy."""
    observation = tuple(Feature(name, "rad") for name in (*JOINTS, *(f"{name}_commanded" for name in NAMES)))
    policy = write_linear(folder / "policy.onnx", observation)
    robot = folder / "robot.yaml"
    robot.write_text(yaml.safe_dump(document(qos), sort_keys=False))
    given = {"policy_path": str(policy.path), "robot_file": str(robot), "rate_hz": FAST_HZ, "first_action": "free"}
    parameters = [Parameter(key, value=value) for key, value in given.items()]
    return bench.add(PolicyNode("policy", parameter_overrides=parameters)), policy


def test_a_node_observes_what_it_commanded(bench: Bench, tmp_path: Path) -> None:
    """Each command follows from an earlier one, the first from the measured values; none else listens."""
    node, policy = arm_of(bench, tmp_path)
    publisher = bench.node.create_publisher(JointState, "joint_states", STATES)
    started(node)
    bench.wait_for_match("/joint_states", publishers=1, subscriptions=1)
    assert "nobody subscribes to /commands" in diagnose(node, bench).message
    sent = bench.collect(Float64MultiArray, "/commands")
    sensor, places = Sensor(), []

    def moved() -> bool:
        places.append((sensor.measure(0.5), sensor.measure(-0.25)))
        message = JointState(name=list(JOINTS), position=list(places[-1]))
        message.header.stamp = bench.node.get_clock().now().to_msg()
        publisher.publish(message)
        return len({tuple(message.data) for message in sent}) >= 5

    bench.wait(moved, "commands")
    commands = [np.array(message.data) for message in sent]
    place = np.array(places[0])
    expected = [policy.action(observation=np.array([[*place, *before]], np.float32)) for before in (place, *commands)]
    for number, command in enumerate(commands):
        near = [np.abs(command - one).max() for one in expected[: number + 1]]
        assert min(near) < 1e-3, number


@pytest.mark.parametrize("reliability", [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT])
def test_a_subscription_matches_its_publishers(bench: Bench, tmp_path: Path, reliability: ReliabilityPolicy) -> None:
    bench.node.create_publisher(JointState, "joint_states", QoSProfile(depth=10, reliability=reliability))
    bench.wait_for_match("/joint_states", publishers=1)
    node, _ = arm_of(bench, tmp_path, "match")
    bench.wait(lambda: node.get_publishers_info_by_topic("/joint_states"), "the publisher at the node")
    node.trigger_configure()
    bench.wait(lambda: node.get_subscriptions_info_by_topic("/joint_states"), "the subscription")
    found = node.get_subscriptions_info_by_topic("/joint_states")[0].qos_profile
    assert found.reliability == reliability


def test_the_profile_fits_all_publishers() -> None:
    assert matching_profile([]) is SENSOR_DATA
    assert matching_profile([STATES, STATES]) is RELIABLE
    assert matching_profile([STATES, SENSOR_DATA]) is SENSOR_DATA
