"""`check_message`: every type that ships passes, and each way of being wrong is noticed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from plugins import install, installed
from robot_messages import empty_message

pytest.importorskip("rosbags")

from vdd_ros.errors import ConfigurationError, ConformanceError
from vdd_ros.robot.layouts import ArrayLayout, FieldLayout, JointLayout, Layout
from vdd_ros.robot.messages import MESSAGES, find_message, message_types
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import FORCE, LENGTH, POSITIONS, SPEED, TORQUE
from vdd_ros.testing.messages import check_message

POSE = find_message("geometry_msgs/msg/PoseStamped")
TWIST = find_message("geometry_msgs/msg/TwistStamped")
JOINTS = find_message("sensor_msgs/msg/JointState")
TRAJECTORY = find_message("trajectory_msgs/msg/JointTrajectory")


@pytest.mark.parametrize("name", message_types())
def test_every_type_that_ships_conforms(name: str) -> None:
    check_message(find_message(name), empty_message)


@pytest.mark.parametrize("name", ["geometry_msgs/msg/PoseStamped", "trajectory_msgs/msg/JointTrajectory"])
def test_messages_of_installed_packages_are_taken_by_themselves(name: str) -> None:
    pytest.importorskip("rclpy")
    check_message(find_message(name))


def test_a_new_command_of_fields_conforms() -> None:
    wrench = {"force": dict.fromkeys("xyz", FORCE), "torque": dict.fromkeys("xyz", TORQUE)}
    message = Message(type="added_msgs/msg/Wrench", fields={"wrench": wrench}, commands=True, has_header=True)
    check_message(message, lambda _: empty_message("geometry_msgs/msg/WrenchStamped"))


def test_a_type_that_ships_cannot_be_described_anew() -> None:
    """Robot files would use the one that ships; a package that registers the type breaks it."""
    with pytest.raises(ConformanceError, match="type 'geometry_msgs/msg/TwistStamped' ships with vdd_ros, so no other"):
        check_message(replace(TWIST), empty_message)


def test_a_type_that_two_packages_register_is_noticed(tmp_path: Path) -> None:
    name, source = "std_msgs/msg/Float32", "MESSAGE = None"
    with installed(MESSAGES, tmp_path, name, source, "MESSAGE"):
        install(tmp_path, "other_thing", MESSAGES.group, {name: "other_thing:MESSAGE"}, source)
        with pytest.raises(ConformanceError, match=f"'{name}' is registered by .* uninstall one of them"):
            check_message(Message(type=name, fields={"data": LENGTH}, commands=True), empty_message)


GRIPPER = find_message("control_msgs/action/GripperCommand")


def goal(_: str) -> Any:
    """Return a stand-in for the goal of a GripperCommand."""
    return SimpleNamespace(command=SimpleNamespace(position=0.0, max_effort=0.0))


def grasp(**changes: Any) -> Message:
    """Return the description of another action with such goals."""
    fields = {"command": {"position": LENGTH, "max_effort": FORCE}}
    flags = {"observed": False, "commands": True, "is_action": True, "zero_is_safe": False}
    return Message(**{"type": "added_msgs/action/Grasp", "fields": fields} | flags | changes)


def test_actions_conform() -> None:
    check_message(GRIPPER, goal)
    check_message(grasp(), goal)
    check_message(grasp(complete=True), goal)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"fields": {"position": LENGTH}}, "its messages have no field position"),
        ({"has_header": True}, "has_header is True, but its messages have no header"),
        ({"type": "added_msgs/action/grasp"}, "must be written package/action/Name"),
        ({"type": GRIPPER.type}, "'control_msgs/action/GripperCommand' ships with vdd_ros"),
    ],
)
def test_a_wrong_description_of_an_action_is_noticed(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConformanceError, match=problem):
        check_message(grasp(**changes), goal)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"is_action": False}, "its commands are goals of an action; set is_action to True"),
        ({"type": "added_msgs/msg/Grasp"}, "is_action is True, but the type is not an action's"),
        ({"commands": False}, "is_action is True, but commands is False"),
        ({"observed": True, "zero_is_safe": True}, "cancels them; set observed and zero_is_safe to False"),
        ({"has_points": True}, "set has_points to False"),
    ],
)
def test_an_action_that_contradicts_itself_is_refused(changes: dict[str, Any], problem: str) -> None:
    """At once: nodes would send it as messages, or drop the points of a chunk."""
    with pytest.raises(ConfigurationError, match=f"message type added_msgs/[a-z]*/Grasp: .*{problem}"):
        grasp(**changes)


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (replace(TWIST, type="geometry_msgs/TwistStamped"), "must be written package/msg/Name"),
        (replace(TWIST, named_by="number"), "named_by is 'number'; allowed are 'field', 'joint'"),
        (replace(TWIST, observed=False, commands=False), "neither be observed nor used as a command"),
        (replace(TWIST, has_header=False), "has_header is False, but its messages have a header"),
        (replace(TWIST, type="geometry_msgs/msg/Twist", fields={}), "has_header is True, but its messages have no"),
        (replace(TWIST, fields={"twist": {"linear": {"w": SPEED}}}), "no field twist.linear.w"),
        (replace(TWIST, fields={"twist": {"linear": SPEED}}), "twist.linear is SimpleNamespace, not a number"),
        (
            replace(TWIST, fields={"twist": {"linear": {"x": "pace"}}}),
            "'pace' is not a quantity; allowed are length, angle",
        ),
        (replace(POSE, zero_is_safe=True), "pose.orientation is a quaternion, and zeros are not a rotation"),
        (replace(POSE, has_points=True), "has_points is True, but its layout has no write_point"),
        (
            Message(type="std_msgs/msg/Float64", fields={"data": LENGTH}, commands=True, keeps_zero_stamp=True),
            "keeps_zero_stamp means nothing without a header",
        ),
        ("geometry_msgs/msg/Twist", "is a str, not a Message"),
    ],
)
def test_a_wrong_description_is_noticed(message: Any, problem: str) -> None:
    with pytest.raises(ConformanceError, match=problem):
        check_message(message, empty_message)


@pytest.mark.parametrize("fields", [{"twist.linear.x": SPEED}, {"twist": {"linear.x": SPEED}}, {"data[0]": SPEED}])
def test_a_path_in_place_of_nested_fields_is_refused_for_its_unit_would_go_unchecked(fields: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"a field is called '[\w.\[\]]+', which is a path; nest the fields"):
        replace(TWIST, fields=fields)


@dataclass(frozen=True, kw_only=True)
class Spoilt(Message):
    """A message whose commands have a layout of the test."""

    make: Callable[[Sequence[str]], Layout]

    def command_layout(self, names: Sequence[str], units: Sequence[str]) -> Layout:
        return self.make(names)


class Doubled(FieldLayout):
    def write(self, values: Any, message: Any) -> None:
        super().write(2 * values, message)


class Deaf(FieldLayout):
    def read(self, message: Any, out: Any) -> None:
        """Leave everything as it is."""


class Growing(ArrayLayout):
    """Writes well into an empty message alone."""

    def write(self, values: Any, message: Any) -> None:
        message.data = [*message.data, *values.tolist()]


@pytest.mark.parametrize(
    ("name", "make", "problem"),
    [
        ("geometry_msgs/msg/Vector3", lambda _: FieldLayout(["x", "x", "y"]), r"wrote \[1.0, 0.0, 0.0\] and read \[0"),
        ("geometry_msgs/msg/Vector3", lambda _: Doubled("xyz"), r"wrote \[1.0, 0.0, 0.0\] and read \[2.0, 0.0, 0.0\]"),
        ("geometry_msgs/msg/Vector3", lambda _: Deaf("xyz"), r"wrote \[0.0, 0.0, 0.0\] and read \[nan, nan, nan\]"),
        ("std_msgs/msg/Float64MultiArray", lambda names: Growing(len(names)), "does not read what it wrote: a command"),
    ],
)
def test_a_wrong_layout_is_noticed(name: str, make: Any, problem: str) -> None:
    message = Spoilt(type=name, named_by="label", commands=True, make=make)
    with pytest.raises(ConformanceError, match=problem):
        check_message(message, empty_message)


def test_units_and_names_that_are_let_through_are_noticed() -> None:
    """A message that says what its fields are, but does not hold commands to it."""

    @dataclass(frozen=True, kw_only=True)
    class Lenient(Message):
        def quantities(self, name: str) -> tuple[str, ...]:
            return ()

    lenient = Lenient(type="geometry_msgs/msg/Point", fields=dict.fromkeys("xyz", LENGTH), commands=True)
    with pytest.raises(ConformanceError, match="geometry_msgs/msg/Point: a command whose x is in rad is not refused"):
        check_message(lenient, empty_message)


def test_joints_that_are_read_from_another_list_are_noticed() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Crossed(Message):
        def command_layout(self, names: Sequence[str], units: Sequence[str]) -> Layout:
            return JointLayout([(name, "positions") for name in names])

    crossed = Crossed(type=JOINTS.type, lists={"position": POSITIONS}, named_by="joint", commands=True, has_header=True)
    with pytest.raises(ConformanceError, match="does not read what it wrote"):
        check_message(crossed, empty_message)


def test_points_that_are_not_there_are_noticed() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Short(type(TRAJECTORY)):  # type: ignore[misc]
        def empty(self, new: Any, *, points: int = 1, period_s: float = 0.0) -> Any:
            return super().empty(new, points=1, period_s=period_s)

    short = Short(**{name: getattr(TRAJECTORY, name) for name in TRAJECTORY.__dataclass_fields__})
    with pytest.raises(ConformanceError, match="IndexError"):
        check_message(short, empty_message)
