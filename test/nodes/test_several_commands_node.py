"""Several commands in one tick over DDS: an arm, a gripper and a base, each on its own topic."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from command_rig import TOLERANCE, command_document, command_policy, wanted
from ros_helpers import Bench

pytest.importorskip("rclpy")

from geometry_msgs.msg import TwistStamped
from node_rig import FAST_HZ, Sensor, diagnose, started
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from vdd_ros.nodes.policy_node import PolicyNode

BLOCKS = {
    "arm": ("trajectory_msgs/msg/JointTrajectory", ["shoulder", "elbow"], ["rad", "rad"], "hold"),
    "gripper": ("std_msgs/msg/Float64MultiArray", ["finger"], ["rad"], "hold"),
    "base": ("geometry_msgs/msg/TwistStamped", ["twist.linear.x", "twist.angular.z"], ["m/s", "rad/s"], "zero"),
}
KINDS = {"arm": JointTrajectory, "gripper": Float64MultiArray, "base": TwistStamped}


def document() -> dict[str, Any]:
    """Return a robot file with all blocks; their numbers are a0, a1, … in order."""
    commands, count = {}, 0
    for name, (kind, names, units, on_loss) in BLOCKS.items():
        made = command_document(kind, names, units, on_loss=on_loss, topic=f"{name}/commands")
        for entry in made["command"]["entries"]:
            entry["action"] = f"a{count}"
            count += 1
        commands[name] = made["command"]
    return {"inputs": made["inputs"], "commands": commands}


@pytest.fixture
def node(bench: Bench, tmp_path: Path) -> PolicyNode:
    """A policy node that commands all three."""
    robot = tmp_path / "robot.yaml"
    robot.write_text(yaml.safe_dump(document(), sort_keys=False))
    policy = command_policy(tmp_path / "policy.onnx", [unit for _, _, units, _ in BLOCKS.values() for unit in units])
    given = {"policy_path": str(policy), "robot_file": str(robot), "rate_hz": FAST_HZ}
    made: PolicyNode = bench.add(
        PolicyNode("policy", parameter_overrides=[Parameter(key, value=value) for key, value in given.items()])
    )
    return made


def test_three_topics_are_commanded_at_once_and_left_each_in_its_way(bench: Bench, node: PolicyNode) -> None:
    found = {name: bench.collect(kind, f"/{name}/commands") for name, kind in KINDS.items()}
    publisher, sensor = bench.node.create_publisher(JointState, "joint_states", 10), Sensor()
    started(node)
    for name in KINDS:
        bench.wait_for_match(f"/{name}/commands", publishers=1, subscriptions=1)

    def seen() -> bool:
        message = JointState(name=["base_joint"], position=[sensor.measure(0.1)])
        message.header.stamp = bench.node.get_clock().now().to_msg()
        publisher.publish(message)
        return all(len(each) >= 3 for each in found.values())

    bench.wait(seen, "commands")
    first = {name: each[0] for name, each in found.items()}
    assert first["arm"].joint_names == ["shoulder", "elbow"]
    assert list(first["arm"].points[0].positions) == pytest.approx(wanted(5)[:2], abs=TOLERANCE)
    assert list(first["gripper"].data) == pytest.approx(wanted(5)[2:3], abs=TOLERANCE)
    twist = first["base"].twist
    assert [twist.linear.x, twist.angular.z] == pytest.approx(wanted(5)[3:], abs=TOLERANCE)
    values = {each.key: each.value for each in diagnose(node, bench).values}
    assert values["listeners"] == "1"
    assert {f"limited_range.{name}" for name in ("arm.elbow", "gripper.finger", "base.twist.linear.x")} < values.keys()

    node.trigger_deactivate()
    bench.wait(lambda: found["base"][-1].twist.linear.x == 0.0, "zeros for the base")
    assert list(found["gripper"][-1].data) == pytest.approx(wanted(5)[2:3], abs=TOLERANCE)
    assert list(found["arm"][-1].points[0].positions) == pytest.approx(wanted(5)[:2], abs=TOLERANCE)


def test_who_does_not_listen_is_named(bench: Bench, node: PolicyNode) -> None:
    """The warning names the topics without a listener, not those that have one."""
    bench.collect(KINDS["arm"], "/arm/commands")
    started(node)
    bench.wait_for_match("/arm/commands", publishers=1, subscriptions=1)
    assert "nobody subscribes to /gripper/commands and /base/commands" in diagnose(node, bench).message
