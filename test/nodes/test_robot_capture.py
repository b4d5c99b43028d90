"""`vdd robot check --live` against publishers in this process, over DDS."""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from geometry_msgs.msg import PoseStamped
from recorded_arm import Sent, write_recording
from robot_bags import JOINTS, ROBOT, joint_positions
from ros_helpers import Bench
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from vdd_ros.cli.main import main
from vdd_ros.errors import ConfigurationError, RobotFileError
from vdd_ros.evaluation.robot_check.bag import check_bag
from vdd_ros.evaluation.robot_check.live import check_live
from vdd_ros.nodes.robot_capture import Captured, capture
from vdd_ros.nodes.ros.messages import SENSOR_DATA
from vdd_ros.robot.robot_file import RobotFile


class Arm:
    """Publishes joint states and poses in a thread until it is closed."""

    def __init__(self, node: Any, *, poses: bool = True, qos: Any = 10) -> None:
        self._node = node
        self._joints = node.create_publisher(JointState, "/joint_states", qos)
        self._poses = node.create_publisher(PoseStamped, "/camera/target_pose", 10) if poses else None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        count = 0
        while not self._stopped.wait(0.02):
            stamp = self._node.get_clock().now().to_msg()
            positions = joint_positions(np.array([count / 50]))[0].tolist()
            state = JointState(name=list(JOINTS), position=positions)
            state.header.stamp = stamp
            self._joints.publish(state)
            if self._poses is not None:
                pose = PoseStamped()
                pose.header.stamp = stamp
                pose.pose.position.x = 0.4
                self._poses.publish(pose)
            count += 1

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()


def captured_with(robot: RobotFile, topics: set[str], *, namespace: str = "/") -> Captured:
    """Listen, in ever longer tries, until messages of all topics came."""
    for seconds in (1.0, 3.0, 10.0, 30.0, 90.0):
        found = capture(robot, seconds, namespace)
        if topics <= {message.topic for message in found.received}:
            return found
    raise AssertionError(f"no messages of {topics - {message.topic for message in found.received}}")


def test_a_running_robot_is_read_and_a_bag_of_it_as_well(bench: Bench, tmp_path: Path) -> None:
    robot = RobotFile.from_dict(robot_document())
    bench.node.create_subscription(Float64MultiArray, "/controller/commands", lambda _: None, 10)
    arm = Arm(bench.node)
    try:
        found = captured_with(robot, {"/joint_states", "/camera/target_pose"})
    finally:
        arm.close()
    report = check_live(robot, found)
    joints, target = report.inputs
    assert joints.used == joints.messages > 0
    assert target.entries[0].newest == 0.4
    assert [entry.name for entry in joints.entries] == list(JOINTS)
    assert not [one for one in report.findings if one.level == "error" and "max_age_s" not in one.where]
    assert any("bench listens to /controller/commands" in one.text for one in report.findings)
    sent = [Sent(one.received_ns, one.topic, one.form.type, one.content) for one in found.received]
    bag = write_recording(tmp_path / "bag", sent)
    (tmp_path / "arm.yaml").write_text(ROBOT)
    recorded = check_bag(tmp_path / "arm.yaml", bag)
    assert recorded.inputs == report.inputs
    assert (recorded.ticks, recorded.spread_s) == (report.ticks, report.spread_s)


def test_inputs_that_write_a_topic_differently_share_its_messages(bench: Bench) -> None:
    document = robot_document()
    joints = document["inputs"]["joints"]
    elbow = joints["entries"].pop("elbow")
    document["inputs"]["more"] = joints | {"topic": "/joint_states", "entries": {"elbow": elbow}}
    arm = Arm(bench.node)
    try:
        found = captured_with(RobotFile.from_dict(document), {"/joint_states"})
    finally:
        arm.close()
    contents = [one.content for one in found.received if one.topic == "/joint_states"]
    assert len(contents) == len(set(contents))


