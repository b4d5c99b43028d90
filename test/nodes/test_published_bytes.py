"""Every published message has its exact length, as rosbags requires, which reads our bags."""

import itertools
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import TransitionEvent
from node_rig import AVOIDING, MakeNode, started
from policy_files import diffusion_spec
from rcl_interfaces.msg import ParameterEvent
from rclpy.serialization import deserialize_message
from ros_helpers import Bench, node_process
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, Int64, String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from vdd_ros.control.decision import DecisionRecord
from vdd_ros.control.timing import LatencyRecord
from vdd_ros.features import Feature
from vdd_ros.nodes.policy.publishers import PublishedOutputs
from vdd_ros.nodes.ros.messages import LATCHED, RECORDS, RELIABLE, message_class
from vdd_ros.nodes.ros.preserialized import serialized_exactly
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.messages import command_types, find_message
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import SPEED, units_of
from vdd_ros.robot.robot_file import RobotFile

STORE = get_typestore(Stores.ROS2_JAZZY)
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
SIZES = (1, 2, 3, 6, 7, 16)
POINTS = (1, 2, 3, 16)


def read(content: bytes, type_name: str) -> Any:
    """Read a message as rosbags does; it may end with the zeros that DDS puts behind it, up to a multiple of four."""
    message = STORE.deserialize_cdr(content, type_name)
    length = len(STORE.serialize_cdr(message, type_name))
    assert len(content) in (length, length + -length % 4)
    assert not any(content[length:])
    return message


def read_own(content: bytes, type_name: str) -> Any:
    """Read what we serialised: not a byte differs from what rosbags writes, the gaps of the alignment included."""
    message = read(content, type_name)
    assert len(content) == len(STORE.serialize_cdr(message, type_name))
    assert content[4:] == bytes(STORE.serialize_cdr(message, type_name)[4:])
    return message


def robot(kind: str, size: int, unit: str) -> RobotFile:
    """Return a robot file with this many numbers in its command."""
    message = find_message(kind)
    names = message.field_names[:size] or [f"joint_{'x' * number}" for number in range(size)]
    on_loss = "zero" if unit.endswith("/s") else "hold"
    entries = [
        {"name": name, "action": f"a{index}", "unit": unit, "low": -9.0, "high": 9.0, "max_step": 1.0}
        for index, name in enumerate(names)
    ]
    if message.fields:
        for entry in entries:
            entry["unit"] = units_of(message.quantities(str(entry["name"])))[0]
    state = {"topic": "state", "type": "std_msgs/msg/Float64", "max_age_s": 1.0}
    inputs = {"state": state | {"entries": {"o": {"field": "data", "unit": "1"}}}}
    command = {"topic": "command", "type": kind, "on_loss": on_loss, "entries": entries}
    return RobotFile.from_dict({"inputs": inputs, "command": command})


class Sent:
    """Outputs of a policy node that keep their bytes."""

    def __init__(self, bench: Bench, file: RobotFile, monkeypatch: pytest.MonkeyPatch) -> None:
        action = [Feature(entry.action, entry.unit) for entry in file.command_entries if entry.action]
        channel = CommandChannel(file.commands, [Feature("o", "1")], action)
        self.outputs = PublishedOutputs(bench.node, channel, 0.005, control=True, inputs=("o",))  # type: ignore[arg-type]
        self.bytes: list[bytes] = []
        for publisher in self.outputs._publishers:
            monkeypatch.setattr(publisher, "publish", self.bytes.append)


def fits(message: Message, size: int) -> bool:
    """Whether a command can have this many numbers."""
    fields = len(message.field_names)
    return not fields or (size == fields if message.complete else size <= fields)


