#!/bin/sh
# Three readers give three answers for a valid MCAP file without an index and with topics slightly out of order.
#
# Versions: rosbags 0.11.9, mcap 1.6.0; Python 3.11.
#
# MCAP does not require messages in time order. A recorder that takes topics from several threads and writes no chunks (or
# no message indexes), as small devices do, leaves files in which topics are some milliseconds out of step. The file below
# has an end, a schema and channels; each topic by itself is in order.
#  - mcap's make_reader sorts the messages and returns all.
#  - rosbags opens it, states the right count, and raises ReaderError during reading: "Unindexed MCAP messages are not in
#    timestamp order. Use an indexed file." Its output up to then is ordered and incomplete.
#  - rosbags, asked for one topic at a time, returns all of each: it does not compare topics.
#  - mcap's StreamReader (which needs no end) returns all in file order.
#
# Remedy: with rosbags, read topic by topic and merge by time.
#
# Output seen:
#   mcap, make_reader: 100 messages, in order
#   rosbags: states 100, gives 5, then ReaderError: Unindexed MCAP messages are not in timestamp order. Use an indexed file.
#   rosbags, one topic at a time: 50 and 50
#   mcap, StreamReader: 100 messages, not in order
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check rosbags==0.11.9 mcap==1.6.0
cat > "$folder/try.py" <<'PYTHON'
import sys
from pathlib import Path

from mcap.reader import make_reader
from mcap.records import Message
from mcap.stream_reader import StreamReader
from mcap.writer import IndexType, Writer
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
KIND = "std_msgs/msg/Int64"
file = Path(sys.argv[1]) / "unordered.mcap"
definition, _ = STORE.generate_msgdef(KIND, ros_version=2)

with file.open("wb") as stream:
    writer = Writer(stream, use_chunking=False, index_types=IndexType.NONE)
    writer.start(profile="ros2")
    schema = writer.register_schema(KIND, "ros2msg", definition.encode())
    early, late = (writer.register_channel(name, "cdr", schema) for name in ("/early", "/late"))
    for k in range(50):
        content = bytes(STORE.serialize_cdr(STORE.types[KIND](data=k), KIND))
        for channel, behind_ms in ((early, 0), (late, 4)):
            at_ns = 1_000_000_000 + 1_000_000 * (10 * k - behind_ms + (10 if k < 2 else 0) * (channel == late))
            writer.add_message(channel, at_ns, content, at_ns)
    writer.finish()


def ordered(times: list[int]) -> str:
    return "in order" if times == sorted(times) else "not in order"


with file.open("rb") as stream:
    sorted_times = [message.log_time for _, _, message in make_reader(stream).iter_messages()]
print(f"mcap, make_reader: {len(sorted_times)} messages, {ordered(sorted_times)}")

given, refusal = [], ""
with Reader(file) as reader:
    stated = reader.message_count
    try:
        for _, stamp, _ in reader.messages():
            given.append(stamp)
    except ReaderError as error:
        refusal = str(error)
    print(f"rosbags: states {stated}, gives {len(given)}, then ReaderError: {refusal}")
    alone = [len(list(reader.messages([connection]))) for connection in reader.connections]
print(f"rosbags, one topic at a time: {alone[0]} and {alone[1]}")

with file.open("rb") as stream:
    times = [record.log_time for record in StreamReader(stream).records if isinstance(record, Message)]
print(f"mcap, StreamReader: {len(times)} messages, {ordered(times)}")
as_seen = ordered(sorted_times) == "in order" and ordered(times) == "not in order"
as_seen &= (len(sorted_times), stated, alone, len(times)) == (100, 100, [50, 50], 100)
sys.exit(0 if as_seen and 0 < len(given) < 100 and "not in timestamp order" in refusal else 1)
PYTHON
"$folder/env/bin/python" "$folder/try.py" "$folder"
