"""A bag of an arm: joint states at 500 Hz, poses at 100 Hz and commands at 50 Hz, as one recorder receives them.

The commands pause for `PAUSE_S` of every `EPISODE_S`, between two episodes.
"""

import struct
from collections.abc import Iterator
from functools import cache
from itertools import count, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from vdd_ros.bags.schemas import schema_from
from vdd_ros.bags.writer import BagWriter
from vdd_ros.progress import each

JOINTS = tuple(f"joint_{number}" for number in range(1, 8))
JOINT_STATE = "sensor_msgs/msg/JointState"
POSE = "geometry_msgs/msg/PoseStamped"
ARRAY = "std_msgs/msg/Float64MultiArray"

EPISODE_S, PAUSE_S = 30, 2
RATE_HZ = 50
LATENCY_NS = 1_000_000
"""Time of a message from its stamp to its receipt."""
_BEGIN_NS = 1_800_000_000_000_000_000
_STAMP = struct.Struct("<iI")
_STAMP_PLACE = 4
_DRAWN = 997
"""Different messages of a topic; a prime, so that topics do not repeat together."""


class _Topic(NamedTuple):
    """A topic: name, type, messages per second, whether messages have a stamp."""

    name: str
    type: str
    rate_hz: int
    stamped: bool


TOPICS = (
    _Topic("/joint_states", JOINT_STATE, 500, True),
    _Topic("/tool_pose", POSE, 100, True),
    _Topic("/commands", ARRAY, 50, False),
)

_NUMBERS = "\n".join(
    f"    - {{name: {joint}, action: {joint}_target, measured: {joint}_position, unit: rad, low: -9, high: 9, "
    f"max_step: 9}}"
    for joint in JOINTS
)
ROBOT = f"""name: benchmark_arm
rate_hz: {RATE_HZ}

inputs:
  joints:
    topic: /joint_states
    type: {JOINT_STATE}
    max_age_s: 0.1
    joints: {{names: [{", ".join(JOINTS)}], unit: rad}}
  tool:
    topic: /tool_pose
    type: {POSE}
    max_age_s: 0.1
    entries:
      x: {{field: pose.position.x, unit: m}}
      y: {{field: pose.position.y, unit: m}}
      z: {{field: pose.position.z, unit: m}}
      tool: {{field: pose.orientation, rotation: six_d}}

command:
  topic: /commands
  type: {ARRAY}
  on_loss: hold
  entries:
{_NUMBERS}

demonstrations:
  episodes: {{gap_s: {PAUSE_S / 2}}}
"""
"""The robot file for the bag: 16 numbers observed, 7 commanded."""


def write_recording(path: Path, messages: int) -> None:
    """Write the bag.

    Args:
        path: The bag to make.
        messages: Number of messages, of all topics together.

    Raises:
        RecordingError: It exists, or cannot be written.
    """
    writer = BagWriter(path)
    connections = {topic.name: writer.add_topic(topic.name, topic.type) for topic in TOPICS}
    for name, stamp_ns, content in each(islice(_messages(), messages), messages, "the bag", "message"):
        writer.write_to(connections[name], stamp_ns, content)
    writer.close()


def joint_state(joints: int, random: np.random.Generator) -> bytes:
    """Return a serialised JointState of some joints with random numbers, without a frame."""
    names = [f"joint_{number}" for number in range(1, joints + 1)]
    lists = dict(zip(("position", "velocity", "effort"), random.normal(size=(3, joints)), strict=True))
    return serialized(JOINT_STATE, name=names, **lists)


def serialized(msgtype: str, **fields: Any) -> bytes:
    """Return a serialised message of a standard type; omitted fields have the defaults of its class."""
    store = _store()
    message = schema_from(store.fielddefs, msgtype).blank()
    for name, value in fields.items():
        setattr(message, name, value)
    return bytes(store.serialize_cdr(message, msgtype))


@cache
def _store() -> Any:
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_JAZZY)


def _messages() -> Iterator[tuple[str, int, bytes]]:
    """Yield topic, time of receipt and bytes of messages, in order, endlessly."""
    drawn = {topic: [bytearray(content) for content in contents] for topic, contents in _all_drawn().items()}
    most_hz = max(topic.rate_hz for topic in TOPICS)
    for tick in count():
        stamp_ns = _BEGIN_NS + tick * 1_000_000_000 // most_hz
        pauses = tick % (EPISODE_S * most_hz) >= (EPISODE_S - PAUSE_S) * most_hz
        for topic, contents in drawn.items():
            if tick % (most_hz // topic.rate_hz) == 0 and not (pauses and topic.type == ARRAY):
                content = contents[tick % _DRAWN]
                if topic.stamped:
                    _STAMP.pack_into(content, _STAMP_PLACE, *divmod(stamp_ns, 1_000_000_000))
                yield topic.name, stamp_ns + LATENCY_NS, bytes(content)


@cache
def _all_drawn() -> dict[_Topic, list[bytes]]:
    """Return the different messages of each topic."""
    random = np.random.default_rng(0)
    return {topic: [_drawn(topic.type, random) for _ in range(_DRAWN)] for topic in TOPICS}


def _drawn(msgtype: str, random: np.random.Generator) -> bytes:
    if msgtype == JOINT_STATE:
        return joint_state(len(JOINTS), random)
    if msgtype == ARRAY:
        return serialized(ARRAY, data=random.normal(size=len(JOINTS)))
    place, turn = random.normal(size=3), random.normal(size=4)
    pose = SimpleNamespace(
        position=SimpleNamespace(**dict(zip("xyz", place.tolist(), strict=True))),
        orientation=SimpleNamespace(**dict(zip("xyzw", (turn / np.linalg.norm(turn)).tolist(), strict=True))),
    )
    return serialized(POSE, pose=pose)
