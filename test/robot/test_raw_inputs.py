"""Inputs read from the bytes of messages, as they are read from the messages."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_messages import deserialized, messages, schema, serialized

from vdd_ros.errors import ObservationError
from vdd_ros.features import Feature
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.cdr.readers import NumberReader
from vdd_ros.robot.channels import ArrayChannel, InputChannel
from vdd_ros.robot.entries import InputEntry
from vdd_ros.robot.inputs import Input
from vdd_ros.robot.layouts import ArrayLayout, Layout
from vdd_ros.robot.messages import MESSAGES, find_message
from vdd_ros.robot.messages.joint_trajectory import TrajectoryLayout
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import units_of

JOINT_STATE = "sensor_msgs/msg/JointState"
OBSERVED = [name for name in MESSAGES.names() if find_message(name).observed and find_message(name).field_names]


def never(content: bytes) -> Any:
    raise AssertionError("the message was read as a whole")


def raw_format(name: str) -> MessageFormat:
    return MessageFormat(name, schema(name), never)


def channel_of(name: str, *entries: InputEntry) -> InputChannel:
    source = Input("robot", "robot", find_message(name), 1.0, "reliable", entries)
    made = InputChannel(source, [Feature(entry.name, entry.unit) for entry in entries])
    made.check(schema(name).blank())
    made.expect(raw_format(name))
    return made


def outcome(channel: Any, message: Any, out: np.ndarray) -> Any:
    """Return what reading gives: stamp and numbers, or the error."""
    out[...] = 77
    try:
        return channel.read(message, out), out.tobytes()
    except ObservationError as error:
        return type(error), str(error)


@given(st.sampled_from(OBSERVED).flatmap(messages))
def test_every_type_of_the_registry(message: Any) -> None:
    name = message.__msgtype__
    described = find_message(name)
    entries = [
        InputEntry(f"o{index}", units_of(described.field_quantities(field))[0], field=field)
        for index, field in enumerate(described.field_names)
    ]
    channel, out = channel_of(name, *entries), np.empty(len(entries))
    content = serialized(message)
    assert outcome(channel, content, out) == outcome(channel, deserialized(content, name), out)


NAMES = st.lists(st.sampled_from(["elbow", "wrist", "finger", "spare"]), max_size=5)


def numbers(sizes: st.SearchStrategy[int]) -> st.SearchStrategy[Any]:
    return sizes.flatmap(lambda size: st.lists(st.floats(allow_subnormal=False), min_size=size, max_size=size)).map(
        np.array
    )


@st.composite
def joint_states(draw: st.DrawFn) -> Any:
    state = draw(messages(JOINT_STATE))
    state.name = draw(NAMES)
    size = st.one_of(st.just(len(state.name)), st.just(len(state.name)), st.integers(0, 5))
    for field in ("position", "velocity", "effort"):
        setattr(state, field, draw(numbers(size)))
    return state


@given(st.lists(joint_states(), min_size=1, max_size=5))
def test_joints_by_name_with_every_error(states: list[Any]) -> None:
    """In any order, missing, named twice, of other robots, with lists of other lengths."""
    channel = channel_of(
        JOINT_STATE,
        InputEntry("a", "rad", joint="wrist", interface="position"),
        InputEntry("b", "rad/s", joint="elbow", interface="velocity"),
        InputEntry("c", "rad", joint="elbow", interface="position"),
    )
    array = ArrayChannel(
        Input(
            "arm",
            "arm",
            find_message(JOINT_STATE),
            1.0,
            "reliable",
            (InputEntry("q", "rad", shape=(2,), joints=("wrist", "elbow"), interface="position"),),
        ),
        [Feature("q", "rad", shape=(2,), dtype="float32")],
    )
    array.expect(raw_format(JOINT_STATE))
    for state in [*states, *states]:
        content = serialized(state)
        for reader, out in ((channel, np.empty(3)), (array, np.empty(2, np.float32))):
            assert outcome(reader, content, out) == outcome(reader, deserialized(content, JOINT_STATE), out)


@given(st.lists(messages(JOINT_STATE), min_size=2, max_size=2), st.integers(0, 200))
def test_numbers_of_a_message_that_is_cut_off(states: list[Any], cut: int) -> None:
    channel = channel_of(JOINT_STATE, InputEntry("a", "rad", joint="elbow", interface="effort"))
    for state in states:
        state.name, state.position, state.velocity = ["elbow"], np.zeros(1), np.zeros(1)
        state.effort = np.array([0.25])
        content = serialized(state)
        out = np.full(1, np.nan)
        channel.read(content, out)
        assert out == 0.25
        with pytest.raises(ObservationError, match=r"begins with|ends after"):
            channel.read(content[: min(cut, len(content) - 1)], out)


@given(st.lists(messages("std_msgs/msg/Float64MultiArray"), min_size=1, max_size=4), st.integers(0, 3))
def test_a_command_of_numbers(arrays: list[Any], size: int) -> None:
    check_layout(ArrayLayout(size), arrays, size)


@given(st.lists(messages("trajectory_msgs/msg/JointTrajectory"), min_size=1, max_size=4), st.data())
def test_a_command_of_points(trajectories: list[Any], data: st.DataObject) -> None:
    for trajectory in trajectories:
        trajectory.joint_names = data.draw(NAMES)
        for point in trajectory.points:
            point.positions = data.draw(numbers(st.sampled_from([len(trajectory.joint_names), 2])))
    check_layout(TrajectoryLayout(["wrist", "elbow"]), trajectories, 2)


def check_layout(layout: Layout, sent: list[Any], size: int) -> None:
    reader = NumberReader(schema(sent[0].__msgtype__), layout)  # type: ignore[arg-type]
    out = np.empty(size)
    for message in [*sent, *sent]:
        content = serialized(message)
        results = []
        for read, given_message in ((reader.read, content), (layout.read, deserialized(content, message.__msgtype__))):
            out[:] = 77
            try:
                read(given_message, out)
                results.append(out.tobytes())
            except ObservationError as error:
                results.append(str(error).encode())
        assert results[0] == results[1]


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("sensor_msgs/msg/LaserScan", InputEntry("v", "m", field="ranges", shape=(3,))),
        ("std_msgs/msg/Float64MultiArray", InputEntry("v", "m", field="data", shape=(1, 2))),
        ("std_msgs/msg/Int16MultiArray", InputEntry("v", "1", field="data", shape=(2,))),
        ("sensor_msgs/msg/CameraInfo", InputEntry("v", "1", field="k", shape=(3, 3))),
    ],
)
@given(data=st.data())
def test_lists_as_arrays(name: str, entry: InputEntry, data: st.DataObject) -> None:
    source = Input("sensor", "sensor", find_message(name), 1.0, "reliable", (entry,))
    channel = ArrayChannel(source, [Feature("v", entry.unit, shape=entry.shape, dtype="float32")])
    channel.expect(raw_format(name))
    out = np.empty(entry.shape, np.float32)
    for message in data.draw(st.lists(messages(name), min_size=1, max_size=3)):
        content = serialized(message)
        assert outcome(channel, content, out) == outcome(channel, deserialized(content, name), out)


@pytest.mark.parametrize(
    ("given_encoding", "rows", "extra"), [("rgb8", 2, 0), ("bgr8", 2, 3), ("rgb8", 3, 0), ("?", 2, 0)]
)
def test_images(given_encoding: str, rows: int, extra: int) -> None:
    name = "sensor_msgs/msg/Image"
    entry = InputEntry("view", "1", shape=(2, 4, 3), encoding="rgb8")
    channel = ArrayChannel(
        Input("camera", "camera", find_message(name), 1.0, "reliable", (entry,)),
        [Feature("view", "1", shape=entry.shape, dtype="uint8")],
    )
    channel.expect(raw_format(name))
    image = schema(name).blank()
    image.height, image.width, image.encoding, image.step = rows, 4, given_encoding, 12 + extra
    image.data = np.random.default_rng(0).integers(0, 256, rows * (12 + extra), np.uint8)
    out = np.empty(entry.shape, np.uint8)
    content = serialized(image, name)
    for _ in range(2):
        assert outcome(channel, content, out) == outcome(channel, image, out)


class OwnLayout:
    """A layout of another package, which only reads messages."""

    def read(self, message: Any, out: np.ndarray) -> None:
        out[:] = message.pose.position.x + 1.0

    def write(self, values: np.ndarray, message: Any) -> None:
        message.pose.position.x = values[0] - 1.0


class OwnMessage(Message):
    def input_layout(self, entries: Any) -> Layout:
        return OwnLayout()


def test_a_layout_that_reads_only_messages_gets_them() -> None:
    name = "geometry_msgs/msg/PoseStamped"
    source = Input(
        "tcp", "tcp", OwnMessage(type=name), 1.0, "reliable", (InputEntry("x", "m", field="pose.position.x"),)
    )
    channel = InputChannel(source, [Feature("x", "m")])
    channel.expect(MessageFormat(name, schema(name), lambda content: deserialized(content, name)))
    message, out = schema(name).blank(), np.empty(1)
    message.pose.position.x, message.header.stamp.sec = 0.5, 3
    assert channel.read(serialized(message, name), out) == 3_000_000_000
    assert out == 1.5
    with pytest.raises(ObservationError, match="7 bytes are not a geometry_msgs/msg/PoseStamped"):
        channel.read(b"\0\1\0\0abc", out)


def test_bytes_before_their_form_is_known_are_refused() -> None:
    source = Input(
        "tcp", "tcp", find_message("std_msgs/msg/Bool"), 1.0, "reliable", (InputEntry("x", "1", field="data"),)
    )
    with pytest.raises(TypeError, match="before `expect`"):
        InputChannel(source, [Feature("x", "1")]).read(b"\0\1\0\0\1", np.empty(1))
