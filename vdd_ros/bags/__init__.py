"""rosbag2 without ROS: written, repaired and read back."""
