"""Random messages of standard types, serialised by rosbags, and what stands at a path of one."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_typestore

from vdd_ros.bags.schemas import schema_from
from vdd_ros.robot.cdr.schema import Kind, List, Number, Schema, Text

STORE = get_typestore(Stores.ROS2_JAZZY)

TYPES = (
    "diagnostic_msgs/msg/DiagnosticArray",
    "geometry_msgs/msg/PolygonStamped",
    "geometry_msgs/msg/PoseArray",
    "geometry_msgs/msg/PoseStamped",
    "geometry_msgs/msg/TwistWithCovarianceStamped",
    "geometry_msgs/msg/WrenchStamped",
    "nav_msgs/msg/OccupancyGrid",
    "nav_msgs/msg/Odometry",
    "nav_msgs/msg/Path",
    "sensor_msgs/msg/BatteryState",
    "sensor_msgs/msg/CameraInfo",
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/Imu",
    "sensor_msgs/msg/JointState",
    "sensor_msgs/msg/LaserScan",
    "sensor_msgs/msg/MultiDOFJointState",
    "sensor_msgs/msg/MultiEchoLaserScan",
    "sensor_msgs/msg/PointCloud2",
    "std_msgs/msg/Bool",
    "std_msgs/msg/Float64MultiArray",
    "std_msgs/msg/Int16MultiArray",
    "tf2_msgs/msg/TFMessage",
    "trajectory_msgs/msg/JointTrajectory",
    "trajectory_msgs/msg/MultiDOFJointTrajectory",
)

_MOST = 3


@cache
def schema(msgtype: str) -> Schema:
    """Return the structure of a standard type."""
    return schema_from(STORE.fielddefs, msgtype)


@cache
def messages(msgtype: str) -> st.SearchStrategy[Any]:
    """Return a strategy of messages of a type."""
    kinds = schema(msgtype).fields
    return st.builds(STORE.types[msgtype], **{name: _values(kind) for name, kind in kinds.items()})


def serialized(message: Any, msgtype: str = "", *, little: bool = True) -> bytes:
    """Return the bytes of a message, as rosbags writes them; by default of the type that it says."""
    return bytes(STORE.serialize_cdr(message, msgtype or message.__msgtype__, little_endian=little))


def deserialized(content: bytes, msgtype: str) -> Any:
    """Return the message in some bytes, as rosbags reads them."""
    return STORE.deserialize_cdr(content, msgtype)


def field_paths(kind: Kind, path: str = "") -> Iterator[str]:
    """Yield paths to all numbers, texts and lists of them; of lists of messages to the items 0 and 1, and to all."""
    if isinstance(kind, Schema):
        for name, below in kind.fields.items():
            yield from field_paths(below, f"{path}.{name}" if path else name)
    elif isinstance(kind, List):
        if not isinstance(kind.item, Schema):
            yield path
        for index in () if "[]" in path else ("[0]", "[1]", "[]"):
            yield from field_paths(kind.item, path + index)
    else:
        yield path


def value_at(message: Any, path: str) -> Any:
    """Return what stands at a path of a message; None for an item that is not there."""
    name, _, rest = path.partition(".")
    name, bracket, index = name.partition("[")
    value = getattr(message, name)
    if bracket and index == "]":
        return tuple(value_at(item, rest) if rest else item for item in value)
    if bracket:
        value = value[int(index[:-1])] if len(value) > int(index[:-1]) else None
    if value is None and "[]" in rest:
        return ()
    return value_at(value, rest) if rest and value is not None else value


def same(found: Any, expected: Any) -> bool:
    """Return whether two values are equal to the bit; NaN equals itself."""
    if isinstance(expected, str) or expected is None:
        return bool(found == expected)
    if isinstance(expected, tuple | list):
        return len(found) == len(expected) and all(map(same, found, expected))
    given, wanted = np.asarray(found), np.asarray(expected)
    return given.shape == wanted.shape and np.array_equal(given, wanted, equal_nan=wanted.dtype.kind == "f")


def _values(kind: Kind) -> st.SearchStrategy[Any]:
    if isinstance(kind, Schema):
        return messages(kind.name)
    if isinstance(kind, Text):
        return st.text(max_size=2 * _MOST)
    if isinstance(kind, Number):
        return _numbers(kind.code)
    assert isinstance(kind, List)
    least, most = (0, _MOST) if kind.length is None else (kind.length, kind.length)
    items = st.lists(_values(kind.item), min_size=least, max_size=most)
    if isinstance(kind.item, Number):
        dtype = np.dtype(kind.item.code)
        return items.map(lambda numbers: np.array(numbers, dtype))
    return items


def _numbers(code: str) -> st.SearchStrategy[Any]:
    dtype = np.dtype(code)
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind == "f":
        return st.floats(width=32 if code == "f" else 64, allow_subnormal=False)  # policies switch them off
    limits = np.iinfo(dtype)  # to rosbags `byte` is signed
    return st.integers(int(limits.min), 127 if code == "B" else int(limits.max))
