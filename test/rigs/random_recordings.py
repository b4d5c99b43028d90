"""Recordings of an arm with everything that goes wrong, from a seed, without a file; and robot files for them."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vdd_ros.bags.blocks import MessageBlock
from vdd_ros.bags.contents import Channel, StoredMessage
from vdd_ros.recordings.topics import SERVICE_EVENT

EPOCH_NS = 1_700_000_000_000_000_000
MS = 1_000_000
JOINT_STATE, POSE, ARRAY = (
    "sensor_msgs/msg/JointState",
    "geometry_msgs/msg/PoseStamped",
    "std_msgs/msg/Float64MultiArray",
)
CHANNELS = (
    Channel("/joint_states", JOINT_STATE),
    Channel("/tool", POSE),
    Channel("/goal", POSE),
    Channel("/commands", ARRAY),
    Channel("/gripper", ARRAY),
    Channel("/episode", "std_msgs/msg/Bool"),
    Channel("/go" + SERVICE_EVENT, "std_srvs/srv/Trigger_Event"),
    Channel("/joint_states", JOINT_STATE),  # as of another file of the bag
)
JOINTS, TOOL, GOAL, COMMANDS, GRIPPER, EPISODE, GO, MORE_JOINTS = range(len(CHANNELS))
_WAITS_MS = (0, 0.0001, 0.1, 0.3, 1, 5, 10, 10, 20, 20, 50)


def robot_document(variant: int) -> dict[str, Any]:
    """Return a robot file: units, offsets, rotations, differences, last commands, kept inputs, by bits of a number."""
    given = f"{variant:011b}"
    skew, limits, arrival, kept, encoded, minus, last, two, relative, gaps, marks = (bit == "1" for bit in given)
    joint = {"interface": "position", "unit": "deg", "max_rate": 200.0 if limits else float("inf")}
    entries: dict[str, Any] = {
        "shoulder": {"joint": "shoulder", **joint, "scale": 57.3},
        "elbow": {"joint": "elbow", **joint, "offset": 0.1},
    }
    if minus:
        entries["bend"] = {"joint": "wrist", "interface": "position", "unit": "rad", "minus": "shoulder"}
    pose: dict[str, Any] = {"x": {"field": "pose.position.x", "unit": "cm", "max_rate": 500.0}}
    if encoded:
        pose["turn"] = {"field": "pose.orientation", "rotation": "six_d"}
    inputs: dict[str, Any] = {
        "joints": {"topic": "/joint_states", "type": JOINT_STATE, "max_age_s": 0.2, "entries": entries},
        "tool": {"topic": "/tool", "type": POSE, "max_age_s": 0.4, "entries": pose},
        "goal": {
            "topic": "/goal",
            "type": POSE,
            "max_age_s": 0.3,
            "entries": {"goal_y": {"field": "pose.position.y", "unit": "m"}},
        },
    }
    inputs["tool"] |= {"stamp": "arrival"} if arrival else {}
    inputs["goal"] |= {"when_stale": "keep"} if kept else {}
    number = {"unit": "rad", "low": -3.0, "high": 3.0, "max_step": 0.05 if limits else 3.0}
    arm = [{"name": n, "action": f"{n}_target", "measured": n, **number} for n in ("shoulder", "elbow")]
    if relative:
        arm[0]["relative_to"], arm[1]["relative_to"] = "shoulder", "last_command"
    commands: dict[str, Any] = {"arm": {"topic": "/commands", "type": ARRAY, "on_loss": "hold", "entries": arm}}
    rules: dict[str, Any] = {"max_delay_s": 0.25, "when_interrupted": "divide" if skew else "leave_out"}
    if two:
        finger = [{"name": "finger", "action": "finger_target", "scale": 2.0, "offset": 0.5, **number}]
        commands["gripper"] = {"topic": "/gripper", "type": ARRAY, "on_loss": "hold", "entries": finger}
        rules["commands"] = {"gripper": {"when_silent": "keep"}}
    if last:
        inputs["before"] = {"command": "arm", "entries": "all"}
    if gaps:
        rules["episodes"] = {"gap_s": 0.3}
    elif marks:
        rules["episodes"] = {"start": "/go"} if kept else {"topic": "/episode"}
    return {"rate_hz": 20.0, "inputs": inputs, "commands": commands, "demonstrations": rules} | (
        {"max_skew_s": 0.06} if skew else {}
    )


def recording(seed: int, count: int, trouble: float) -> list[StoredMessage]:
    """Return messages in the order of receipt; `trouble` is the share of those with which something is wrong."""
    random = np.random.default_rng(seed)
    now_ns, found, before = EPOCH_NS, [], dict.fromkeys(range(len(CHANNELS)), EPOCH_NS)
    weights = np.array([8, 4, 2, 6, 2, 0.3, 0.3, 2])
    weights[GOAL] *= random.choice([0.2, 1])
    weights[GRIPPER] *= random.choice([0.1, 1])
    values = random.uniform(-0.5, 0.5, 8)
    first = list(random.permutation([JOINTS, TOOL, GOAL, COMMANDS, GRIPPER]))
    waits = random.choice(_WAITS_MS, size=4)
    for number in range(count):
        now_ns += int(random.choice(waits) * MS)
        if random.random() < 0.02:
            now_ns += int(random.choice([150, 400, 900]) * MS)
        channel = int(first.pop() if first else random.choice(len(CHANNELS), p=weights / weights.sum()))
        values = values + random.normal(size=8) * 0.001
        bad = random.random() < trouble
        stamp_ns = now_ns - int(random.choice([0, 1, 2])) * MS
        if bad and random.random() < 0.5:
            late_ms = random.choice([30, 150, 350, 5000, -2, -20, -60, -150, -500])
            stamp_ns = int(random.choice([0, before[channel], now_ns - int(late_ms) * MS]))
        before[channel] = stamp_ns
        content = _content(random, channel, number, stamp_ns, values.copy(), bad=bad)
        found.append(StoredMessage(CHANNELS[channel], now_ns, now_ns, content))
    return found


def _content(random: Any, channel: int, number: int, stamp_ns: int, values: Any, *, bad: bool) -> bytes:
    names = ["wrist", "elbow", "shoulder"] if random.random() < 0.9 else ["shoulder", "wrist", "elbow", "other"]
    if bad:
        trouble = int(random.integers(8))
        if trouble < 4:
            values[random.integers(8)] = [np.nan, np.inf, 1e39, 3.0][trouble]
        elif trouble == 4:
            names = [["finger", "thumb"], ["shoulder"], [], ["elbow", "elbow", "shoulder", "wrist"]][random.integers(4)]
        elif trouble == 5:
            values = values[:1]
    if channel in (JOINTS, MORE_JOINTS):
        content = _header(stamp_ns) + _texts(names) + _list(np.resize(values, len(names)), _header(0) + _texts(names))
    elif channel in (TOOL, GOAL):
        turn = np.resize(values, 4)
        if not bad or random.random() < 0.7:
            turn = np.nan_to_num(turn, posinf=1.0) / np.linalg.norm(np.nan_to_num(turn, posinf=1.0))
        content = _header(stamp_ns) + b"\0" * 3 + np.concatenate([np.resize(values, 3), turn]).astype("<f8").tobytes()
    elif channel in (COMMANDS, GRIPPER):
        sent = values[: 2 if channel == COMMANDS else 1]
        content = struct.pack("<III", 0, 0, len(sent)) + b"\0" * 4 + np.asarray(sent, "<f8").tobytes()
    elif channel == EPISODE:
        content, bad = bytes([number % 3 > 0]), False
    else:
        content = struct.pack("<B3xiI16s4xqII", 0, 1, 2, b"c" * 16, number // 2, 0, 0)
        bad = False
    content = b"\0\1\0\0" + content  # little-endian CDR
    return content[: random.integers(1, len(content))] if bad and random.random() < 0.1 else content


def _header(stamp_ns: int) -> bytes:
    """Return a stamp and an empty frame; 16 bytes, so that what follows is aligned as if it stood alone."""
    return struct.pack("<iII", *divmod(stamp_ns, 1_000_000_000), 1) + b"\0"


def _texts(names: list[str]) -> bytes:
    found = b"\0" * 3 + struct.pack("<I", len(names))  # behind the frame's one byte
    for name in names:
        found += b"\0" * (-(13 + len(found)) % 4) + struct.pack("<I", len(name) + 1) + name.encode() + b"\0"
    return found


def _list(values: Any, before: bytes) -> bytes:
    found = b"\0" * (-len(before) % 4) + struct.pack("<I", len(values))
    if len(values):
        found += b"\0" * (-(len(before) + len(found)) % 8) + np.asarray(values, "<f8").tobytes()
    return found + struct.pack("<II", 0, 0)


class MadeBag:
    """Stands for `RawBag`: messages in lists or blocks of a given size.

    Args:
        messages: The messages.
        size: Messages of a block.
    """

    def __init__(self, messages: list[StoredMessage], size: int) -> None:
        self._messages, self._size = messages, size
        self.channels = list(CHANNELS)

    @contextmanager
    def open(self, path: Path, wanted: Any) -> Iterator["MadeBag"]:
        """Stand for the class."""
        yield self

    def counts(self) -> list[int]:
        """See RawBag."""
        return [sum(one.channel is channel for one in self._messages) for channel in CHANNELS]

    def messages(self, places: Any) -> Iterator[StoredMessage]:
        """See RawBag."""
        wanted = {id(CHANNELS[place]) for place in places}
        return (one for one in self._messages if id(one.channel) in wanted)

    def blocks(self, places: Any) -> Iterator[MessageBlock]:
        """See RawBag."""
        found, numbers = list(self.messages(places)), {id(channel): place for place, channel in enumerate(CHANNELS)}
        for first in range(0, len(found), self._size):
            yield MessageBlock.of(found[first : first + self._size], numbers)
