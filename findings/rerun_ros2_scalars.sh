#!/bin/sh
# Rerun plots a std_msgs/Float64MultiArray with one number, but not a std_msgs/Float64; it drops labels in the layout.
#
# Versions: rerun-sdk 0.41.0, rosbags 0.11.9; Python 3.11, x86_64.
#
# Rerun imports a ROS 2 mcap file with one decoder per message type. Float64MultiArray becomes one series per number
# (component Scalars) without names, even if layout.dim has a label for each: a stamp among them flattens all other lines.
# Float64, Int64 and TwistStamped have no decoder: they are imported by reflection, as a structure that no plot shows by
# default. Of the standard messages, only JointState gives named series (SeriesLines:names), one entity each for position,
# velocity and effort; NaN is a gap.
#
# Output seen:
#   /array: Scalars:scalars
#   /array_of_one: Scalars:scalars
#   /joints/effort: Scalars:scalars SeriesLines:names
#   /joints/position: Scalars:scalars SeriesLines:names
#   /joints/velocity: Scalars:scalars SeriesLines:names
#   /number: std_msgs.msg.Float64:message
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check rerun-sdk==0.41.0 rosbags==0.11.9
cat > "$folder/try.py" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
from rerun.chunk import McapReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

store = get_typestore(Stores.ROS2_JAZZY)
types = store.types
label = types["std_msgs/msg/MultiArrayDimension"]
layout, header = types["std_msgs/msg/MultiArrayLayout"], types["std_msgs/msg/Header"]


def array(labels):
    dims = [label(label=name, size=1, stride=1) for name in labels]
    return types["std_msgs/msg/Float64MultiArray"](layout=layout(dim=dims, data_offset=0), data=np.ones(len(labels)))


stamp = types["builtin_interfaces/msg/Time"](sec=1, nanosec=0)
messages = {
    "/array": array(["a", "b"]),
    "/array_of_one": array(["a"]),
    "/number": types["std_msgs/msg/Float64"](data=1.0),
    "/joints": types["sensor_msgs/msg/JointState"](
        header=header(stamp=stamp, frame_id=""), name=["a", "b"],
        position=np.array([1.0, np.nan]), velocity=np.ones(2), effort=np.ones(2),
    ),
}
bag = Path(sys.argv[1]) / "bag"
with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
    for topic, message in messages.items():
        connection = writer.add_connection(topic, message.__msgtype__, typestore=store)
        writer.write(connection, 10**18, store.serialize_cdr(message, message.__msgtype__))
found = {}
for chunk in McapReader(bag / "bag.mcap").stream().to_chunks():
    names = [n for n in chunk.to_record_batch().schema.names if n.startswith(("Scalars:", "SeriesLines:", "std_msgs."))]
    if names:
        found[str(chunk.entity_path)] = names
for entity in sorted(found):
    print(f"{entity}: {' '.join(found[entity])}")
named = ["Scalars:scalars", "SeriesLines:names"]
expected = {"/array": named[:1], "/array_of_one": named[:1], "/number": ["std_msgs.msg.Float64:message"]}
expected |= {f"/joints/{part}": named for part in ("position", "velocity", "effort")}
sys.exit(found != expected)
PYTHON
"$folder/env/bin/python" "$folder/try.py" "$folder"
