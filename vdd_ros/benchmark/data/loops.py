"""One reading of a bag in a process of its own: `python -m vdd_ros.benchmark.data.loops LOOP BAG`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from vdd_ros.bags.raw_messages import RawBag
from vdd_ros.bags.types import format_of
from vdd_ros.benchmark.data.recording import ARRAY, JOINT_STATE, JOINTS, POSE, ROBOT
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
        readers = [_reader(format_of(channel)) for channel in opened.channels]
        for block in opened.blocks():
            for place, reader in enumerate(readers):
                contents = block.contents.taken(np.flatnonzero(block.places == place))
                read = read_columns(reader, contents, len(JOINTS))
                if read.errors:
                    raise next(iter(read.errors.values()))
                found += len(read.numbers)
    return found


def raw(bag: Path) -> int:
    """Read every message as bytes."""
    with RawBag(bag) as opened:
        return sum(1 for _ in opened.messages())


def to_demonstrations(bag: Path) -> int:
    """Make demonstrations of the bag, with all steps of `vdd demos from-bags`."""
    from vdd_ros.recordings.bag_list import list_bags
    from vdd_ros.recordings.conversion import convert
    from vdd_ros.recordings.form import SamplingForm
    from vdd_ros.robot.robot_file import RobotFile

    with TemporaryDirectory(dir=bag.parent) as folder:
        file = Path(folder) / "arm.yaml"
        file.write_text(ROBOT, encoding="utf-8")
        robot = RobotFile.load(file)
        record = convert(list_bags([bag]), SamplingForm.of(robot), robot, Path(folder) / "set").record
    return sum(one.messages for one in record.bags)


ROSBAGS, COLUMNS, CONVERSION = "rosbags", "vdd_ros", "vdd demos from-bags"
LOOPS: dict[str, Callable[[Path], int]] = {
    ROSBAGS: by_rosbags,
    "rosbags, as bytes": raw_by_rosbags,
    COLUMNS: by_column,
    "vdd_ros, one by one": by_field,
    "vdd_ros, as bytes": raw,
    CONVERSION: to_demonstrations,
}


LAYOUTS: dict[str, SelectiveLayout] = {
    JOINT_STATE: JointLayout([(joint, "position") for joint in JOINTS]),
    POSE: FieldLayout([*(f"pose.position.{axis}" for axis in "xyz"), *(f"pose.orientation.{axis}" for axis in "xyzw")]),
    ARRAY: ArrayLayout(len(JOINTS)),
}
"""The fields to read of each type: seven numbers."""


def main(loop: str, bag: str) -> None:
    """Run a loop and print messages, seconds and peak memory as JSON."""
    began = perf_counter()
    messages = LOOPS[loop](Path(bag))
    seconds = perf_counter() - began
    print(json.dumps({"messages": messages, "seconds": seconds, "peak_bytes": _peak_bytes()}))


def _peak_bytes() -> int:
    """Return the peak memory of this process; `ru_maxrss` would be at least that of the process that started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(peak) << 10


def _reader(form: MessageFormat) -> NumberReader:
    if form.schema is None:
        raise RecordingError(f"the structure of {form.type} is unknown")
    return NumberReader(form.schema, LAYOUTS[form.type])


if __name__ == "__main__":
    main(*sys.argv[1:])
