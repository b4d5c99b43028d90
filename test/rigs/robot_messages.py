"""Plain stand-ins for the messages of robots, for tests that need no ROS."""

from array import array
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
