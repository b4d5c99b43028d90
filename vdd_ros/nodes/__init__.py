"""ROS 2 nodes. The only layer that imports rclpy."""
