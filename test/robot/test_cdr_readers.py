"""Selective reading of serialised messages, against rosbags' general decoder."""

import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_messages import TYPES, deserialized, field_paths, messages, same, schema, serialized, value_at

from vdd_ros.errors import ObservationError, SchemaError
from vdd_ros.robot.cdr.places import Places
from vdd_ros.robot.cdr.readers import ValueReader, has_stamp
from vdd_ros.robot.cdr.schema import List, Number, Opaque, Schema, Text
from vdd_ros.robot.cdr.walk import Block, Found, Walk

Messages = st.sampled_from(TYPES).flatmap(lambda name: st.lists(messages(name), min_size=1, max_size=4))


def expected_stamp(message: Any) -> int | None:
    if not has_stamp(schema(message.__msgtype__)):
        return None
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec or None


def check(reader: ValueReader, paths: list[str], content: bytes, message: Any) -> None:
    stamp, values = reader.read(content)
    assert stamp == expected_stamp(message)
    for path, value in zip(paths, values, strict=True):
        assert same(value, value_at(message, path)), path


@given(sent=Messages, little=st.booleans())
def test_every_field_of_every_type(sent: list[Any], little: bool) -> None:
    """Read one after the other, several times, so that forms that were learnt are used too."""
    paths = list(field_paths(schema(sent[0].__msgtype__)))
    reader = ValueReader(schema(sent[0].__msgtype__), paths)
    for message in [*sent, *sent]:
        content = serialized(message, little=little)
        check(reader, paths, content, deserialized(content, message.__msgtype__))


@given(sent=Messages, data=st.data())
def test_some_fields_in_any_order(sent: list[Any], data: st.DataObject) -> None:
    name = sent[0].__msgtype__
    paths = data.draw(st.lists(st.sampled_from(list(field_paths(schema(name)))), max_size=4))
    reader = ValueReader(schema(name), paths)
    for message in [*sent, *sent]:
        content = serialized(message, little=data.draw(st.booleans()))
        check(reader, paths, content, message)


@given(sent=Messages, data=st.data())
def test_of_a_message_that_is_cut_off_no_number_is_wrong(sent: list[Any], data: st.DataObject) -> None:
    """What stands before the cut may still be read."""
    name = sent[0].__msgtype__
    paths = data.draw(st.lists(st.sampled_from(list(field_paths(schema(name)))), min_size=1, max_size=3))
    warm = ValueReader(schema(name), paths)
    for message in sent:
        content = serialized(message)
        check(warm, paths, content, message)
        cut = content[: data.draw(st.integers(0, len(content) - 1))]
        for reader in (warm, ValueReader(schema(name), paths)):
            with suppress(ObservationError):
                check(reader, paths, cut, message)


@given(sent=Messages, data=st.data())
@settings(max_examples=200)
def test_bytes_that_changed_are_read_as_rosbags_reads_them(sent: list[Any], data: st.DataObject) -> None:
    """Lengths, padding and numbers alike; where rosbags refuses the bytes, nothing is claimed."""
    name = sent[0].__msgtype__
    paths = data.draw(st.lists(st.sampled_from(list(field_paths(schema(name)))), min_size=1, max_size=3))
    warm = ValueReader(schema(name), paths)
    for message in sent:
        content = bytearray(serialized(message))
        check(warm, paths, bytes(content), message)
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=2)):
            content[place] = data.draw(st.sampled_from([0, 1, 2, 4, 127]))
        try:
            other = deserialized(bytes(content), name)
        except Exception:
            continue
        for reader in (warm, ValueReader(schema(name), paths)):
            try:
                stamp, values = reader.read(bytes(content))
            except ObservationError as error:
                assert "begins with" in str(error)  # rosbags looks at one byte of the header
                continue
            assert stamp == expected_stamp(other)
            for path, value in zip(paths, values, strict=True):
                assert same(value, value_at(other, path)), path


def test_arrays_share_the_memory_of_the_message() -> None:
    image = schema("sensor_msgs/msg/Image").blank()
    image.data = np.arange(6, dtype=np.uint8)
    content = serialized(image, "sensor_msgs/msg/Image")
    _, (pixels,) = ValueReader(schema("sensor_msgs/msg/Image"), ["data"]).read(content)
    assert pixels.tolist() == list(range(6))
    assert np.shares_memory(pixels, np.frombuffer(content, np.uint8))


def counting(name: str, paths: list[str], walks: list[Walk]) -> Places[tuple[Found, ...]]:
    """Return places that are prepared as a walk finds them, and keep the walks."""

    def prepare(walk: Walk) -> tuple[Found, ...]:
        walks.append(walk)
        return walk.found

    return Places(schema(name), paths, prepare)


