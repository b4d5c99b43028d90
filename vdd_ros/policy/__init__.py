"""The policy file: metadata, ONNX session, expert selection, action limits.

Depends on numpy, onnxruntime and pyyaml only; no torch, no rclpy.
"""
