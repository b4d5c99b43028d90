"""Bags of a synthetic arm with two joints and a gripper, and the robot file that reads them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from bag_files import STORE
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer

JOINTS = ("shoulder", "elbow", "finger")
JOINT_STATE, POSE, ARRAY = (
    "sensor_msgs/msg/JointState",
    "geometry_msgs/msg/PoseStamped",
    "std_msgs/msg/Float64MultiArray",
)
START_S = 1_700_000_000.0
ROBOT = """
inputs:
  joints:
    topic: joint_states
    type: sensor_msgs/msg/JointState
    max_age_s: 0.1
    entries:
      shoulder: {joint: shoulder, interface: position, unit: rad}
      elbow: {joint: elbow, interface: position, unit: rad}
      finger: {joint: finger, interface: position, unit: rad}
  target:
    topic: /camera/target_pose
    type: geometry_msgs/msg/PoseStamped
    max_age_s: 0.2
    entries:
      target_x: {field: pose.position.x, unit: m}
      target_y: {field: pose.position.y, unit: m}
command:
  topic: /controller/commands
  type: std_msgs/msg/Float64MultiArray
  on_loss: hold
  entries:
    - {name: shoulder, action: shoulder_target, unit: rad, low: -2, high: 2, max_step: 0.2, measured: shoulder}
    - {name: elbow, action: elbow_target, unit: rad, low: -2, high: 2, max_step: 0.2, measured: elbow}
    - {name: finger, action: finger_target, unit: rad, low: 0, high: 0.8, max_step: 0.2, measured: finger}
"""


def joint_positions(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the positions, (n, 3), of the arm's joints in rad at times (n,) in seconds."""
    return np.stack(
        [0.5 + 0.4 * np.sin(1.5 * times), -1.0 + 0.3 * np.cos(2 * times), 0.4 + 0.3 * np.sin(times)], axis=1
    )


@dataclass
class ArmBag:
    """A recording of the arm, to be changed before it is written.

    Attributes:
        duration_s: Length.
        joint_hz, pose_hz, command_hz: Rates of the topics; 0: no topic.
        stamp_offset_s: Added to the stamps of the joints' messages; None: zero stamps.
        joints: Positions (n, 3) at times (n,) since the start.
        names: Names of the joints in the messages.
        delay_s: From stamp to receipt.
        more: Further messages: topic, type, time since the start, message.
    """

    duration_s: float = 4.0
    joint_hz: float = 100.0
    pose_hz: float = 30.0
    command_hz: float = 50.0
    stamp_offset_s: float | None = 0.0
    joints: Callable[[NDArray[np.float64]], NDArray[np.float64]] = joint_positions
    names: tuple[str, ...] = JOINTS
    delay_s: float = 0.002
    more: list[tuple[str, str, float, Any]] = field(default_factory=list)

    def write(self, path: Path, storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
        """Write the bag."""
        found = sorted([*self._joints(), *self._poses(), *self._commands(), *self.more], key=lambda one: one[2])
        with Writer(path, version=9, storage_plugin=storage) as writer:
            connections: dict[str, Any] = {}
            for topic, kind, time_s, message in found:
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
                received = round((START_S + time_s + self.delay_s) * 1e9)
                writer.write(connections[topic], received, STORE.serialize_cdr(message, kind))
        return path

    def _times(self, rate_hz: float) -> NDArray[np.float64]:
        return np.arange(int(self.duration_s * rate_hz)) / rate_hz if rate_hz else np.empty(0)

    def _joints(self) -> Iterable[tuple[str, str, float, Any]]:
        times = self._times(self.joint_hz)
        for time_s, row in zip(times.tolist(), self.joints(times), strict=True):
            stamp_s = None if self.stamp_offset_s is None else START_S + time_s + self.stamp_offset_s
            yield "/joint_states", JOINT_STATE, time_s, joint_state(self.names, row, stamp_s)

    def _poses(self) -> Iterable[tuple[str, str, float, Any]]:
        for time_s in self._times(self.pose_hz).tolist():
            yield "/camera/target_pose", POSE, time_s, pose((0.4, -0.1, 0.02), START_S + time_s)

    def _commands(self) -> Iterable[tuple[str, str, float, Any]]:
        times = self._times(self.command_hz)
        for time_s, row in zip(times.tolist(), joint_positions(times + 0.05), strict=True):
            yield "/controller/commands", ARRAY, time_s, numbers(row)


def header(stamp_s: float | None) -> Any:
    """Return a Header; None: a zero stamp."""
    sec, nanosec = divmod(round((stamp_s or 0.0) * 1e9), 1_000_000_000)
    return STORE.types["std_msgs/msg/Header"](STORE.types["builtin_interfaces/msg/Time"](sec, nanosec), "base")


def joint_state(names: Iterable[str], positions: Any, stamp_s: float | None) -> Any:
    """Return a JointState without velocities and efforts."""
    position = np.asarray(positions, np.float64)
    return STORE.types[JOINT_STATE](header(stamp_s), list(names), position, np.empty(0), np.empty(0))


def pose(position: tuple[float, float, float], stamp_s: float | None) -> Any:
    """Return a PoseStamped that is not turned."""
    types = STORE.types
    turned = types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
    return types[POSE](
        header(stamp_s), types["geometry_msgs/msg/Pose"](types["geometry_msgs/msg/Point"](*position), turned)
    )


def numbers(values: Any) -> Any:
    """Return a Float64MultiArray without a layout."""
    layout = STORE.types["std_msgs/msg/MultiArrayLayout"]([], 0)
    return STORE.types[ARRAY](layout, np.asarray(values, np.float64))
