"""A tick without ROS: messages in, commands out."""
