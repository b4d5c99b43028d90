"""Structures of installed message types, against those of rosbags, and messages as the middleware serialises them."""

import importlib
from inspect import isclass
from typing import Any

import numpy as np
import pytest
from random_messages import STORE, field_paths, same, schema, value_at
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from vdd_ros.errors import ObservationError, RobotFileError
from vdd_ros.nodes.ros.schemas import message_format, schema_of
from vdd_ros.robot.cdr.readers import NumberReader, ValueReader
from vdd_ros.robot.layouts import JointLayout

PACKAGES = ("builtin_interfaces", "diagnostic_msgs", "geometry_msgs", "sensor_msgs", "std_msgs", "trajectory_msgs")


def classes(package: str) -> list[Any]:
    module = importlib.import_module(f"{package}.msg")
    return [kind for kind in vars(module).values() if isclass(kind)]


@pytest.mark.parametrize("package", PACKAGES)
def test_they_equal_those_of_rosbags(package: str) -> None:
    found = {f"{package}/msg/{kind.__name__}": schema_of(kind) for kind in classes(package)}
    assert len(found) > 1
    for name, structure in found.items():
        if name in STORE.types and "wstring" not in str(structure):
            assert structure == schema(name), name


@pytest.mark.parametrize("package", PACKAGES)
def test_default_messages_are_read_as_rclpy_wrote_them(package: str) -> None:
    for kind in classes(package):
        structure = schema_of(kind)
        paths = [
            path
            for path in field_paths(structure)
            if "wstring" not in str(structure) and hasattr(kind(), path.split(".")[0].split("[")[0])
        ]
        message = kind()
        _, values = ValueReader(structure, paths).read(serialize_message(message))
        for path, value in zip(paths, values, strict=True):
            expected = value_at(message, path)
            assert same(value, expected[0] if isinstance(expected, bytes) else expected), (kind, path)


def joint_state(count: int) -> JointState:
    random = np.random.default_rng(count)
    message = JointState(
        name=[f"{'x' * (n % 5)}_{n}" for n in range(count)], position=random.normal(size=count).tolist()
    )
    message.velocity = random.normal(size=count).tolist()
    message.header.frame_id = "base"[: count % 5]
    message.header.stamp.sec, message.header.stamp.nanosec = 7, count
    return message


def test_joints_of_messages_that_rclpy_serialised() -> None:
    """Of several lengths by turns: bytes behind the end, and those between, hold arbitrary memory."""
    layout = JointLayout([("x_1", "position"), ("_0", "velocity")])
    reader = NumberReader(schema_of(JointState), layout)
    found, expected = np.empty(2), np.empty(2)
    for count in [*range(2, 30)] * 2:
        content = serialize_message(joint_state(count))
        assert reader.read(content, found) == 7_000_000_000 + count
        layout.read(deserialize_message(content, JointState), expected)
        assert found.tolist() == expected.tolist()


def test_nested_lists_and_images() -> None:
    message = JointTrajectory(joint_names=["a", "b"])
    message.points = [JointTrajectoryPoint(positions=[0.5, 1.5]), JointTrajectoryPoint(velocities=[2.5])]
    paths = ["points[0].positions", "points[1].velocities", "points[].effort", "joint_names", "points[2].positions"]
    _, values = ValueReader(schema_of(JointTrajectory), paths).read(serialize_message(message))
    assert [np.asarray(value).tolist() for value in values] == [[0.5, 1.5], [2.5], [[], []], ["a", "b"], None]
    image = Image(height=2, width=3, encoding="mono8", step=3, data=bytes(range(6)))
    _, (data,) = ValueReader(schema_of(Image), ["data"]).read(serialize_message(image))
    assert bytes(data) == bytes(range(6))


def test_the_form_of_a_type() -> None:
    form = message_format("sensor_msgs/msg/JointState")
    assert form.schema == schema("sensor_msgs/msg/JointState")
    assert form is message_format("sensor_msgs/msg/JointState")
    sent = joint_state(3)
    assert form.message(serialize_message(sent)) == sent
    with pytest.raises(ObservationError, match="3 bytes are not a sensor_msgs/msg/JointState"):
        form.message(b"\0\1\0")
    with pytest.raises(RobotFileError, match="did you mean"):
        message_format("sensor_msgs/msg/JointStates")
