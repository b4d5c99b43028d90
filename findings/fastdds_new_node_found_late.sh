#!/bin/sh
# rclpy on Fast DDS: a node that starts beside one that runs already often finds it, and is found, only after up to three
# seconds, although it announces itself five times in its first half second.
#
# Versions: ros-jazzy-rclpy 7.1.6, ros-jazzy-rmw-fastrtps-cpp 8.4.3 (Fast DDS 2.14.5), ros-jazzy-std-msgs 5.3.6; Python 3.11,
# x86_64 Linux.
#
# In those starts the pair matches with the next announcement of the node that runs, and Fast DDS sends one every three
# seconds. Neither load nor lost packets explain it: below, nodes start in turns beside three talkers in domains of their own,
# and only the talker that announces itself each half second is found soon each time. Thirty announcements at the start
# instead of five change little. It is so with and without shared memory, and with discovery of this host or of the network;
# the kernel counted no dropped datagram.
# So a latched message, a service or a parameter is missing for seconds in one start and there at once in the next, and
# waits of one or two seconds fail now and then.
#
# Remedy: wait at least four seconds before something counts as missing; or give the nodes that run longest a profile with a
# short leaseAnnouncement, as below (Fast DDS 2 takes the file from FASTRTPS_DEFAULT_PROFILES_FILE).
#
# Output seen (seconds from the creation of the node, sorted; the numbers vary):
#   as it comes:           0.13 0.17 1.53 1.57 1.64 1.65 1.66 1.69 1.96 1.99 1.99 2.83
#   30 at the start:       0.14 0.15 0.15 0.18 1.64 1.87 2.04 2.06 2.13 2.37 2.38 2.42
#   each half second:      0.13 0.16 0.17 0.20 0.42 0.56 0.57 0.60 0.68 0.72 0.72 0.83
#
# Exits with 0 while some of the first take more than 1.5 s and more of them than of the last, with 1 otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH FASTRTPS_DEFAULT_PROFILES_FILE || true
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    ros-jazzy-rclpy==7.1.6 ros-jazzy-rmw-fastrtps-cpp==8.4.3 ros-jazzy-std-msgs==5.3.6
cat > "$folder/node.py" <<'PYTHON'
import sys
import time

import rclpy
from std_msgs.msg import Int64

rclpy.init()
began = time.perf_counter()
node = rclpy.create_node(sys.argv[1])
if sys.argv[1] == "talker":
    publisher = node.create_publisher(Int64, "topic", 10)
    print("ready", flush=True)
else:
    subscription = node.create_subscription(Int64, "topic", lambda message: None, 10)
    while not node.count_publishers("topic") and time.perf_counter() - began < 20:
        time.sleep(0.01)
    print(time.perf_counter() - began, flush=True)
sys.stdin.read()
node.destroy_node()
rclpy.shutdown()
PYTHON
cat > "$folder/try.py" <<'PYTHON'
import os
import subprocess
import sys
import time
from pathlib import Path

STARTS = 12
SETTINGS = {
    "as it comes": "",
    "30 at the start": "<initialAnnouncements><count>30</count><period><nanosec>100000000</nanosec></period>"
    "</initialAnnouncements>",
    "each half second": "<leaseAnnouncement><sec>0</sec><nanosec>500000000</nanosec></leaseAnnouncement>",
}
PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<dds xmlns="http://www.eprosima.com"><profiles><participant profile_name="one" is_default_profile="true"><rtps><builtin>
<discovery_config>{}</discovery_config>
</builtin></rtps></participant></profiles></dds>
"""
folder = Path(__file__).parent
first = int(os.environ.get("ROS_DOMAIN_ID", 79))


def start(role, number, name):
    """Start a node in a domain of its own setting; it ends when its input does."""
    environment = os.environ | {"ROS_DOMAIN_ID": str(first + number)}
    # "each half second" is a setting of the talker alone: the nodes that join have the defaults
    if SETTINGS[name] and (role == "talker" or name == "30 at the start"):
        file = folder / f"{number}.xml"
        file.write_text(PROFILE.format(SETTINGS[name]))
        environment["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(file)
    command = [sys.executable, folder / "node.py", role]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def end(process):
    process.stdin.close()
    process.wait()


talkers = [start("talker", number, name) for number, name in enumerate(SETTINGS)]
for talker in talkers:
    talker.stdout.readline()
time.sleep(2)  # their own announcements at the start are over
took = {name: [] for name in SETTINGS}
for _ in range(STARTS):
    for number, name in enumerate(SETTINGS):
        listener = start("listener", number, name)
        took[name].append(float(listener.stdout.readline()))
        end(listener)
        time.sleep(0.13)  # so that starts fall on all phases of the three seconds
for talker in talkers:
    end(talker)
for name, seconds in took.items():
    print(f"{name + ':':22}", *(f"{one:.2f}" for one in sorted(seconds)))
late = {name: sum(one > 1.5 for one in seconds) for name, seconds in took.items()}
sys.exit(not late["as it comes"] > late["each half second"])
PYTHON
ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST ROS_LOG_DIR="$folder" "$folder/env/bin/python" "$folder/try.py"
