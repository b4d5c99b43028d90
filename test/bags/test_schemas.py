"""Structures of message types: the bag's own definitions before the standard ones."""

import struct

import numpy as np
import pytest
from random_messages import STORE, schema

from vdd_ros.bags.contents import Channel
from vdd_ros.bags.types import format_of
from vdd_ros.errors import ObservationError, RecordingError
from vdd_ros.robot.cdr.readers import NumberReader, ValueReader
from vdd_ros.robot.cdr.schema import List, Number, Opaque, Schema, Text
from vdd_ros.robot.layouts import FieldLayout

GRIPPER = """# of a gripper
int32 CLOSED=1
std_msgs/Header header
float32 width
float64[<=2] forces
my_msgs/Finger[2] fingers
string name
================================================================================
MSG: my_msgs/Finger
bool touches
wstring label
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""


def test_a_type_of_another_package() -> None:
    form = format_of(Channel("/gripper", "my_msgs/msg/Gripper", GRIPPER))
    finger = Schema("my_msgs/msg/Finger", {"touches": Number("?"), "label": Opaque("wstring")})
    assert form.schema == Schema(
        "my_msgs/msg/Gripper",
        {
            "header": schema("std_msgs/msg/Header"),
            "width": Number("f"),
            "forces": List(Number("d"), bound=2),
            "fingers": List(finger, length=2),
            "name": Text(),
        },
    )


def test_the_definition_of_the_bag_is_that_of_its_bytes() -> None:
    """A message of another distribution, or of a package that took a standard name, has other fields."""
    name = "std_msgs/msg/ColorRGBA"
    content = b"\0\1\0\0" + struct.pack("<2d", 0.25, 0.5)
    form = format_of(Channel("/light", name, "float64 hue\nfloat64 a\n"))
    assert form.schema is not None
    assert ValueReader(form.schema, ["a"]).read(content) == (None, [0.5])
    assert form.message(content).a == 0.5
    assert format_of(Channel("/light", name)).schema == schema(name)


def test_a_definition_that_cannot_be_used_gives_way_to_the_standard_one() -> None:
    for definition in ("no definition at all [", "my_msgs/Unknown field\n"):
        form = format_of(Channel("/light", "std_msgs/msg/ColorRGBA", definition))
        assert form.schema == schema("std_msgs/msg/ColorRGBA")


def test_whole_messages_are_read_by_rosbags() -> None:
    name = "sensor_msgs/msg/JointState"
    message = schema(name).blank()
    message.name, message.position = ["elbow"], np.array([0.5])
    content = bytes(STORE.serialize_cdr(message, name))
    form = format_of(Channel("/arm", name))
    assert form.message(content).position.tolist() == [0.5]
    with pytest.raises(ObservationError, match="9 bytes are not a sensor_msgs/msg/JointState"):
        form.message(content[:9])


@pytest.mark.parametrize("definition", ["", "my_msgs/Unknown field\n"])
def test_a_type_without_a_definition_is_refused(definition: str) -> None:
    with pytest.raises(RecordingError, match=r"/gripper has the type my_msgs/msg/Gripper, whose definition"):
        format_of(Channel("/gripper", "my_msgs/msg/Gripper", definition))


def test_other_encodings_are_refused() -> None:
    with pytest.raises(RecordingError, match=r"/arm are serialised as 'json'; only cdr"):
        format_of(Channel("/arm", "sensor_msgs/msg/JointState", encoding="json"))


def _types(*types: str) -> str:
    return f"\n{'=' * 80}\nMSG: ".join(types)


@pytest.mark.parametrize(
    "definition",
    [
        _types("my_msgs/T0 x", *(f"my_msgs/T{n}\nmy_msgs/T{n + 1} a\nmy_msgs/T{n + 1} b" for n in range(30)))
        + _types("", "my_msgs/T30\nfloat64 x"),
        _types("my_msgs/Place[1000000] x", "my_msgs/Place\nfloat64 x"),
        "float64[1000000000] x",
        "my_msgs/Odd x",
    ],
)
def test_a_type_whose_empty_message_would_fill_the_memory_is_refused(definition: str) -> None:
    with pytest.raises(RecordingError, match="my_msgs/msg/Odd"):
        format_of(Channel("/odd", "my_msgs/msg/Odd", definition))


@pytest.mark.parametrize("time", ["string sec\nuint32 nanosec", "float64 sec\nfloat64 nanosec", "int32[2] sec\nint8 x"])
def test_a_header_with_another_time_has_no_stamp(time: str) -> None:
    types = "std_msgs/Header header\nuint8 x", "std_msgs/Header\nmy_msgs/Time stamp", f"my_msgs/Time\n{time}"
    form = format_of(Channel("/odd", "my_msgs/msg/Odd", _types(*types)))
    assert form.schema is not None
    stamped = NumberReader(form.schema, FieldLayout(["x"])).read(b"\0\1\0\0" + b"\0" * 20, np.empty(1))
    assert stamped is None
