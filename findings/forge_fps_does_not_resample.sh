#!/bin/sh
# `forge convert recording.mcap out --format lerobot-v3 --fps 50` does not convert to 50 frames a second. It writes one frame
# for each joint state and states 50 in info.json; without --fps it states the messages a second of all topics together.
#
# Versions: forge-robotics 0.2.0, mcap 1.6.0, mcap-ros2-support 0.6.0, pyarrow 26.0.1, rosbags 0.11.9 (which writes the
# recording); Python 3.11, x86_64.
#
# The recording has joint states at 500 Hz, a pose at 100 Hz and commands at 50 Hz, with a pause of 1 s in the commands. The
# package's description of MCAP says that a frame is made for each message of the primary topic. What follows from that:
#  - No rate in info.json is that of the frames. A chunk of 50 actions spans 0.1 s, not the second that the file states.
#  - Timestamps are seconds since 1970, not since the start of the episode, which info.json declares as float32. In that type
#    (steps of 128 s in these years) all frames of the recording have the same time.
#  - The pose is left out without a word.
#  - The pause is filled with the nearest command, in its second half one that had not been given yet. A warning counts them.
#
# Remedy: before, thin the joint states out to the wanted rate and give that rate as --fps; after, subtract the first
# timestamp of each episode.
#
# Output seen:
#   --fps 50: 2000 frames, 2.0 ms apart; info.json states 50 fps
#   without --fps: 2000 frames, 2.0 ms apart; info.json states 637 fps
#   first timestamp 1700000000, different ones as float64 2000, as float32 1; columns action, observation.state
#   greatest distance of an action from its state in time: 0.51 s
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    forge-robotics==0.2.0 mcap==1.6.0 mcap-ros2-support==0.6.0 pyarrow==26.0.1 rosbags==0.11.9
cat > "$folder/record.py" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = STORE.types
START = 1_700_000_000 * 10**9
JOINTS, POSE, COMMAND = "sensor_msgs/msg/JointState", "geometry_msgs/msg/PoseStamped", "std_msgs/msg/Float64MultiArray"
TOPICS = {JOINTS: ("/joint_states", 2), POSE: ("/arm/pose", 10), COMMAND: ("/controller/commands", 20)}


def message(kind: str, time: int):
    """Return a message whose first number is the time in s since the start."""
    header = TYPES["std_msgs/msg/Header"](TYPES["builtin_interfaces/msg/Time"](time // 10**9, time % 10**9), "base")
    numbers = np.array([(time - START) / 1e9, 0.0])
    if kind == JOINTS:
        return TYPES[kind](header, ["shoulder", "elbow"], numbers, np.zeros(2), np.zeros(2))
    if kind == COMMAND:
        return TYPES[kind](TYPES["std_msgs/msg/MultiArrayLayout"]([], 0), numbers)
    point = TYPES["geometry_msgs/msg/Point"](numbers[0], 0.0, 0.0)
    turn = TYPES["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
    return TYPES[kind](header, TYPES["geometry_msgs/msg/Pose"](point, turn))


with Writer(Path(sys.argv[1]), version=9, storage_plugin=StoragePlugin.MCAP) as writer:
    connections = {kind: writer.add_connection(topic, kind, typestore=STORE) for kind, (topic, _) in TOPICS.items()}
    times = [(START + ms * 10**6, kind) for kind, (_, step) in TOPICS.items() for ms in range(0, 4000, step)]
    for time, kind in sorted(times):
        if kind != COMMAND or not 2.0 <= (time - START) / 1e9 < 3.0:
            writer.write(connections[kind], time, STORE.serialize_cdr(message(kind, time), kind))
PYTHON
cat > "$folder/look.py" <<'PYTHON'
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

for name, folder in (("--fps 50", "fifty"), ("without --fps", "free")):
    output = Path(sys.argv[1]) / folder
    table = pq.read_table(output / "data" / "chunk-000" / "file-000.parquet")
    times = table["timestamp"].to_numpy()
    step = 1000 * (times[-1] - times[0]) / (len(times) - 1)
    stated = json.loads((output / "meta" / "info.json").read_text())
    print(f"{name}: {len(times)} frames, {step:.1f} ms apart; info.json states {stated['fps']} fps")
different = len(set(times.tolist())), len(set(times.astype(stated["features"]["timestamp"]["dtype"]).tolist()))
columns = ", ".join(sorted(set(stated["features"]) - {"timestamp", "frame_index", "episode_index", "index", "task_index"}))
as_declared = f"as float64 {different[0]}, as float32 {different[1]}"
print(f"first timestamp {times[0]:.0f}, different ones {as_declared}; columns {columns}")
early_or_late = np.abs(np.array(table["action"].to_pylist())[:, 0] - np.array(table["observation.state"].to_pylist())[:, 0])
print(f"greatest distance of an action from its state in time: {early_or_late.max():.2f} s")
PYTHON
"$folder/env/bin/python" "$folder/record.py" "$folder/bag"
for output in "fifty --fps 50" "free"; do
    set -- $output
    name=$1
    shift
    "$folder/env/bin/forge" convert "$folder/bag/bag.mcap" "$folder/$name" --format lerobot-v3 "$@" > "$folder/log" 2>&1
done
"$folder/env/bin/python" "$folder/look.py" "$folder" | tee "$folder/seen"
sed -n '/^# Output seen/,/^#$/s/^#   //p' "$0" > "$folder/expected"
cmp "$folder/expected" "$folder/seen"
