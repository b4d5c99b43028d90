"""The operator sets of ONNX that policy files use, and the ONNX Runtime that reads each (tried; see docs/install.md)."""

PLAIN_OPSET, ATTENTION_OPSET = 18, 23
"""Operator sets: `ATTENTION_OPSET` has attention as one operator, `PLAIN_OPSET` is for older runtimes."""

FIRST_RUNTIME = {PLAIN_OPSET: "1.17", ATTENTION_OPSET: "1.23"}
"""The oldest ONNX Runtime, of those tried, that reads an operator set."""
