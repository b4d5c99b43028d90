"""Policy files from ONNX graphs of other tools: metadata, units, statistics and limits around a foreign graph."""
