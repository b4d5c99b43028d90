"""ROS 2 nodes. The only layer that imports rclpy."""

from vdd_ros.nodes.ros.starting import prepare

prepare()
