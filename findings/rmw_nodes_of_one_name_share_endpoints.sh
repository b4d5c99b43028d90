#!/bin/sh
# Two nodes of one name in one context, for a moment only: after the first is destroyed, the graph no longer knows what the second
# had created before. The middleware finds the node of an endpoint by its name in the participant, takes the first, and
# forgets that node's endpoints with it. Topics go on working; questions by node name (ros2 node info) miss them for good.
#
# Versions: ros-jazzy-rclpy 7.1.6, ros-jazzy-rmw-fastrtps-cpp 8.4.3, x86_64.
#
# Remedy: destroy a node before another one takes its name; do not leave it to garbage collection.
#
# Output seen:
#   both nodes: ['/early', '/parameter_events', '/rosout']
#   the second alone: ['/late']
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install ros-jazzy-rclpy==7.1.6 ros-jazzy-rmw-fastrtps-cpp==8.4.3 ros-jazzy-std-msgs==5.3.6
cat > "$folder/nodes.py" <<'PY'
import sys

import rclpy
from rclpy.node import Node
from std_msgs.msg import Int32

rclpy.init()
first, second = Node("arm"), Node("arm")
second.create_publisher(Int32, "early", 1)


def published():
    return sorted(name for name, _ in second.get_publisher_names_and_types_by_node("arm", "/"))


both = published()
first.destroy_node()
second.create_publisher(Int32, "late", 1)
alone = published()
print("both nodes:", both)
print("the second alone:", alone, flush=True)
sys.exit("/early" not in both or alone != ["/late"])
PY
"$folder/venv/bin/python" "$folder/nodes.py"
