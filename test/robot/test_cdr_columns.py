"""Many messages at once, against one after the other."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_messages import TYPES, field_paths, messages, schema, serialized

from vdd_ros.errors import ObservationError
from vdd_ros.robot.cdr.columns import read_columns
from vdd_ros.robot.cdr.readers import NumberReader
from vdd_ros.robot.cdr.schema import Number, check_path
from vdd_ros.robot.layouts import ArrayLayout, FieldLayout, JointLayout

JOINT_STATE = "sensor_msgs/msg/JointState"


def check(reader: NumberReader, contents: list[bytes], count: int) -> None:
    found = read_columns(reader, contents, count)
    out = np.empty(count)
    for place, content in enumerate(contents):
        try:
            stamp = reader.read(content, out)
        except ObservationError as error:
            assert str(found.errors[place]) == str(error)
            assert np.isnan(found.numbers[place]).all()
            continue
        assert place not in found.errors
        assert found.numbers[place].tobytes() == out.tobytes()
        assert found.stamps_ns[place] == (stamp or 0)


def fields_of(name: str) -> list[str]:
    return [path for path in field_paths(schema(name)) if "[" not in path and is_number(name, path)]


def is_number(name: str, path: str) -> bool:
    return isinstance(check_path(schema(name), path), Number)


@given(
    st.sampled_from([name for name in TYPES if fields_of(name)]).flatmap(
        lambda name: st.lists(messages(name), max_size=6)
    ),
    st.data(),
)
def test_fields_of_every_type(sent: list[Any], data: st.DataObject) -> None:
    if not sent:
        return
    name = sent[0].__msgtype__
    fields = fields_of(name)
    reader = NumberReader(schema(name), FieldLayout(fields))
    contents = [serialized(message, little=data.draw(st.booleans())) for message in [*sent, *sent]]
    cut = data.draw(st.integers(0, len(contents[0])))
    check(reader, [*contents, contents[0][:cut], contents[-1]], len(fields))


@given(st.lists(st.tuples(st.permutations(["elbow", "wrist", "hand"]), st.integers(1, 3)), max_size=8))
def test_joints_in_any_order_and_number(states: list[tuple[list[str], int]]) -> None:
    """Of the same length and of another form, with too few numbers, of other joints."""
    contents = []
    for number, (names, count) in enumerate(states):
        state = schema(JOINT_STATE).blank()
        state.name, state.position = names[:count], np.arange(3.0 if number == 3 else count) + number
        state.header.stamp.sec = number
        contents.append(serialized(state, JOINT_STATE))
    reader = NumberReader(schema(JOINT_STATE), JointLayout([("wrist", "position"), ("elbow", "position")]))
    check(reader, contents * 2, 2)


def test_numbers_of_every_type_and_truth_values() -> None:
    for name, value in (("Bool", True), ("Int8", -3), ("UInt64", 2**64 - 1), ("Float32", 0.1), ("Int64", -(2**63))):
        kind = schema(f"std_msgs/msg/{name}")
        message = kind.blank()
        contents = []
        for number in (value, kind.blank().data, value):
            message.data = number
            contents += [serialized(message, kind.name), serialized(message, kind.name, little=False)]
        check(NumberReader(kind, FieldLayout(["data"])), contents, 1)


def test_a_truth_value_that_is_any_byte_but_zero() -> None:
    kind = schema("std_msgs/msg/Bool")
    contents = [b"\0\1\0\0" + bytes([value]) for value in range(256)]
    check(NumberReader(kind, FieldLayout(["data"])), contents, 1)


@pytest.mark.parametrize("count", [2, 9])
def test_padding_may_hold_anything(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """In the header, whose last two bytes are options, and behind texts; some middlewares leave old bytes there."""
    state = schema(JOINT_STATE).blank()
    state.name, state.position = ["elbow", "hand"], np.array([0.25, -3.0])
    padded = [1, 2, 3] * count
    contents = []
    for number, padding in enumerate(padded):
        state.header.stamp.sec = number
        content = bytearray(serialized(state, JOINT_STATE))
        behind = [*range(content.index(b"elbow\0") + 6, content.index(b"\5\0\0\0hand")), 2, 3]
        for place in behind:
            assert content[place] in (0, 3)
            content[place] = padding + place % 7
        contents.append(bytes(content))
    reader = NumberReader(schema(JOINT_STATE), JointLayout([("hand", "position")]))
    check(reader, contents[:1], 1)
    monkeypatch.setattr(reader, "read", None)  # all together
    found = read_columns(reader, contents[1:], 1)
    assert (found.numbers == -3.0).all()
    assert found.stamps_ns.tolist() == [number * 10**9 for number in range(1, len(padded))]


def test_no_message_and_no_number() -> None:
    kind = schema("std_msgs/msg/Float64MultiArray")
    assert read_columns(NumberReader(kind, ArrayLayout(3)), [], 3).numbers.shape == (0, 3)
    content = serialized(kind.blank(), kind.name)
    check(NumberReader(kind, ArrayLayout(0)), [content, content], 0)
    found = read_columns(NumberReader(kind, ArrayLayout(3)), [content, content], 3)
    assert sorted(found.errors) == [0, 1]


@pytest.mark.parametrize("wrong", [np.empty(2, np.float32), np.empty(4)[::2]])
def test_numbers_go_only_into_an_array_that_holds_them(wrong: np.ndarray) -> None:
    """Not into memory of another type, or between its numbers."""
    kind = schema("geometry_msgs/msg/Vector3")
    reader = NumberReader(kind, FieldLayout(["x", "y"]))
    before = wrong.tobytes()
    with pytest.raises((TypeError, struct.error)):
        reader.read(serialized(kind.blank(), kind.name), wrong)
    assert wrong.tobytes() == before
