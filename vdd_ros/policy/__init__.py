"""What a tick needs: policy file, observation history, expert selection, limits, timing, robot file.

Depends on numpy, onnxruntime and pyyaml only; no torch, no rclpy.
"""
