#!/bin/sh
# rosbags skips committed messages of a rosbag2 database that are still in its write-ahead log.
#
# Versions: rosbags 0.11.9 (with the apsw that it selects), sqlite3 of Python 3.11.
#
# rosbag2's storage preset "resilient" keeps its database in WAL mode, so that a killed recorder loses no committed message:
# they are in bag.db3-wal beside bag.db3 until a checkpoint. sqlite3 reads them, as does ros2 bag. rosbags opens databases
# with immutable=1, which makes SQLite ignore the log. It returns only the checkpointed messages, its count agrees, and it
# reports nothing.
#
# Remedy: if there is a non-empty -wal file beside the database, open a copy of both with sqlite3 (which checkpoints it), and
# read that.
#
# Output seen:
#   sqlite3: 12 messages; rosbags: states 10, gives 10
#   after a checkpoint, rosbags: states 12, gives 12
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check rosbags==0.11.9
cat > "$folder/try.py" <<'PYTHON'
import shutil
import sqlite3
import sys
from pathlib import Path

from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
KIND = "std_msgs/msg/Int64"
here = Path(sys.argv[1])


def content(k: int) -> bytes:
    return bytes(STORE.serialize_cdr(STORE.types[KIND](data=k), KIND))


def by_rosbags(file: Path) -> tuple[int, int]:
    with Reader(file) as reader:
        return reader.message_count, len(list(reader.messages()))


def by_sqlite(file: Path) -> int:
    with sqlite3.connect(file) as database:
        return int(database.execute("SELECT COUNT(*) FROM messages").fetchone()[0])


with Writer(here / "bag", version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
    connection = writer.add_connection("/count", KIND, typestore=STORE)
    for k in range(10):
        writer.write(connection, 1_000_000_000 + k, content(k))
recorder = sqlite3.connect(here / "bag" / "bag.db3")
recorder.execute("PRAGMA journal_mode=WAL")
rows = [(1_000_000_000 + k, content(k)) for k in (10, 11)]
recorder.executemany("INSERT INTO messages (topic_id, timestamp, data) VALUES (1, ?, ?)", rows)
recorder.commit()
shutil.copytree(here / "bag", here / "killed")  # what lies on the disk when the recorder is killed here
recorder.close()
(here / "killed" / "metadata.yaml").unlink()

file = here / "killed" / "bag.db3"
before = by_rosbags(file)
whole = by_sqlite(file)
print(f"sqlite3: {whole} messages; rosbags: states {before[0]}, gives {before[1]}")
with sqlite3.connect(file) as database:
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
database.close()
after = by_rosbags(file)
print(f"after a checkpoint, rosbags: states {after[0]}, gives {after[1]}")
sys.exit(0 if (before, whole, after) == ((10, 10), 12, (12, 12)) else 1)
PYTHON
"$folder/env/bin/python" "$folder/try.py" "$folder"
