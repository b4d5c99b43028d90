"""ROS 2 nodes. The only layer that imports rclpy."""

from vdd_ros.nodes.starting import prepare

prepare()
