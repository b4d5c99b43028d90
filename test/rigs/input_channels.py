"""Channels of one input of a robot file, for tests of how messages become entries."""

from array import array
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vdd_ros.errors import RobotFileError
from vdd_ros.features import Feature
from vdd_ros.robot.channels import InputChannel
from vdd_ros.robot.robot_file import RobotFile

COMMAND: dict[str, Any] = {
    "topic": "commands",
    "type": "std_msgs/msg/Float64MultiArray",
    "on_loss": "hold",
    "entries": [{"name": "a", "action": "go", "unit": "rad", "low": -1.0, "high": 1.0, "max_step": 0.1}],
}
POSE = "geometry_msgs/msg/PoseStamped"
JOINTS = "sensor_msgs/msg/JointState"


def robot_with(kind: str = POSE, entries: Any = None, **more: Any) -> RobotFile:
    """Return a robot file with the input `seen`."""
    source = {"topic": "seen", "type": kind, "max_age_s": 1.0} | ({} if entries is None else {"entries": entries})
    return RobotFile.from_dict({"inputs": {"seen": source | more}, "command": COMMAND})


def channel(kind: str = POSE, entries: Any = None, units: dict[str, str] | None = None, **more: Any) -> InputChannel:
    """Return the channel of such an input; the policy takes its entries in `units`, by default those of the file."""
    source = robot_with(kind, entries, **more).inputs[0]
    features = [Feature(entry.name, (units or {}).get(entry.name, entry.unit)) for entry in source.entries]
    return InputChannel(source, features)


def names(tested: InputChannel) -> list[str]:
    return [entry.name for entry in tested.source.entries]


def read(tested: InputChannel, message: Any) -> list[float]:
    """Return what the channel reads."""
    out = np.full(len(tested.columns), np.nan)
    tested.read(message, out)
    return list(out.tolist())


def refusal(kind: str = POSE, entries: Any = None, **more: Any) -> str:
    """Return why an input is refused."""
    with pytest.raises(RobotFileError) as error:
        robot_with(kind, entries, **more)
    return str(error.value)


def oriented(x: float, y: float, z: float, w: float, position: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Any:
    """Return a stand-in for a PoseStamped."""
    place = SimpleNamespace(**dict(zip("xyz", position, strict=True)))
    pose = SimpleNamespace(position=place, orientation=SimpleNamespace(x=float(x), y=float(y), z=float(z), w=float(w)))
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0), frame_id="base_link"), pose=pose
    )


def numbers(*values: float, labels: tuple[str, ...] = ()) -> Any:
    """Return a stand-in for a Float64MultiArray."""
    dims = [SimpleNamespace(label=label, size=1, stride=1) for label in labels]
    return SimpleNamespace(data=array("d", values), layout=SimpleNamespace(dim=dims, data_offset=0))
