#!/bin/sh
# rclpy on Fast DDS: after a stream of messages, Publisher.wait_for_all_acked can take three seconds although all have
# arrived. After one message of a transient-local publisher it takes milliseconds.
#
# Versions: ros-jazzy-rclpy 7.1.6, ros-jazzy-rmw-fastrtps-cpp 8.4.3, CPython 3.10 to 3.13, x86_64 Linux.
#
# A reliable reader acknowledges when the writer sends a heartbeat. Fast DDS's writer sends one every three seconds, and the
# call may have to wait for it. With a timeout of a second it then fails, which does not mean that a message was lost.
# Whether it has to wait depends on the load of the machine. A transient-local publisher with one message gets its answer at
# once.
#
# Seen, 20 messages at 200 Hz and then the call, up to 40 times, with a limit of 4 s:
#   volatile, depth 10:       in one run 2.8 to 2.9 s each time, in another 0.0 s or 2.8 to 2.9 s
#   transient local, depth 1: 0 to 6 ms
# Remedy: wait for acknowledgement on a latched topic with a single message, or leave a gap; never treat a timeout as loss.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install "ros-jazzy-rclpy==7.1.6" "ros-jazzy-rmw-fastrtps-cpp==8.4.3" "ros-jazzy-std-msgs==5.3.6"
cat > "$folder/try.py" <<'PYTHON'
import subprocess
import sys
import time

import rclpy
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Int64

PROFILES = {
    "volatile": QoSProfile(depth=10),
    "latched": QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL),
}
rclpy.init()
if sys.argv[1:] == ["listen"]:
    node = rclpy.create_node("listener")
    for topic, profile in PROFILES.items():
        node.create_subscription(Int64, topic, lambda message: None, profile)
    rclpy.spin(node)
listener = subprocess.Popen([sys.executable, __file__, "listen"])
try:
    node, took = rclpy.create_node("talker"), {}
    for topic, profile in PROFILES.items():
        publisher, took[topic] = node.create_publisher(Int64, topic, profile), []
        while not publisher.get_subscription_count():
            time.sleep(0.05)
        while len(took[topic]) < (40 if topic == "volatile" else 9) and max(took[topic], default=0) < 0.5:
            for number in range(20 if topic == "volatile" else 1):
                publisher.publish(Int64(data=number))
                time.sleep(0.005)
            began = time.perf_counter()
            acknowledged = publisher.wait_for_all_acked(Duration(seconds=4))
            took[topic].append(time.perf_counter() - began)
            assert acknowledged
        print(topic, ["%.3f s" % seconds for seconds in took[topic]])
finally:
    listener.kill()
sys.exit(not (max(took["volatile"]) > 0.5 and sorted(took["latched"])[4] < 0.2))
PYTHON
ROS_DOMAIN_ID=${ROS_DOMAIN_ID:-78} ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST ROS_LOG_DIR="$folder" \
    "$folder/venv/bin/python" "$folder/try.py"
