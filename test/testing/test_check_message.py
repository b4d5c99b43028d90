"""`check_message`: every type that ships passes, and each way of being wrong is noticed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from robot_messages import empty_message

pytest.importorskip("rosbags")

from vdd_ros.errors import ConfigurationError, ConformanceError
from vdd_ros.robot.layouts import ArrayLayout, FieldLayout, JointLayout, Layout
from vdd_ros.robot.messages import MESSAGES, find_message
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import FORCE, LENGTH, POSITIONS, SPEED, TORQUE
from vdd_ros.testing.messages import check_message

POSE = find_message("geometry_msgs/msg/PoseStamped")
TWIST = find_message("geometry_msgs/msg/TwistStamped")
JOINTS = find_message("sensor_msgs/msg/JointState")
TRAJECTORY = find_message("trajectory_msgs/msg/JointTrajectory")


@pytest.mark.parametrize("name", MESSAGES.names())
def test_every_type_that_ships_conforms(name: str) -> None:
    check_message(find_message(name), empty_message)


@pytest.mark.parametrize("name", ["geometry_msgs/msg/PoseStamped", "trajectory_msgs/msg/JointTrajectory"])
def test_messages_of_installed_packages_are_taken_by_themselves(name: str) -> None:
    pytest.importorskip("rclpy")
    check_message(find_message(name))


def test_a_new_command_of_fields_conforms() -> None:
    wrench = {"force": dict.fromkeys("xyz", FORCE), "torque": dict.fromkeys("xyz", TORQUE)}
    name = "geometry_msgs/msg/WrenchStamped"
    check_message(Message(type=name, fields={"wrench": wrench}, commands=True, has_header=True), empty_message)


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