def test_other_types_and_other_quality_of_service_are_told(bench: Bench) -> None:
    """The joints are published as best effort, which the check hears, but a node with `qos: reliable` does not."""
    document = robot_document()
    document["inputs"]["joints"]["qos"] = "reliable"
    robot = RobotFile.from_dict(document)
    bench.node.create_subscription(JointState, "/controller/commands", lambda _: None, 10)
    bench.node.create_publisher(JointState, "/camera/target_pose", 10)
    arm = Arm(bench.node, poses=False, qos=SENSOR_DATA)
    try:
        found = captured_with(robot, {"/joint_states"})
    finally:
        arm.close()
    errors = [f"{one.where}: {one.text}" for one in check_live(robot, found).findings if one.level == "error"]
    pose = "geometry_msgs/msg/PoseStamped, but /camera/target_pose carries sensor_msgs/msg/JointState"
    assert any(f"inputs.target.type: is {pose}; correct the type, or the topic" in text for text in errors)
    assert any("bench publishes /joint_states, but nothing arrives here: " in text for text in errors)
    assert any("topic /controller/commands is sensor_msgs/msg/JointState, but it must be" in text for text in errors)


def test_the_command_reports_a_silent_robot(tmp_path: Path, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "arm.yaml").write_text(ROBOT)
    arguments = ["robot", "check", str(tmp_path / "arm.yaml"), "--live", "--seconds", "0.2"]
    assert main([*arguments, "--json", str(tmp_path / "r.json")]) == 1
    out = capsys.readouterr().out
    assert "arm.yaml on the running robot" in out
    assert "nobody listens to /controller/commands" in out
    assert "inputs.joints.topic: joint_states is not there, nor is any topic of the type sensor_msgs" in out
    assert json.loads((tmp_path / "r.json").read_text())["source"] == "the running robot"


def test_packages_that_the_node_would_lack_are_told(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything else is checked; a file without transforms does not mention them."""
    for name in ("tf2_msgs", "tf2_msgs.msg", "control_msgs", "control_msgs.action"):
        monkeypatch.setitem(sys.modules, name, None)
    document = robot_document()
    robot = RobotFile.from_dict(document)
    assert not capture(robot, 0.1).not_installed
    document["inputs"]["target"]["frame"] = "base"
    command = document.pop("command")
    position = command["entries"][0] | {"name": "command.position"}
    effort = {"name": "command.max_effort", "fixed": 20.0, "unit": "Nm"}
    gripper = {"topic": "grip", "type": "control_msgs/action/GripperCommand", "on_loss": "hold"}
    command["entries"] = command["entries"][1:]
    document["commands"] = {"arm": command, "gripper": gripper | {"entries": [position, effort]}}
    document.pop("demonstrations", None)
    (tmp_path / "arm.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    assert main(["robot", "check", str(tmp_path / "arm.yaml"), "--live", "--seconds", "0.1"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "inputs.target.frame: the package tf2_msgs is not installed, so there are no transforms" in out
    assert "`apt install ros-$ROS_DISTRO-tf2-msgs`" in out
    assert "commands.gripper.type: the package control_msgs is not installed, so a node cannot command here" in out
    assert "inputs.joints.topic: joint_states is not there" in out


def test_bad_arguments_are_refused() -> None:
    robot = RobotFile.from_dict(robot_document())
    with pytest.raises(ConfigurationError, match="listening time is -1 s"):
        capture(robot, -1.0)
    with pytest.raises(ConfigurationError, match="namespace"):
        capture(robot, 0.1, "not a namespace")
    unknown = robot_document()
    unknown["inputs"]["joints"]["type"] = "no_such_msgs/msg/State"
    with pytest.raises(RobotFileError, match=r"inputs.joints.type: .* not installed"):
        capture(RobotFile.from_dict(unknown), 0.1)


def robot_document() -> Any:
    return yaml.safe_load(ROBOT)