def test_padding_may_hold_anything() -> None:
    """Middlewares leave old memory in it; the form of the messages is still known."""
    name = "sensor_msgs/msg/JointState"
    state = schema(name).blank()
    state.name, state.position = ["a", "elbow", "wrist_3"], np.array([0.5, 1.5, 2.5])
    content = bytearray(serialized(state, name))
    gaps = [17, 18, 19, 30, 31, 42, 43]  # behind the empty frame, "a" and "elbow"
    walks: list[Walk] = []
    places = counting(name, ["name", "position"], walks)
    expected = places.find(bytes(content))
    for value in range(256):
        for gap in gaps:
            content[gap] = (value + gap) % 256
        assert repr(deserialized(bytes(content), name)) == repr(deserialized(serialized(state, name), name))
        assert places.find(bytes(content)) == expected
    assert len(walks) == 1


def test_forms_of_several_publishers_are_remembered() -> None:
    name = "sensor_msgs/msg/JointState"
    contents = []
    for joints in range(8):
        state = schema(name).blank()
        state.name, state.position = [f"joint_{n}" for n in range(joints)], np.arange(float(joints))
        contents.append(serialized(state, name))
    walks: list[Walk] = []
    places = counting(name, ["position"], walks)
    for content in 5 * contents:
        (found,) = places.find(content)
        assert isinstance(found, Block)
        assert np.frombuffer(content, "<f8", found.length, found.offset).tolist() == list(range(found.length))
    assert len(walks) == 8


def test_forgetting_forms_changes_no_number() -> None:
    name = "std_msgs/msg/Float64MultiArray"
    reader = ValueReader(schema(name), ["data"])
    for _ in range(2):
        for size in range(30):
            array = schema(name).blank()
            array.data = np.arange(float(size))
            _, (data,) = reader.read(serialized(array, name))
            assert data.tolist() == list(range(size))


BOUNDED = Schema(
    "my_msgs/msg/Bounded",
    {"few": List(Number("d"), bound=2), "tag": Text(), "speech": Opaque("wstring"), "last": Number("d")},
)


def test_a_list_beyond_its_bound_is_refused() -> None:
    content = b"\0\1\0\0" + struct.pack("<I4x2d", 2, 0.5, 1.5)
    reader = ValueReader(BOUNDED, ["few"])
    assert reader.read(content)[1][0].tolist() == [0.5, 1.5]
    with pytest.raises(ObservationError, match="3 items in a list that holds at most 2"):
        reader.read(b"\0\1\0\0" + struct.pack("<I4x3d", 3, 0.5, 1.5, 2.5))


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("last", "holds a wstring at or before"),
        ("speech", "a wstring, which cannot be read"),
        ("missing", "no field 'missing' .* its fields are: few, tag, speech, last"),
        ("tag.size", "has no field 'size'"),
        ("tag[0]", "is not a list"),
        ("few[x]", "is not a path to a field"),
        ("few[-1]", "is not a path to a field"),
        ("few]", "is not a path to a field"),
        ("", "is not a path to a field"),
    ],
)
def test_what_cannot_be_located_is_refused(path: str, problem: str) -> None:
    with pytest.raises(SchemaError, match=problem):
        ValueReader(BOUNDED, [path])


@pytest.mark.parametrize(
    ("name", "path", "problem"),
    [
        ("geometry_msgs/msg/PoseStamped", "pose.position", "a whole geometry_msgs/msg/Point; give a field in it"),
        ("geometry_msgs/msg/PoseArray", "poses", "a whole geometry_msgs/msg/Pose"),
        ("sensor_msgs/msg/CameraInfo", "k[9]", "has 9 items, counted from 0"),
        ("diagnostic_msgs/msg/DiagnosticArray", "status[].values[0].key", "name one list at a time"),
    ],
)
def test_paths_that_name_no_value_are_refused(name: str, path: str, problem: str) -> None:
    with pytest.raises(SchemaError, match=problem):
        ValueReader(schema(name), [path])


def test_lengths_that_are_absurd_cost_no_memory() -> None:
    for name, path in (("sensor_msgs/msg/JointState", "name"), ("nav_msgs/msg/Path", "poses[].pose.position.x")):
        content = b"\0\1\0\0" + struct.pack("<iI", 1, 2) + struct.pack("<I", 1) + b"\0\0\0\0" + b"\xff" * 64
        with pytest.raises(ObservationError, match="ends after 84 bytes"):
            ValueReader(schema(name), [path]).read(content)


@pytest.mark.parametrize("head", [b"", b"\0\1", b"\0\2\0\0", b"\0\3\0\0", b"\0\7\0\0", b"\1\0\0\0", b"\0\x0b\0\0"])
def test_other_encodings_are_refused(head: bytes) -> None:
    """Parameter lists and XCDR2, whose numbers stand elsewhere."""
    reader = ValueReader(schema("std_msgs/msg/Bool"), ["data"])
    with pytest.raises(ObservationError, match="plain CDR"):
        reader.read(head + bytes(8) if len(head) == 4 else head)
