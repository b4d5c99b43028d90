"""Plain stand-ins for the messages of robots, for tests that need no ROS."""

from array import array
from functools import cache
from types import SimpleNamespace
from typing import Any


def header(stamp_s: float = 0.0) -> Any:
    """Return a stand-in for a Header."""
    sec, nanosec = divmod(round(stamp_s * 1e9), 1_000_000_000)
    return SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id="")


def pose(x: float = 0.0, y: float = 0.0, stamp_s: float = 0.0) -> Any:
    """Return a stand-in for a PoseStamped."""
    return SimpleNamespace(
        header=header(stamp_s), pose=SimpleNamespace(position=SimpleNamespace(x=x, y=y), name="tool")
    )


def joint_state(stamp_s: float = 0.0, **positions: float) -> Any:
    """Return a stand-in for a JointState."""
    return SimpleNamespace(
        header=header(stamp_s),
        name=list(positions),
        position=array("d", positions.values()),
        velocity=array("d"),
        effort=array("d"),
    )


@cache
def _definitions() -> Any:
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_JAZZY)


def empty_message(type_name: str) -> Any:
    """Return a stand-in for a message of any standard type, as its class makes it; needs rosbags."""
    return SimpleNamespace(**{name: _empty(*kind) for name, kind in _definitions().get_msgdef(type_name).fields})


def _empty(node: Any, detail: Any) -> Any:
    from rosbags.interfaces import Nodetype

    if node == Nodetype.NAME:
        return empty_message(detail)
    if node == Nodetype.BASE:
        return {"string": "", "bool": False, "float32": 0.0, "float64": 0.0}.get(detail[0], 0)
    (inner, name), count = detail
    if inner == Nodetype.BASE and name[0] == "float64":
        return array("d", bytes(8 * count))
    return [_empty(inner, name) for _ in range(count)]