COMMANDED = [
    (kind, size, unit)
    for kind, unit in (
        ("std_msgs/msg/Float64MultiArray", "rad"),
        (TRAJECTORY, "rad"),
        (TRAJECTORY, "rad/s"),
        ("geometry_msgs/msg/Twist", "m/s"),
        ("geometry_msgs/msg/TwistStamped", "m/s"),
        ("geometry_msgs/msg/PoseStamped", "m"),
        ("sensor_msgs/msg/JointState", "rad"),
        ("sensor_msgs/msg/JointState", "rad/s"),
        ("sensor_msgs/msg/JointState", "Nm"),
    )
    for size in SIZES
    if fits(find_message(kind), size)
]


def test_every_type_of_command_is_tried() -> None:
    assert {kind for kind, _, _ in COMMANDED} == set(command_types())


@pytest.mark.parametrize(("kind", "size", "unit"), COMMANDED)
def test_a_command_has_no_bytes_that_are_not_its_own(
    kind: str, size: int, unit: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each type, size and, where it has points, their number; all numbers arrive, and those who read them agree."""
    sent = Sent(bench, robot(kind, size, unit), monkeypatch)
    values = np.arange(1.0, size + 1)
    sent.outputs.command(values, (0,))
    counts = POINTS if find_message(kind).has_points else ()
    for points in counts:
        sent.outputs.trajectory(values + np.arange(points)[:, None], (0,))
    sent.outputs.destroy()
    assert len(sent.bytes) == 1 + len(counts)
    for content in sent.bytes:
        read_own(content, kind)
        again = serialized_exactly(deserialize_message(content, message_class(kind)))
        assert again == content
    if kind == TRAJECTORY:
        last = read(sent.bytes[-1], kind)
        full, empty = ("velocities", "positions") if unit.endswith("/s") else ("positions", "velocities")
        assert [getattr(point, full).tolist() for point in last.points] == [
            (values + point).tolist() for point in range(16)
        ]
        assert not any(len(getattr(point, empty)) for point in last.points)


@pytest.mark.parametrize("kind", [kind for kind in command_types() if find_message(kind).has_header])
@pytest.mark.parametrize("frame", ["", "b", "base", "base_link"])
def test_a_stamped_command_has_the_time_and_its_frame(
    kind: str, frame: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stamp of zero means "now" in a trajectory alone; in any other message it means 1970."""
    message = find_message(kind)
    size = len(message.field_names) if message.complete else 2
    unit = "m/s" if message.quantities("twist.linear.x") == (SPEED,) else "rad"
    file = robot(kind, size, unit)
    file = replace(file, commands=(replace(file.commands[0], frame_id=frame),))
    sent = Sent(bench, file, monkeypatch)
    before = bench.node.get_clock().now().nanoseconds
    sent.outputs.command(np.ones(size), (0,))
    sent.outputs.destroy()
    header = read(sent.bytes[0], kind).header
    stamp = header.stamp.sec * 1_000_000_000 + header.stamp.nanosec
    assert header.frame_id == frame
    if message.stamped:
        assert before <= stamp <= bench.node.get_clock().now().nanoseconds
    else:
        assert (kind, stamp) == (TRAJECTORY, 0)


def test_points_of_a_type_whose_zero_stamp_is_not_now_are_stamped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a type that another package adds may be."""
    file = robot(TRAJECTORY, 2, "rad")
    message = replace(file.commands[0].message, keeps_zero_stamp=False)
    sent = Sent(bench, replace(file, commands=(replace(file.commands[0], message=message),)), monkeypatch)
    before = bench.node.get_clock().now().nanoseconds
    sent.outputs.trajectory(np.ones((3, 2)), (0,))
    sent.outputs.command(np.ones(2), (0,))
    sent.outputs.destroy()
    for content in sent.bytes:
        stamp = read(content, TRAJECTORY).header.stamp
        assert before <= stamp.sec * 1_000_000_000 + stamp.nanosec <= bench.node.get_clock().now().nanoseconds


def test_no_tick_makes_a_trajectory_ready(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(bench, robot(TRAJECTORY, 2, "rad"), monkeypatch)
    sent.outputs.expect_trajectories(5)
    monkeypatch.setattr(sent.outputs._commands[0], "_ready_trajectory", None)
    for points in range(1, 6):
        sent.outputs.trajectory(np.ones((points, 2)), (0,))
        assert len(read(sent.bytes[-1], TRAJECTORY).points) == points
    sent.outputs.destroy()


def test_records_have_no_bytes_that_are_not_their_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(bench, robot(TRAJECTORY, 2, "rad"), monkeypatch)
    decision = DecisionRecord(diffusion_spec(history=2, goal_length=1))
    sent.outputs.expect_decisions(decision.labels, experts=False)
    sent.outputs.latency(LatencyRecord(("o",)))
    sent.outputs.decision(decision)
    sent.outputs.destroy()
    for content in sent.bytes:
        read_own(content, "sensor_msgs/msg/JointState")


@pytest.mark.parametrize(("joints", "points"), list(itertools.product((0, 1, 2, 7), (0, 1, 5))))
def test_the_exact_length_is_that_of_another_implementation(joints: int, points: int) -> None:
    """Of messages with empty lists, for which Fast DDS's estimate is too long."""
    names = [f"j{'o' * number}int" for number in range(joints)]
    trajectory = JointTrajectory(joint_names=names)
    trajectory.points = [JointTrajectoryPoint(positions=[1.0] * joints) for _ in range(points)]
    read_own(serialized_exactly(trajectory), TRAJECTORY)
    read_own(serialized_exactly(JointState(name=names, velocity=[0.5] * joints)), "sensor_msgs/msg/JointState")
    read_own(serialized_exactly(JointState(name=names)), "sensor_msgs/msg/JointState")


WATCHED: dict[str, tuple[Any, Any]] = {
    "/avoiding_controller/commands": (Float64MultiArray, RELIABLE),
    "/desired_pose": (PoseStamped, RELIABLE),
    "/tcp_pose": (PoseStamped, RELIABLE),
    "/episode": (Int64, LATCHED),
    "/sim_robot/result": (String, LATCHED),
    "/policy/latency": (JointState, RECORDS),
    "/policy/decision": (JointState, RECORDS),
    "/policy/expert": (Int64, RECORDS),
    "/policy/policy_info": (String, LATCHED),
    "/policy/transition_event": (TransitionEvent, RELIABLE),
    "/diagnostics": (DiagnosticArray, RELIABLE),
    "/parameter_events": (ParameterEvent, RELIABLE),
}


def test_all_that_nodes_publish_can_be_read(make_node: MakeNode, bench: Bench, tmp_path: Path) -> None:
    """Over DDS: the bytes that a recorder gets, of policy node and simulated robot, for one episode."""
    found: dict[str, list[bytes]] = defaultdict(list)
    for topic, (kind, qos) in WATCHED.items():
        bench.node.create_subscription(kind, topic, found[topic].append, qos, raw=True)
    started(make_node())
    parameters = {"robot_file": AVOIDING, "episodes": 1, "speed": 5.0}
    with node_process("vdd_ros.nodes.sim_robot_node", tmp_path / "log", **parameters) as robot:
        bench.wait(lambda: found["/sim_robot/result"] and found["/diagnostics"], f"a result; {robot.output}")
    for topic, (kind, _) in WATCHED.items():
        assert found[topic], topic
        for content in found[topic]:
            read(content, f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}")


def test_serialised_messages_equal_those_of_rclpy(bench: Bench) -> None:
    """Of the same message, on the wire."""
    qos, raw = RELIABLE, list[bytes]()
    bench.node.create_subscription(JointTrajectory, "both", raw.append, qos, raw=True)
    publisher = bench.node.create_publisher(JointTrajectory, "both", qos)
    bench.wait_for_match("/both", publishers=1, subscriptions=1)
    message = JointTrajectory(joint_names=["a"], points=[JointTrajectoryPoint(positions=[1.0])])
    publisher.publish(message)
    publisher.publish(serialized_exactly(message))
    bench.wait(lambda: len(raw) == 2, "both")
    assert len(raw[0]) == len(raw[1])
    assert repr(read(raw[0], TRAJECTORY)) == repr(read(raw[1], TRAJECTORY))
