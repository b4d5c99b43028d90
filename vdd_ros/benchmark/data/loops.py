"""One reading of a bag in a process of its own: `python -m vdd_ros.benchmark.data.loops LOOP BAG`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from vdd_ros.bags.raw_messages import RawBag
from vdd_ros.bags.types import format_of
from vdd_ros.benchmark.data.recording import ARRAY, JOINT_STATE, JOINTS, POSE
from vdd_ros.errors import RecordingError
from vdd_ros.robot.cdr.columns import read_columns
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.cdr.readers import NumberReader
from vdd_ros.robot.layouts import ArrayLayout, FieldLayout, JointLayout
from vdd_ros.robot.raw_messages import SelectiveLayout


def by_rosbags(bag: Path) -> int:
    """Deserialise every message with rosbags; return how many there were."""
    from rosbags.rosbag2 import Reader
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    found = 0
    with Reader(bag) as reader:
        for connection, _, content in reader.messages():
            store.deserialize_cdr(content, connection.msgtype)
            found += 1
    return found


def raw_by_rosbags(bag: Path) -> int:
    """Read every message with rosbags as bytes."""
    from rosbags.rosbag2 import Reader

    with Reader(bag) as reader:
        return sum(1 for _ in reader.messages())


def by_field(bag: Path) -> int:
    """Read the positions, the pose and the command out of every message, in the order of receipt."""
    found, out = 0, np.empty(len(JOINTS))
    with RawBag(bag) as opened:
        readers = {id(channel): _reader(format_of(channel)) for channel in opened.channels}
        for channel, _, _, content in opened.messages():
            readers[id(channel)].read(content, out)
            found += 1
    return found


def by_column(bag: Path) -> int:
    """Read the same out of all messages of a topic in each part of the bag at once."""
    found = 0
    with RawBag(bag) as opened:
        readers = {id(channel): _reader(format_of(channel)) for channel in opened.channels}
        for batch in opened.batches():
            contents: dict[int, list[bytes]] = {key: [] for key in readers}
            for channel, _, _, content in batch:
                contents[id(channel)].append(content)
            for key, reader in readers.items():
                read = read_columns(reader, contents[key], len(JOINTS))
                if read.errors:
                    raise next(iter(read.errors.values()))
                found += len(read.numbers)
    return found


def raw(bag: Path) -> int:
    """Read every message as bytes."""
    with RawBag(bag) as opened:
        return sum(1 for _ in opened.messages())


LOOPS: dict[str, Callable[[Path], int]] = {
    "rosbags": by_rosbags,
    "rosbags, as bytes": raw_by_rosbags,
    "vdd_ros": by_column,
    "vdd_ros, one by one": by_field,
    "vdd_ros, as bytes": raw,
}


LAYOUTS: dict[str, SelectiveLayout] = {
    JOINT_STATE: JointLayout([(joint, "position") for joint in JOINTS]),
    POSE: FieldLayout([*(f"pose.position.{axis}" for axis in "xyz"), *(f"pose.orientation.{axis}" for axis in "xyzw")]),
    ARRAY: ArrayLayout(len(JOINTS)),
}
"""What is read of each type: seven numbers."""


def main(loop: str, bag: str) -> None:
    """Run a loop and print messages, seconds and peak memory as JSON."""
    began = perf_counter()
    messages = LOOPS[loop](Path(bag))
    seconds = perf_counter() - began
    print(json.dumps({"messages": messages, "seconds": seconds, "peak_bytes": _peak_bytes()}))


def _peak_bytes() -> int:
    """Return the most memory that this process had; `ru_maxrss` would be at least that of the process that began it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(peak) << 10


def _reader(form: MessageFormat) -> NumberReader:
    if form.schema is None:
        raise RecordingError(f"the structure of {form.type} is unknown")
    return NumberReader(form.schema, LAYOUTS[form.type])


if __name__ == "__main__":
    main(*sys.argv[1:])
