#!/bin/sh
# rclpy's serialize_message returns more bytes than the message has, and rosbags refuses them.
#
# Versions: ros-jazzy-rclpy 7.1.6, ros-jazzy-rmw-fastrtps-cpp 8.4.3 (Fast DDS 2.14.5, Fast CDR 2.2.5),
# ros-jazzy-trajectory-msgs 5.3.6, ros-jazzy-sensor-msgs 5.3.6, rosbags 0.11.9; Python 3.11, x86_64.
#
# For each empty float64 list in a message (velocities, accelerations and efforts of a trajectory point with positions only;
# velocities and efforts of a JointState), the length is an estimate that aligns the list as if it had elements. The
# trailing bytes are uninitialised memory. rclpy's deserialize_message ignores them; the strict reader of rosbags raises
# SerdeError. So every subscription understands a node that publishes the output of serialize_message to save the conversion
# at each publish, but rosbags cannot read its messages in a bag. publish() of the message itself sends the exact length.
#
# Output seen:
#   JointTrajectory, 1 point: 84 bytes, rosbags: CDR message size mismatch for 'trajectory_msgs/msg/JointTrajectory'.
#     the first 72 bytes: read by both, 12 more
#   JointTrajectory, 16 points: 804 bytes, rosbags: CDR message size mismatch for 'trajectory_msgs/msg/JointTrajectory'.
#     the first 552 bytes: read by both, 252 more
#   JointState, position alone: 76 bytes, rosbags: CDR message size mismatch for 'sensor_msgs/msg/JointState'.
#     the first 68 bytes: read by both, 8 more
#   JointTrajectory, all lists full: 108 bytes, rosbags: reads it
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    ros-jazzy-rclpy==7.1.6 ros-jazzy-rmw-fastrtps-cpp==8.4.3 ros-jazzy-trajectory-msgs==5.3.6 \
    ros-jazzy-sensor-msgs==5.3.6 rosbags==0.11.9
cat > "$folder/try.py" <<'PYTHON'
import sys

from rclpy.serialization import deserialize_message, serialize_message
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

STORE = get_typestore(Stores.ROS2_JAZZY)


def point(full: bool) -> JointTrajectoryPoint:
    more = {name: [0.5] for name in ("velocities", "accelerations", "effort")} if full else {}
    return JointTrajectoryPoint(positions=[0.1], **more)


def more_than_the_message(what: str, message: object) -> int:
    """Return how many bytes are too many."""
    name = f"{type(message).__module__.split('.')[0]}/msg/{type(message).__name__}"
    content = serialize_message(message)
    assert deserialize_message(content, type(message)) == message
    try:
        STORE.deserialize_cdr(content, name)
        print(f"{what}: {len(content)} bytes, rosbags: reads it")
        return 0
    except SerdeError as error:
        print(f"{what}: {len(content)} bytes, rosbags: {error}")
    for end in range(len(content) - 1, 4, -1):
        try:
            exact = len(STORE.serialize_cdr(STORE.deserialize_cdr(content[:end], name), name))
        except SerdeError:
            continue
        assert deserialize_message(content[:exact], type(message)) == message
        print(f"  the first {exact} bytes: read by both, {len(content) - exact} more")
        return len(content) - exact
    return -1


found = [
    more_than_the_message(f"JointTrajectory, {count} point{'s' * (count > 1)}", trajectory)
    for count in (1, 16)
    for trajectory in [JointTrajectory(joint_names=["joint_0"], points=[point(False)] * count)]
]
found.append(more_than_the_message("JointState, position alone", JointState(name=["a", "bb"], position=[1.0, 2.0])))
full = JointTrajectory(joint_names=["joint_0"], points=[point(True)])
found.append(more_than_the_message("JointTrajectory, all lists full", full))
sys.exit(found != [12, 252, 8, 0])
PYTHON
"$folder/env/bin/python" "$folder/try.py"
