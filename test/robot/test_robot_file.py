"""The robot file: every field is checked and named in errors; messages are read and written by name."""

import copy
import math
from array import array
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from robot_messages import header, joint_state, pose

from vdd_ros.errors import ObservationError, RobotFileError
from vdd_ros.features import Feature
from vdd_ros.robot.channels import InputChannel, set_stamp, stamp_ns
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.layouts import JointLayout
from vdd_ros.robot.quantities import unit_factor
from vdd_ros.robot.robot_file import RobotFile

AVOIDING = Path(__file__).parents[2] / "config" / "robots" / "avoiding.yaml"
OBSERVATION = [Feature(name, "m") for name in ("desired_x", "desired_y", "tcp_x", "tcp_y")]
ACTION = [Feature(name, "m") for name in ("delta_desired_x", "delta_desired_y")]


@pytest.fixture
def document() -> Any:
    """The Avoiding robot file as a mapping that a test may spoil."""
    return copy.deepcopy(yaml.safe_load(AVOIDING.read_text()))


def joint_robot() -> RobotFile:
    """Return a robot with joints in degrees, whose velocities are commanded."""
    arm = {
        "topic": "joint_states",
        "type": "sensor_msgs/msg/JointState",
        "max_age_s": 0.1,
        "entries": {
            "elbow": {"joint": "elbow_joint", "interface": "position", "unit": "deg"},
            "shoulder": {"joint": "shoulder_joint", "interface": "position", "unit": "deg"},
        },
    }
    limits = {"unit": "mm/s", "low": -100, "high": 100, "max_step": math.inf}
    command = {
        "topic": "servo",
        "type": "geometry_msgs/msg/TwistStamped",
        "on_loss": "zero",
        "frame_id": "base",
        "entries": [{"name": "twist.linear.x", "action": "speed", **limits}],
    }
    return RobotFile.from_dict({"inputs": {"arm": arm}, "command": command})


def test_shipped_file_fits_its_task() -> None:
    """The example gives the entries of Avoiding, in metres, as an absolute set point."""
    robot = RobotFile.load(AVOIDING)
    robot.check(OBSERVATION, ACTION)
    assert [source.topic for source in robot.inputs] == ["desired_pose", "tcp_pose"]
    assert [entry.relative_to for entry in robot.command_entries] == ["desired_x", "desired_y"]
    assert robot.inputs[1].qos == "sensor_data"


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        (("inputs", "tcp", "entries", "tcp_x", "field"), "pose.position..x", "inputs.tcp.entries.tcp_x.field"),
        (("inputs", "tcp", "entries", "tcp_x", "field"), None, "inputs.tcp.entries.tcp_x.field"),
        (("inputs", "tcp", "entries", "tcp_x", "feild"), "x", "inputs.tcp.entries.tcp_x.feild"),
        (("inputs", "tcp", "topic"), "tcp pose", "inputs.tcp.topic"),
        (("inputs", "tcp", "type"), "PoseStamped", "inputs.tcp.type"),
        (("inputs", "tcp", "max_age_s"), 0, "inputs.tcp.max_age_s"),
        (("inputs", "tcp", "max_age_s"), "soon", "inputs.tcp.max_age_s"),
        (("inputs", "tcp", "max_age_s"), math.inf, "inputs.tcp.max_age_s"),
        (("inputs", "tcp", "max_age_s"), 200, "inputs.tcp.max_age_s"),
        (("inputs", "tcp", "qos"), "fast", "inputs.tcp.qos"),
        (("inputs", "tcp", "entries"), {}, "inputs.tcp.entries"),
        (("inputs", "tcp", "entries"), {True: {"field": "x", "unit": "m"}}, "inputs.tcp.entries.True"),
        (("command", "type"), "std_msgs/msg/String", "command.type"),
        (("command", "on_loss"), "zero", "command.on_loss"),
        (("command", "on_loss"), "stop", "command.on_loss"),
        (("command", "entries"), "desired_x", "command.entries"),
        (("command", "entries", 1, "low"), 2.0, "command.entries[1].low"),
        (("command", "entries", 1, "high"), math.nan, "command.entries[1].high"),
        (("command", "entries", 1, "max_step"), -1, "command.entries[1].max_step"),
        (("command", "entries", 1, "relative_to"), "desired_z", "command.entries[1].relative_to"),
        (("command", "entries", 1, "name"), "desired_x", "command.entries"),
        (("commands",), {}, "commands"),
    ],
)
def test_spoilt_field_is_named(document: Any, path: tuple[Any, ...], value: Any, names: str) -> None:
    """Every wrong field is refused with its path."""
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    with pytest.raises(RobotFileError) as error:
        RobotFile.from_dict(document)
    assert str(error.value).startswith(f"{names}: ")


