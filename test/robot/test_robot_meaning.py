"""A unit is one of its field's quantity; what a number means decides how it is sent and what a loss does."""

import copy
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from robot_messages import joint_state

pytest.importorskip("rosbags")

from loop_rig import Rig
from policy_files import write_mixture
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_typestore

from vdd_ros.errors import RobotFileError
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.messages import command_types, find_message, message_types
from vdd_ros.robot.quantities import UNITS, quantity_of, unit_factor
from vdd_ros.robot.robot_file import RobotFile

ARRAY = "std_msgs/msg/Float64MultiArray"
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
TWIST = "geometry_msgs/msg/TwistStamped"
POSE = "geometry_msgs/msg/PoseStamped"
READING = {"joint": "elbow_joint", "interface": "position", "unit": "rad"}


def robot(
    kind: str = ARRAY,
    unit: str = "rad",
    *,
    on_loss: str = "hold",
    name: str = "elbow_joint",
    reading: dict[str, Any] | None = None,
    source: str = "sensor_msgs/msg/JointState",
    more: dict[str, Any] | None = None,
    **entry: Any,
) -> dict[str, Any]:
    """Return a robot file with one reading and one command."""
    command = {"topic": "commands", "type": kind, "on_loss": on_loss} | (more or {})
    if on_loss == "call":
        command["loss_service"] = "/stop"
    given = {"name": name, "action": "go", "unit": unit, "low": -1.0, "high": 1.0, "max_step": 0.1} | entry
    read = {"topic": "in", "type": source, "max_age_s": 0.1, "entries": {"elbow": reading or READING}}
    return {"inputs": {"arm": read}, "command": command | {"entries": [given]}}


def refusal(document: dict[str, Any]) -> str:
    """Return why a robot file is refused."""
    with pytest.raises(RobotFileError) as error:
        RobotFile.from_dict(document)
    return str(error.value)


@pytest.mark.parametrize(
    ("interface", "good", "bad"),
    [
        ("position", ["rad", "deg", "m", "mm"], ["rad/s", "m/s", "Nm", "1", "turns"]),
        ("velocity", ["rad/s", "deg/s", "m/s", "rpm"], ["rad", "m", "N", "rad/s^2"]),
        ("effort", ["Nm", "N", "N*m"], ["rad", "m/s", "A"]),
    ],
)
def test_the_unit_of_a_joint_is_one_of_its_interface(interface: str, good: list[str], bad: list[str]) -> None:
    for unit in good:
        RobotFile.from_dict(robot(reading=READING | {"interface": interface, "unit": unit}))
    for unit in bad:
        text = refusal(robot(reading=READING | {"interface": interface, "unit": unit}))
        assert text.startswith("inputs.arm.entries.elbow.unit: is ")
        assert f"{unit!r}" in text
        assert f"the {interface} of elbow_joint in a sensor_msgs/msg/JointState is " in text
        assert good[0] in text.split("; use ")[1].split(", ")


@pytest.mark.parametrize(
    ("source", "field", "good", "bad"),
    [
        ("geometry_msgs/msg/PoseStamped", "pose.position.x", "mm", "rad"),
        ("geometry_msgs/msg/PoseStamped", "pose.orientation.w", "1", "rad"),
        ("geometry_msgs/msg/PoseWithCovarianceStamped", "pose.pose.position.z", "m", "m/s"),
        ("geometry_msgs/msg/Pose2D", "theta", "deg", "m"),
        ("geometry_msgs/msg/TransformStamped", "transform.translation.y", "cm", "1"),
        ("geometry_msgs/msg/TwistStamped", "twist.linear.x", "m/s", "m"),
        ("geometry_msgs/msg/TwistStamped", "twist.angular.z", "rad/s", "m/s"),
        ("geometry_msgs/msg/AccelStamped", "accel.linear.x", "m/s^2", "m/s"),
        ("geometry_msgs/msg/WrenchStamped", "wrench.force.z", "N", "Nm"),
        ("geometry_msgs/msg/WrenchStamped", "wrench.torque.z", "Nm", "N"),
        ("nav_msgs/msg/Odometry", "twist.twist.angular.z", "rad/s", "rad"),
        ("sensor_msgs/msg/Imu", "angular_velocity.x", "deg/s", "deg"),
        ("sensor_msgs/msg/Imu", "linear_acceleration.x", "m/s²", "m/s"),
        ("sensor_msgs/msg/Imu", "orientation.x", "1", "deg"),
        ("sensor_msgs/msg/Range", "range", "mm", "s"),
        ("sensor_msgs/msg/Range", "field_of_view", "rad", "m"),
        ("sensor_msgs/msg/Temperature", "temperature", "degC", "K"),
        ("sensor_msgs/msg/FluidPressure", "fluid_pressure", "hPa", "N"),
        ("sensor_msgs/msg/BatteryState", "voltage", "V", "A"),
        ("sensor_msgs/msg/NavSatFix", "latitude", "deg", "m"),
    ],
)
def test_the_unit_of_a_field_is_one_of_its_quantity(source: str, field: str, good: str, bad: str) -> None:
    RobotFile.from_dict(robot(source=source, reading={"field": field, "unit": good}))
    text = refusal(robot(source=source, reading={"field": field, "unit": bad}))
    assert text.startswith("inputs.arm.entries.elbow.unit: is ")
    assert f"but {field} in a {source} is " in text


