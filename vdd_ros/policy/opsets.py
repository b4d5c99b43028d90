"""The ONNX operator sets of policy files, and the oldest ONNX Runtime known to read each."""

PLAIN_OPSET, ATTENTION_OPSET = 18, 23
"""Operator sets: `ATTENTION_OPSET` has attention as one operator, `PLAIN_OPSET` is for older runtimes."""

FIRST_RUNTIME = {PLAIN_OPSET: "1.17", ATTENTION_OPSET: "1.23"}
"""The oldest ONNX Runtime of those tried, for each operator set; docs/install.md has the table."""
