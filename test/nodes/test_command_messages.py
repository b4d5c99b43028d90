"""Commands of each message type over DDS, and one that another package adds with one file."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command_rig import TOLERANCE, TOPIC, command_document, command_policy, wanted
from plugins import install
from ros_helpers import Bench

pytest.importorskip("rclpy")

from geometry_msgs.msg import PoseStamped
from node_rig import FAST_HZ, Sensor, started
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Float32MultiArray

from vdd_ros.benchmark.realtime.sample_command import sample_command
from vdd_ros.errors import RobotFileError
from vdd_ros.nodes.policy_node import PolicyNode
from vdd_ros.robot.channels import stamp_ns
from vdd_ros.robot.messages import MESSAGES, command_types, find_message
from vdd_ros.robot.quantities import DIMENSIONLESS, units_of
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.testing.messages import check_message

JOINT_STATE = "sensor_msgs/msg/JointState"
POSE = "geometry_msgs/msg/PoseStamped"
JOINTS = ["shoulder", "elbow", "wrist"]
PARTS = find_message(POSE).field_names
PART_UNITS = ["m"] * 3 + ["1"] * 4

Commanded = Callable[[dict[str, Any], Any], Any]


@pytest.fixture
def make_node(bench: Bench, tmp_path: Path) -> Callable[[dict[str, Any]], PolicyNode]:
    """Make a policy node for a robot file."""

    def make(document: dict[str, Any]) -> PolicyNode:
        units = [entry["unit"] for entry in document["command"]["entries"]]
        policy = command_policy(tmp_path / "policy.onnx", units)
        robot = tmp_path / "robot.yaml"
        robot.write_text(yaml.safe_dump(document))
        given = {"policy_path": str(policy), "robot_file": str(robot), "rate_hz": FAST_HZ}
        node: PolicyNode = bench.add(
            PolicyNode("policy", parameter_overrides=[Parameter(key, value=value) for key, value in given.items()])
        )
        return node

    return make


@pytest.fixture
def commanded(bench: Bench, make_node: Callable[[dict[str, Any]], PolicyNode]) -> Commanded:
    """Return a command that a node sends to the robot of a robot file."""

    def command(document: dict[str, Any], kind: Any) -> Any:
        found = bench.collect(kind, f"/{TOPIC}")
        publisher = bench.node.create_publisher(JointState, "joint_states", 10)
        sensor = Sensor()
        started(make_node(document))

        def seen() -> bool:
            message = JointState(name=["base_joint"], position=[sensor.measure(0.1)])
            message.header.stamp = bench.node.get_clock().now().to_msg()
            publisher.publish(message)
            return bool(found)

        bench.wait(seen, "a command")
        return found[0]

    return command


def test_a_joint_state_is_commanded_and_stamped(bench: Bench, commanded: Commanded) -> None:
    before = bench.node.get_clock().now().nanoseconds
    message = commanded(command_document(JOINT_STATE, JOINTS, ["rad"] * 3), JointState)
    assert message.name == JOINTS
    assert list(message.position) == pytest.approx(wanted(3), abs=TOLERANCE)
    assert not (len(message.velocity) or len(message.effort))
    assert before < (stamp_ns(message) or 0) <= bench.node.get_clock().now().nanoseconds


def test_a_pose_is_commanded_and_stamped_in_its_frame(bench: Bench, commanded: Commanded) -> None:
    before = bench.node.get_clock().now().nanoseconds
    message = commanded(command_document(POSE, PARTS, PART_UNITS, frame_id="base"), PoseStamped)
    place, turn = message.pose.position, message.pose.orientation
    assert [place.x, place.y, place.z, turn.x, turn.y, turn.z, turn.w] == pytest.approx(wanted(7), abs=TOLERANCE)
    assert message.header.frame_id == "base"
    assert before < (stamp_ns(message) or 0) <= bench.node.get_clock().now().nanoseconds


ARRAY = '''"""A command of float32 numbers."""

from dataclasses import dataclass

from vdd_ros.robot.layouts import ArrayLayout
from vdd_ros.robot.messages.message import Message


@dataclass(frozen=True, kw_only=True)
class Float32MultiArray(Message):
    def command_layout(self, names, units):
        return ArrayLayout(len(names), code="f")


MESSAGE = Float32MultiArray(type="std_msgs/msg/Float32MultiArray", named_by="label", commands=True)
'''
NUMBER = """from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import SPEED

MESSAGE = Message(type="{}", fields={{"data": SPEED}}, commands=True)
"""


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Install a package that adds a message type with one file."""

    def install_it(kind: str, module: str) -> None:
        site = tmp_path / "site"
        site.mkdir()
        install(site, "added_message", "vdd_ros.messages", {kind: "added_message:MESSAGE"}, module)
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, "added_message", raising=False)
        MESSAGES.names()  # entry points are looked for once
        monkeypatch.delattr(MESSAGES, "_others")
        monkeypatch.setattr(MESSAGES, "_loaded", {})

    return install_it


def test_a_package_adds_a_command_with_one_file(commanded: Commanded, add: Callable[[str, str], None]) -> None:
    """Its numbers are float32, which go out as such."""
    kind = "std_msgs/msg/Float32MultiArray"
    document = command_document(kind, ["left", "right"], ["rad/s"] * 2, on_loss="zero")
    with pytest.raises(RobotFileError, match=f"is '{kind}'; allowed are geometry_msgs/msg/PoseStamped, "):
        RobotFile.from_dict(document)
    add(kind, ARRAY)
    assert "added_message" not in sys.modules
    check_message(find_message(kind))
    message = commanded(document, Float32MultiArray)
    assert list(message.data) == pytest.approx(wanted(2), abs=TOLERANCE)


@pytest.mark.parametrize(
    ("kind", "limits", "problem"),
    [
        ("std_msgs/msg/Int8", (-200.0, 5.0), "data in a std_msgs/msg/Int8 is int8; give whole"),
        ("std_msgs/msg/Int8", (-0.5, 5.0), "whole numbers from -128 to 127"),
        ("std_msgs/msg/Float32", (-1e39, 5.0), "is float32; give limits from -3.40282e"),
    ],
)
def test_limits_that_the_message_cannot_hold_are_refused(
    kind: str, limits: tuple[float, float], problem: str, add: Any, make_node: Any
) -> None:
    add(kind, NUMBER.format(kind))
    document = command_document(kind, ["data"], ["m/s"], on_loss="zero")
    document["command"]["entries"][0] |= {"low": limits[0], "high": limits[1]}
    node = make_node(document)
    node.trigger_configure()
    assert node.state == "unconfigured"
    assert problem in str(node.failure)


@pytest.mark.parametrize("kind", command_types())
def test_the_benchmark_publishes_what_the_robot_file_says(kind: str) -> None:
    message = find_message(kind)
    names = message.field_names or JOINTS
    units = [units_of(message.quantities(name) or [DIMENSIONLESS])[0] for name in names]
    document = command_document(kind, names, units, on_loss="call", loss_service="stop")
    for entry in document["command"]["entries"]:
        entry["low"] = 0.5
    command = RobotFile.from_dict(document).commands[0]
    sample = sample_command(command)
    assert sample.__class__.__name__ == kind.rpartition("/")[2]
    found = np.zeros(len(names))
    command.layout.read(sample, found)
    assert found.tolist() == [0.5] * len(names)
    assert bool(stamp_ns(sample)) == message.stamped