@pytest.mark.parametrize(
    ("source", "field"),
    [("std_msgs/msg/Float64", "data"), ("geometry_msgs/msg/Vector3Stamped", "vector.x"), ("my_msgs/msg/Grip", "width")],
)
def test_a_field_that_does_not_say_what_it_is_takes_any_unit(source: str, field: str) -> None:
    for unit in ("rad", "m/s", "counts"):
        RobotFile.from_dict(robot(source=source, reading={"field": field, "unit": unit}))


def numbers(store: Any, name: str, before: str = "") -> list[str]:
    """Return the dot-paths of all numbers in a message type that are in no array."""
    found: list[str] = []
    for field, (node, detail) in store.get_msgdef(name).fields:
        if node == Nodetype.BASE and detail[0] != "string":
            found.append(before + field)
        elif node == Nodetype.NAME:
            found += numbers(store, detail, f"{before}{field}.")
    return found


def test_every_number_of_the_standard_messages_has_a_quantity() -> None:
    """Against the definitions of Jazzy: the table is complete and names no other field."""
    store = get_typestore(Stores.ROS2_JAZZY)
    no_meaning = {f"geometry_msgs/msg/{name}" for name in ("Vector3", "Vector3Stamped")}
    packages = ("geometry_msgs", "sensor_msgs", "trajectory_msgs")
    names = [name for name in store.fielddefs if name.startswith(packages)]
    assert len(names) > 50
    for name in [*names, "nav_msgs/msg/Odometry"]:
        fields = [field for field in numbers(store, name) if not field.startswith(("header.", "time_"))]
        fields = [field for field in fields if not field.endswith("variance")]
        unknown = [field for field in fields if not find_message(name).field_quantities(field)]
        assert unknown == (fields if name in no_meaning else []), name
    for name in message_types():
        for field in find_message(name).field_names:
            assert field in numbers(store, name), name


