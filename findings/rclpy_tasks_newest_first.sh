#!/bin/sh
# rclpy: tasks given to an executor with create_task run newest first, not in the order in which they were given, if several
# wait when the executor looks. With asyncio's create_task and call_soon the oldest runs first.
#
# Versions: ros-jazzy-rclpy 7.1.6, ros-jazzy-rmw-fastrtps-cpp 8.4.3, CPython 3.11, x86_64 Linux; SingleThreadedExecutor.
#
# A thread that hands "send this goal" and then "cancel it" to the executor of its node has them run as cancel, then send,
# whenever both were given before the executor woke up: the goal is sent and never cancelled.
#
# Output seen: given 0 1 2 3 run 3 2 1 0
# Remedy: keep the newest wish in one place, and let a task of any age carry out what stands there.
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install "ros-jazzy-rclpy==7.1.6" "ros-jazzy-rmw-fastrtps-cpp==8.4.3"
cat > "$folder/try.py" <<'PYTHON'
import sys

import rclpy
from rclpy.executors import SingleThreadedExecutor

rclpy.init()
executor = SingleThreadedExecutor()
executor.add_node(rclpy.create_node("host"))
given, run = list(range(4)), []
for number in given:
    executor.create_task(run.append, number)
while len(run) < len(given):
    executor.spin_once(timeout_sec=1.0)
print("given", *given, "run", *run)
sys.exit(run != given[::-1])
PYTHON
ROS_DOMAIN_ID=${ROS_DOMAIN_ID:-78} ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST ROS_LOG_DIR="$folder" \
    "$folder/venv/bin/python" "$folder/try.py"
