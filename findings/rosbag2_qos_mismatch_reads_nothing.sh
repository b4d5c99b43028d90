#!/bin/sh
# rosbags returns no message of a rosbag2 folder, and no error, if the quality of service in metadata.yaml and in the MCAP
# file differ. Its stated count is right nevertheless.
#
# Versions: rosbags 0.11.9, mcap 1.6.0; Python 3.11.
#
# Such a bag arises when rosbags (or rosbag2) writes it and its .mcap is then recompressed with the mcap library, which
# copies schemas, channels and messages but not the channels' metadata. No other reader misses them. metadata.yaml still
# lists the profile that the channel no longer has. rosbags joins both by topic, type AND profiles, and skips what does not
# match, as does AnyReader. The file without its folder is read completely.
#
# Remedy: compare the messages read with Reader.message_count (or a connection's msgcount), and read the files one by one if
# some are missing.
#
# Output seen:
#   as recorded: 50 of 50 messages from the folder, 50 from the file
#   compressed anew: 0 of 50 messages from the folder, 50 from the file, AnyReader 0, no error
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
from mcap.writer import Writer as McapWriter
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
KIND = "std_msgs/msg/Int64"
NEVER = QosTime(9223372036, 854775807)
PROFILE = Qos(
    QosHistory.KEEP_LAST, 10, QosReliability.RELIABLE, QosDurability.VOLATILE, NEVER, NEVER,
    QosLiveliness.AUTOMATIC, NEVER, False,
)
bag = Path(sys.argv[1]) / "bag"


def counts() -> tuple[int, int, int]:
    """Return messages that the folder states and gives, and those that the file gives."""
    with Reader(bag) as reader:
        stated, given = reader.message_count, len(list(reader.messages()))
    with Reader(bag / "bag.mcap") as reader:
        return stated, given, len(list(reader.messages()))


def compress_anew(file: Path) -> None:
    other = file.with_suffix(".new")
    with file.open("rb") as old, other.open("wb") as new:
        reader, writer = make_reader(old), McapWriter(new)
        writer.start(profile="ros2")
        known = {}
        for schema, channel, message in reader.iter_messages():
            if channel.id not in known:
                number = writer.register_schema(schema.name, schema.encoding, schema.data)
                known[channel.id] = writer.register_channel(channel.topic, channel.message_encoding, number)
            writer.add_message(known[channel.id], message.log_time, message.data, message.publish_time)
        writer.finish()
    other.replace(file)


with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
    connection = writer.add_connection("/count", KIND, typestore=STORE, offered_qos_profiles=[PROFILE])
    for k in range(50):
        writer.write(connection, 1_000_000_000 + k, STORE.serialize_cdr(STORE.types[KIND](data=k), KIND))
before = counts()
print(f"as recorded: {before[1]} of {before[0]} messages from the folder, {before[2]} from the file")
compress_anew(bag / "bag.mcap")
after = counts()
with AnyReader([bag]) as any_reader:
    given = len(list(any_reader.messages()))
print(f"compressed anew: {after[1]} of {after[0]} messages from the folder, {after[2]} from the file, AnyReader {given}, no error")
sys.exit(0 if before == (50, 50, 50) and after == (50, 0, 50) and given == 0 else 1)
PYTHON
"$folder/env/bin/python" "$folder/try.py" "$folder"