def test_every_message_type_says_whether_it_has_a_header() -> None:
    """Against the definitions of Jazzy."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name in message_types():
        fields = [field for field, _ in store.get_msgdef(name).fields]
        assert find_message(name).has_header == ("header" in fields), name


@pytest.mark.parametrize("unit", ["rad/s", "m/s", "deg/s"])
def test_a_trajectory_carries_velocities(unit: str) -> None:
    """They are written as velocities, never as positions, and read back from there."""
    channel = CommandChannel(
        RobotFile.from_dict(robot(TRAJECTORY, unit, on_loss="zero")).commands, [], [Feature("go", unit)]
    )
    point = SimpleNamespace(positions=[], velocities=[], accelerations=[], effort=[])
    message = SimpleNamespace(joint_names=[], points=[point])
    channel.parts[0].write(np.array([0.25]), message)
    assert list(point.velocities) == [0.25]
    assert not (len(point.positions) or len(point.accelerations) or len(point.effort))
    assert message.joint_names == ["elbow_joint"]
    out = np.zeros(1)
    channel.parts[0].read(message, out)
    assert out == [0.25]


def test_a_trajectory_of_positions_and_velocities_is_refused() -> None:
    document = robot(TRAJECTORY, "rad")
    entries = document["command"]["entries"]
    entries.append(entries[0] | {"name": "rail", "action": "slide", "unit": "m/s"})
    assert "command.entries: mix positions (elbow_joint) and velocities (rail)" in refusal(document)
    entries[1]["unit"] = "m"
    RobotFile.from_dict(document)


@pytest.mark.parametrize("unit", ["Nm", "1", "rad/s^2", "counts"])
def test_a_trajectory_of_something_else_is_refused(unit: str) -> None:
    text = refusal(robot(TRAJECTORY, unit))
    assert text.startswith(f"command.entries[0].unit: is {unit!r}, ")
    assert "elbow_joint in a trajectory_msgs/msg/JointTrajectory is length or angle or speed or angular speed" in text


@pytest.mark.parametrize(
    ("name", "good", "bad"), [("twist.linear.x", "m/s", "rad/s"), ("twist.angular.z", "rad/s", "rad")]
)
def test_a_twist_is_of_velocities(name: str, good: str, bad: str) -> None:
    RobotFile.from_dict(robot(TWIST, good, name=name, on_loss="zero"))
    assert f"command.entries[0].unit: is {bad!r}" in refusal(robot(TWIST, bad, name=name, on_loss="zero"))


@pytest.mark.parametrize("name", ["header.stamp.sec", "twist.linear", "x", "twist.linear.x.real"])
def test_a_twist_has_six_numbers(name: str) -> None:
    text = refusal(robot(TWIST, "m/s", name=name, on_loss="zero"))
    assert f"command.entries[0].name: is {name!r}; the numbers of a {TWIST} are twist.linear.x, twist." in text


@pytest.mark.parametrize("unit", ["rad", "m", "degrees", "°", "counts", "turns"])
def test_zeros_are_no_set_point_for_what_is_or_may_be_a_position(unit: str) -> None:
    assert "command.on_loss: is 'zero', which is not a safe set point" in refusal(robot(unit=unit, on_loss="zero"))


@pytest.mark.parametrize("unit", ["rad/s", "m/s", "N", "Nm", "1", "A"])
def test_zeros_stop_what_is_no_position(unit: str) -> None:
    assert RobotFile.from_dict(robot(unit=unit, on_loss="zero")).commands[0].on_loss == "zero"


@pytest.mark.parametrize("kind", [ARRAY, TRAJECTORY])
def test_a_robot_that_keeps_its_last_velocity_does_not_hold(kind: str) -> None:
    """To hold is to send nothing more: a controller of velocities goes on with the last one."""
    assert "command.on_loss: is 'hold', which keeps the last set point" in refusal(robot(kind, "rad/s"))
    for on_loss in ("zero", "call"):
        RobotFile.from_dict(robot(kind, "rad/s", on_loss=on_loss))


def test_a_velocity_may_be_relative_and_zeroed() -> None:
    speed = READING | {"interface": "velocity", "unit": "rad/s"}
    RobotFile.from_dict(robot(unit="rad/s", on_loss="zero", reading=speed, relative_to="elbow"))
    assert "not a safe set point" in refusal(robot(unit="1", on_loss="zero", relative_to="elbow"))


@pytest.mark.parametrize("key", ["relative_to", "measured"])
def test_references_and_measurements_have_the_same_quantity(key: str) -> None:
    given: Any = {key: "elbow"}
    text = refusal(robot(unit="rad/s", on_loss="call", **given))
    assert text.startswith(f"command.entries[0].{key}: 'rad' cannot be converted to 'rad/s'")
    RobotFile.from_dict(robot(unit="deg", **given))


@pytest.mark.parametrize("field", ["header.stamp.sec", "header.stamp.nanosec", "header.frame_id"])
def test_a_header_is_no_measurement(field: str) -> None:
    text = refusal(robot(source="geometry_msgs/msg/PoseStamped", reading={"field": field, "unit": "s"}))
    assert text.startswith("inputs.arm.entries.elbow.field: is ")
    assert "not a measurement; the numbers of geometry_msgs/msg/PoseStamped are pose.position.x" in text


def test_only_messages_of_joints_have_joints() -> None:
    text = refusal(robot(source="geometry_msgs/msg/PoseStamped"))
    assert "inputs.arm.entries.elbow.joint: geometry_msgs/msg/PoseStamped has no joints" in text
    text = refusal(robot(reading={"field": "position", "unit": "rad"}))
    assert "read by joint: {joint: NAME, interface: position, unit: rad}" in text
    RobotFile.from_dict(robot(source="my_msgs/msg/ArmState"))


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        ({"more": {"frame_id": "base"}}, f"command.frame_id: is 'base', but a {ARRAY} has no header"),
        ({"first_step": 0.5}, "command.entries[0].first_step: has no effect without `measured`"),
        ({"reading": READING | {"field": "position"}}, "elbow.field: cannot be combined with `joint`"),
        ({"reading": {"field": "data", "unit": "1", "interface": "position"}, "source": "std_msgs/msg/Float64"},
         "elbow.interface: is for `joint`"),
        ({"more": {"loss_service": "/stop"}}, "command.loss_service: belongs to `on_loss: call`"),
    ],
)  # fmt: skip
def test_a_key_without_effect_is_refused(spoil: dict[str, Any], text: str) -> None:
    assert text in refusal(robot(**copy.deepcopy(spoil)))


def test_every_unit_has_one_quantity_and_spellings_agree() -> None:
    assert quantity_of("parsec") is None
    for spelt, unit in (("meters", "m"), ("radians", "rad"), ("°", "deg"), ("N·m", "Nm"), ("m/s²", "m/s^2")):
        assert quantity_of(spelt) == quantity_of(unit)
        assert unit_factor(spelt, unit, "") == 1.0
    assert unit_factor("rpm", "rad/s", "") == pytest.approx(2 * math.pi / 60)
    assert unit_factor("%", "1", "") == pytest.approx(0.01)
    assert all(quantity_of(unit) for unit in UNITS)


def test_every_command_type_with_a_header_is_stamped_or_means_now() -> None:
    """Against the real definitions: a type that is added without a stamp fails here."""
    store = get_typestore(Stores.ROS2_JAZZY)
    assert {ARRAY, TRAJECTORY, "geometry_msgs/msg/Twist", TWIST, POSE, "sensor_msgs/msg/JointState"} == set(
        command_types()
    )
    for name in command_types():
        message, fields = find_message(name), [field for field, _ in store.get_msgdef(name).fields]
        assert message.has_points == ("points" in fields)
        assert message.stamped == ("header" in fields and name != TRAJECTORY)
    assert command_types(points=True) == [TRAJECTORY]


@pytest.mark.parametrize("on_loss", ["call", "zero"])
def test_velocities_start_from_zero_whatever_a_loss_does(tmp_path: Any, on_loss: str) -> None:
    """With `ramp`, the first command of a velocity that nothing measures is one step from standing still."""
    path = write_mixture(
        tmp_path / "policy.onnx",
        observation=(Feature("elbow", "rad"),),
        action=(Feature("go", "rad/s", 0.899, 0.9),),
    )
    rig = Rig(OnnxPolicy.load(path), RobotFile.from_dict(robot(unit="rad/s", on_loss=on_loss)))
    rig.receive("arm", joint_state(10.0, elbow_joint=0.1), 10.0)
    rig.loop.tick(10.01, 0.0)
    assert rig.out.commands == [[pytest.approx(0.1)]]


def test_a_trajectory_of_velocities_ends_in_zeros_alone(tmp_path: Any) -> None:
    """At a loss in its midst nothing of it is sent again: the robot stops."""
    path = write_mixture(
        tmp_path / "policy.onnx",
        horizon=5,
        observation=(Feature("elbow", "rad"),),
        action=(Feature("go", "rad/s", 0.5, 0.9),),
    )
    file = RobotFile.from_dict(robot(TRAJECTORY, "rad/s", on_loss="zero", max_step=math.inf))
    rig = Rig(OnnxPolicy.load(path), file, trajectories=True, action_steps=4)
    rig.receive("arm", joint_state(10.0, elbow_joint=0.1), 10.0)
    rig.loop.tick(10.01, 0.0)
    assert len(rig.out.trajectories) == 1
    rig.loop.tick(10.5, 0.0)
    assert len(rig.out.trajectories) == 1
    assert rig.out.commands == [[0.0]]
