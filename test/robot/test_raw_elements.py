"""Elements of arrays, and rotations, read from the bytes of messages as from the messages."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_channels import POSE, channel, robot_with
from random_messages import deserialized, messages, schema, serialized

from vdd_ros.errors import ObservationError
from vdd_ros.features import Feature
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.channels import ArrayChannel

ARRAY = "std_msgs/msg/Float64MultiArray"
LABELS = st.lists(st.sampled_from(["a", "grip", "b.c"]), max_size=4)


def outcome(tested: Any, message: Any, out: np.ndarray) -> Any:
    """Return what reading gives: stamp and numbers, or the error."""
    out[...] = 77
    try:
        return tested.read(message, out), out.tobytes()
    except ObservationError as error:
        return type(error), str(error)


def expect(tested: Any, kind: str) -> None:
    """Prepare a channel for bytes that are never deserialised."""

    def never(content: bytes) -> Any:
        raise AssertionError("the message was read as a whole")

    tested.expect(MessageFormat(kind, schema(kind), never))


def compare(tested: Any, kind: str, sent: list[Any], out: np.ndarray) -> None:
    expect(tested, kind)
    for message in [*sent, *sent]:
        content = serialized(message)
        assert outcome(tested, content, out) == outcome(tested, deserialized(content, kind), out)


@given(st.lists(messages(ARRAY), min_size=1, max_size=3), st.data())
def test_elements_by_index_and_label(sent: list[Any], data: st.DataObject) -> None:
    tested = channel(
        ARRAY,
        {
            "one": {"field": "data[1]", "unit": "1"},
            "slice": {"field": "data[0:2]", "unit": "1", "scale": 2.0},
            "grip": {"field": "data[grip]", "unit": "1"},
            "dotted": {"field": "data[b.c]", "unit": "1"},
        },
    )
    for message in sent:
        labels = data.draw(LABELS)
        dims = (list(message.layout.dim) + [schema("std_msgs/msg/MultiArrayDimension").blank() for _ in labels])[
            : len(labels)
        ]
        for dim, label in zip(dims, labels, strict=True):
            dim.label = label
    compare(tested, ARRAY, sent, np.empty(5))


@given(st.lists(messages("tf2_msgs/msg/TFMessage"), min_size=1, max_size=3))
def test_fields_of_elements(sent: list[Any]) -> None:
    entries = {
        "x": {"field": "transforms[1].transform.translation.x", "unit": "m"},
        "w": {"field": "transforms[0].transform.rotation.w", "unit": "1"},
    }
    compare(channel("tf2_msgs/msg/TFMessage", entries), "tf2_msgs/msg/TFMessage", sent, np.empty(2))


@given(st.lists(messages("nav_msgs/msg/Odometry"), min_size=1, max_size=3))
def test_elements_of_a_list_of_fixed_length(sent: list[Any]) -> None:
    entries = {
        "last": {"field": "twist.covariance[35]", "unit": "1"},
        "three": {"field": "pose.covariance[4:7]", "unit": "1"},
        "z": {"field": "twist.twist.angular.z", "unit": "rad/s"},
    }
    compare(channel("nav_msgs/msg/Odometry", entries), "nav_msgs/msg/Odometry", sent, np.empty(5))


@given(st.lists(messages("trajectory_msgs/msg/JointTrajectory"), min_size=1, max_size=3))
def test_a_slice_of_a_list_in_an_element(sent: list[Any]) -> None:
    kind = "x_msgs/msg/Points"  # a type without description: nothing is known of its numbers
    entry = {"field": "points[1].positions[1:3]", "shape": [2], "unit": "rad"}
    tested = ArrayChannel(robot_with(kind, {"ahead": entry}).inputs[0], [Feature("ahead", "rad", shape=(2,))])
    compare(tested, "trajectory_msgs/msg/JointTrajectory", sent, np.empty(2, np.float32))


@pytest.mark.parametrize("form", [{"rotation": "yaw", "encode": "sin_cos"}, {"rotation": "six_d"}])
@given(quaternion=st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=4, max_size=4), unit=st.booleans())
def test_rotations(form: dict[str, Any], quaternion: list[float], unit: bool) -> None:
    tested = channel(entries={"tool": {"field": "pose.orientation"} | form})
    message = schema(POSE).blank()
    numbers = np.array(quaternion) / (np.linalg.norm(quaternion) or 1.0) if unit else np.array(quaternion)
    for part, number in zip("xyzw", numbers.tolist(), strict=True):
        setattr(message.pose.orientation, part, number)
    expect(tested, POSE)
    out, content = np.empty(len(tested.columns)), serialized(message, POSE)
    assert outcome(tested, content, out) == outcome(tested, message, out)