def test_an_age_in_milliseconds_is_answered_in_seconds(document: Any) -> None:
    document["inputs"]["tcp"]["max_age_s"] = 200
    with pytest.raises(RobotFileError, match=r"tcp\.max_age_s: is 200 seconds; .*write max_age_s: 0\.2$"):
        RobotFile.from_dict(document)


def test_unknown_key_suggests_the_known_one(document: Any) -> None:
    """A misspelt key is answered with the right spelling."""
    document["inputs"]["tcp"]["max_age"] = 1.0
    with pytest.raises(RobotFileError, match="did you mean 'max_age_s'"):
        RobotFile.from_dict(document)


def test_missing_key_is_named(document: Any) -> None:
    """A missing key is refused with its path."""
    del document["command"]["entries"][0]["unit"]
    with pytest.raises(RobotFileError, match=r"command.entries\[0\].unit: is missing"):
        RobotFile.from_dict(document)


def test_observation_entry_given_twice(document: Any) -> None:
    """Two inputs may not give the same observation entry."""
    document["inputs"]["tcp"]["entries"]["desired_x"] = {"field": "pose.position.x", "unit": "m"}
    with pytest.raises(RobotFileError, match="more than once: desired_x"):
        RobotFile.from_dict(document)


def test_unreadable_files(tmp_path: Path) -> None:
    """A missing file, a file that is not YAML and an empty one are named in the error."""
    with pytest.raises(RobotFileError, match=r"absent\.yaml does not exist"):
        RobotFile.load(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("inputs: [")
    with pytest.raises(RobotFileError, match=r"broken\.yaml is not YAML"):
        RobotFile.load(tmp_path / "broken.yaml")
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(RobotFileError, match=r"empty\.yaml: the document: is empty; it must be a mapping"):
        RobotFile.load(tmp_path / "empty.yaml")


def test_names_are_compared_with_the_policy() -> None:
    """Missing and superfluous names are listed, and a unit that cannot be converted is refused."""
    robot = RobotFile.load(AVOIDING)
    with pytest.raises(RobotFileError, match=r"lacks goal \(m\); has tcp_y \(m\), .*; the observation consists of"):
        robot.check([*OBSERVATION[:3], Feature("goal", "m")], ACTION)
    with pytest.raises(
        RobotFileError, match=r"^robot file .*avoiding\.yaml: command.entries: does not fit the action: lacks grip"
    ):
        robot.check(OBSERVATION, [*ACTION, Feature("grip", "m")])
    with pytest.raises(RobotFileError, match=r"inputs.tcp.entries.tcp_y.unit: 'm' cannot be converted to 'rad'"):
        robot.check([*OBSERVATION[:3], Feature("tcp_y", "rad")], ACTION)


def test_units() -> None:
    """Factors are those of the SI; a quantity never becomes another."""
    assert unit_factor("deg", "rad", "") == pytest.approx(math.pi / 180)
    assert unit_factor("mm", "m", "") == pytest.approx(1e-3)
    assert unit_factor("N", "N", "") == 1.0
    with pytest.raises(RobotFileError):
        unit_factor("N", "kN", "")


def test_fields_round_trip() -> None:
    """What an input writes into a message, it reads back, in its own columns of the observation."""
    channel = InputChannel(RobotFile.load(AVOIDING).inputs[1], OBSERVATION)
    message, out = pose(), np.empty(2)
    channel.check(message)
    channel.write(np.array([1.0, 2.0, 3.0, 4.0]), message)
    channel.read(message, out)
    assert channel.columns.tolist() == [2, 3]
    assert out.tolist() == [3.0, 4.0]
    assert message.pose.position.y == 4.0


def test_message_class_without_the_field(document: Any) -> None:
    """A dot-path that the message type does not have, or that is not a number, is refused with its path."""
    entries = document["inputs"]["tcp"]["entries"]
    entries["tcp_y"]["field"] = "pose.position.z"
    with pytest.raises(RobotFileError, match=r"inputs.tcp.entries.tcp_y.field: .* has no field 'pose.position.z'"):
        InputChannel(RobotFile.from_dict(document).inputs[1], OBSERVATION).check(pose())
    entries["tcp_y"]["field"] = "pose.name"
    with pytest.raises(RobotFileError, match="is str, not a number"):
        InputChannel(RobotFile.from_dict(document).inputs[1], OBSERVATION).check(pose())
    with pytest.raises(RobotFileError, match=r"inputs.arm.entries.elbow.joint: .* has no joints"):
        InputChannel(joint_robot().inputs[0], [Feature("elbow", "rad"), Feature("shoulder", "rad")]).check(pose())


def test_joints_are_found_by_name() -> None:
    """The order of a JointState does not matter, other joints are ignored, and degrees become radians."""
    channel = InputChannel(joint_robot().inputs[0], [Feature("shoulder", "rad"), Feature("elbow", "rad")])
    values, observation = np.empty(2), np.empty(2)
    for message in (
        joint_state(elbow_joint=90.0, shoulder_joint=180.0),
        joint_state(wrist=7.0, shoulder_joint=180.0, elbow_joint=90.0),
    ):
        channel.read(message, values)
        observation[channel.columns] = values
        np.testing.assert_allclose(observation, [math.pi, math.pi / 2])
    written = joint_state()
    channel.write(observation, written)
    assert dict(zip(written.name, written.position, strict=True)) == pytest.approx(
        {"elbow_joint": 90.0, "shoulder_joint": 180.0}
    )


def test_memory_does_not_grow_with_the_orders_of_joints() -> None:
    layout = JointLayout([("elbow", "position")])
    out = np.zeros(1)
    for number in range(1000):
        layout.read(joint_state(elbow=number, **{f"joint_{number}": 0.0}), out)
        assert out[0] == number
    assert len(layout._order) <= 100


def test_joint_state_that_does_not_fit() -> None:
    """Missing joints and lengths that contradict each other are refused."""
    channel = InputChannel(joint_robot().inputs[0], [Feature("shoulder", "rad"), Feature("elbow", "rad")])
    with pytest.raises(ObservationError, match=r"lacks the joints \['shoulder_joint'\]"):
        channel.read(joint_state(elbow_joint=1.0), np.empty(2))
    short = joint_state(elbow_joint=1.0, shoulder_joint=2.0)
    short.position.pop()
    with pytest.raises(ObservationError, match="2 names but 1 value of position"):
        channel.read(short, np.empty(2))


def test_command_is_an_absolute_set_point() -> None:
    """A displacement is added to the newest value of its observation entry, and can be taken back."""
    channel = CommandChannel(RobotFile.load(AVOIDING).commands, OBSERVATION, ACTION)
    observation, action = np.array([0.5, 0.1, 9.0, 9.0], np.float32), np.array([0.01, -0.02], np.float32)
    command, back, message = np.empty(2), np.empty(2), SimpleNamespace(data=array("d"))
    channel.from_action(action, observation, command)
    np.testing.assert_allclose(command, [0.51, 0.08], atol=1e-7)
    channel.parts[0].write(command, message)
    first = message.data
    channel.parts[0].write(command + 1, message)
    assert message.data is first
    channel.parts[0].read(message, command)
    channel.to_action(command - 1, observation, back)
    np.testing.assert_allclose(back, action, atol=1e-7)
    with pytest.raises(ObservationError, match="a command has 3 values"):
        channel.parts[0].read(SimpleNamespace(data=array("d", [1, 2, 3])), command)


def test_command_in_other_units() -> None:
    """A twist takes the action's speed in the unit of the robot file."""
    channel = CommandChannel(joint_robot().commands, [], [Feature("speed", "m/s")])
    vector = SimpleNamespace(x=0.0)
    message = SimpleNamespace(header=header(), twist=SimpleNamespace(linear=vector))
    channel.parts[0].check(message)
    command = np.empty(1)
    channel.from_action(np.array([0.05]), np.empty(1), command)
    channel.parts[0].write(command, message)
    assert vector.x == pytest.approx(50.0)
    with pytest.raises(RobotFileError, match=r"command.entries\[0\].name"):
        channel.parts[0].check(SimpleNamespace(header=header()))
    with pytest.raises(RobotFileError, match=r"command.type: SimpleNamespace has no header, unlike the registered"):
        channel.parts[0].check(SimpleNamespace())


def test_trajectory_joints_are_found_by_name(document: Any) -> None:
    """A JointTrajectory is written with its joints and read back whatever the order."""
    document["command"]["type"] = "trajectory_msgs/msg/JointTrajectory"
    channel = CommandChannel(RobotFile.from_dict(document).commands, OBSERVATION, ACTION)
    message = SimpleNamespace(joint_names=[], points=[SimpleNamespace(positions=array("d"))])
    channel.parts[0].write(np.array([1.0, 2.0]), message)
    assert message.joint_names == ["desired_x", "desired_y"]
    message.joint_names.reverse()
    out = np.empty(2)
    channel.parts[0].read(message, out)
    assert out.tolist() == [2.0, 1.0]
    message.joint_names[0] = "other"
    with pytest.raises(ObservationError, match="lacks the joints"):
        channel.parts[0].read(message, out)
    with pytest.raises(ObservationError, match="no such positions"):
        channel.parts[0].read(SimpleNamespace(joint_names=["desired_x", "desired_y"], points=[]), out)


def test_stamps() -> None:
    """Stamps are whole nanoseconds; none is None, so that it is never taken for a time."""
    message = pose()
    assert stamp_ns(message) is None
    assert stamp_ns(SimpleNamespace()) is None
    set_stamp(message, 12_345_678_901)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (12, 345_678_901)
    assert stamp_ns(message) == 12_345_678_901
