#!/bin/sh
# rclpy reports a subscription's own QoSProfile, as read back from the graph, as incompatible with the profile that it was
# created with, although messages arrive.
#
# Versions: ros-jazzy-rclpy 7.1.6, ros-jazzy-rmw-fastrtps-cpp, Fast DDS, CPython 3.10 to 3.13, x86_64.
#
# A QoSProfile without deadline and liveliness_lease_duration has zeros, which mean "not set". The graph
# (get_subscriptions_info_by_topic) has the middleware's translation: infinite. rclpy.qos.qos_check_compatible takes any
# non-zero value on the subscription's side as a requirement. A tool that compares its own profile with the graph's finds
# every default publisher incompatible with every default subscription. Two profiles from the graph compare correctly.
#
# Seen:
#   own with own:     WARNING
#   own with graph:   ERROR  Subscription has a deadline, but publisher does not; ... liveliness lease duration ...
#   graph with graph: OK
#   a message arrived: True
# Remedy: before comparing, replace zeros by rclpy.duration.Infinite, and SYSTEM_DEFAULT liveliness by AUTOMATIC.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "ros-jazzy-rclpy==7.1.6" ros-jazzy-rmw-fastrtps-cpp ros-jazzy-std-msgs
cat > "$folder/try.py" <<'PYTHON'
import sys
import time

import rclpy
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from std_msgs.msg import String

rclpy.init()
node = rclpy.create_node("one")
profile, got = QoSProfile(depth=10), []
publisher = node.create_publisher(String, "topic", profile)
node.create_subscription(String, "topic", got.append, profile)
end = time.monotonic() + 20
while not (node.get_subscriptions_info_by_topic("/topic") and publisher.get_subscription_count()):
    assert time.monotonic() < end
    rclpy.spin_once(node, timeout_sec=0.1)
wanted = node.get_subscriptions_info_by_topic("/topic")[0].qos_profile
offered = node.get_publishers_info_by_topic("/topic")[0].qos_profile
found = [qos_check_compatible(*pair) for pair in ((profile, profile), (profile, wanted), (offered, wanted))]
while not got and time.monotonic() < end:
    publisher.publish(String(data="hello"))
    rclpy.spin_once(node, timeout_sec=0.1)
for name, (verdict, reason) in zip(("own with own", "own with graph", "graph with graph"), found):
    print(f"{name}: {verdict.name} {reason}")
print("a message arrived:", bool(got))
expected = [QoSCompatibility.WARNING, QoSCompatibility.ERROR, QoSCompatibility.OK]
sys.exit([verdict for verdict, _ in found] != expected or not got)
PYTHON
ROS_DOMAIN_ID=${ROS_DOMAIN_ID:-77} ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST ROS_LOG_DIR="$folder" \
    "$folder/venv/bin/python" "$folder/try.py"
