"""Bags of an arm of two joints moved by an operator, written only with `rosbags`, and their robot file."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from vdd_ros.cli.main import main

STORE = get_typestore(Stores.ROS2_JAZZY)
JOINTS = ("shoulder", "elbow")
JOINT_STATE = "sensor_msgs/msg/JointState"
ARRAY = "std_msgs/msg/Float64MultiArray"
RATE_HZ = 20.0
PERIOD_NS = 50_000_000
EPOCH_NS = 1_700_000_000_000_000_000
MS = 1_000_000


class Sent(NamedTuple):
    """A message of a recording: when it was received, its topic, its type and its bytes."""

    at_ns: int
    topic: str
    msgtype: str
    content: bytes


def document(**more: Any) -> dict[str, Any]:
    """Return the robot file of the arm, with further keys at its top."""
    readings = {joint: {"joint": joint, "interface": "position", "unit": "rad"} for joint in JOINTS}
    entries = [
        {"name": joint, "action": f"{joint}_target", "measured": joint, "unit": "rad", "low": -3.0, "high": 3.0}
        | {"max_step": 3.0}
        for joint in JOINTS
    ]
    return {
        "rate_hz": RATE_HZ,
        "inputs": {"joints": {"topic": "/joint_states", "type": JOINT_STATE, "max_age_s": 0.2, "entries": readings}},
        "command": {"topic": "/commands", "type": ARRAY, "on_loss": "hold", "entries": entries},
        **more,
    }


def joints(at_ns: int, positions: Sequence[float], stamp_ns: int | None = None, names: Sequence[str] = JOINTS) -> Sent:
    """Return a JointState that was received at a time, stamped 2 ms before unless the stamp is given."""
    types = STORE.types
    stamp = types["builtin_interfaces/msg/Time"](
        *divmod(at_ns - 2 * MS if stamp_ns is None else stamp_ns, 1_000_000_000)
    )
    header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="")
    empty = np.empty(0)
    message = types[JOINT_STATE](header, list(names), np.array(positions, np.float64), empty, empty)
    return Sent(at_ns, "/joint_states", JOINT_STATE, bytes(STORE.serialize_cdr(message, JOINT_STATE)))


def command(at_ns: int, values: Sequence[float], topic: str = "/commands") -> Sent:
    """Return a Float64MultiArray that was received at a time."""
    types = STORE.types
    layout = types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    message = types[ARRAY](layout, np.array(values, np.float64))
    return Sent(at_ns, topic, ARRAY, bytes(STORE.serialize_cdr(message, ARRAY)))


def marker(at_ns: int, kind: str, data: Any, topic: str = "/episode") -> Sent:
    """Return a message of std_msgs with `data` (None: no field) that was received at a time."""
    msgtype = f"std_msgs/msg/{kind}"
    message = STORE.types[msgtype]() if data is None else STORE.types[msgtype](data=data)
    return Sent(at_ns, topic, msgtype, bytes(STORE.serialize_cdr(message, msgtype)))


def drive(seconds: float = 2.0, at_ns: int = EPOCH_NS, *, shift: float = 0.0, hz: float = RATE_HZ) -> list[Sent]:
    """Return a recording: joints at 100 Hz, commands at `hz`; each value tells when it was sent.

    The shoulder is at the seconds since the beginning, the elbow at minus as much; commands are 1 rad above, in seconds
    of their own time.
    """
    sent = [joints(at_ns + k * 10 * MS, (shift + 0.01 * k, -shift - 0.01 * k)) for k in range(round(seconds * 100))]
    step_ns = round(1e9 / hz)
    times = range(30 * MS, round(seconds * 1e9), step_ns)
    sent += [command(at_ns + t, (shift + 1 + t * 1e-9, -shift - 1 - t * 1e-9)) for t in times]
    return sorted(sent, key=lambda one: one.at_ns)


def write_recording(
    path: Path, sent: Iterable[Sent], storage: str = "mcap", compression: str = "", *, definitions: bool = True
) -> Path:
    """Write a bag.

    Args:
        path: Its folder.
        sent: Messages, in the order in which they are written.
        storage: `mcap` or `sqlite3`.
        compression: `message` or `file`: as rosbag2 compresses sqlite3 bags.
        definitions: Whether types are described in the bag.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    writer = Writer(path, version=9, storage_plugin=plugin)
    if compression:
        writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    with writer:
        connections: dict[str, Any] = {}
        for one in sent:
            if one.topic not in connections:
                known = one.msgtype in STORE.types and definitions
                given = {"typestore": STORE} if known else {"msgdef": "", "rihs01": "RIHS01_" + "0" * 64}
                connections[one.topic] = writer.add_connection(one.topic, one.msgtype, **given)
            writer.write(connections[one.topic], one.at_ns, one.content)
    return path


def convert(folder: Path, *bags: Path, options: tuple[str, ...] = (), **more: Any) -> int:
    """Run `vdd demos from-bags` with the robot file of `document`, into `folder / "D"`; return the exit code."""
    robot = folder / "arm.yaml"
    robot.write_text(yaml.safe_dump(document(**more), sort_keys=False))
    return main(["demos", "from-bags", *map(str, bags), "--robot", str(robot), "--out", str(folder / "D"), *options])
