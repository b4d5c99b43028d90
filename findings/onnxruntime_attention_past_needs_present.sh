#!/bin/sh
# ONNX's operator Attention (operator set 23) takes earlier keys and values, past_key and past_value, and can return all of
# them, present_key and present_value. These outputs are optional. ONNX Runtime opens a file with the inputs and without the
# outputs, then fails in the first run: "The implementation does not support past_key provided and present_key being null".
# onnx.checker accepts the file.
#
# Versions: onnxruntime 1.31.1, onnx 1.23.2; Python 3.11, x86_64.
#
# Remedy: name the outputs, even if nothing uses them.
#
# Output seen:
#   without present_key: opened; run: Fail
#   with present_key: opened; run: (1, 1, 8)
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import helper

onnxruntime.set_default_logger_severity(4)
FLOAT, results = onnx.TensorProto.FLOAT, []
for outputs in (["y"], ["y", "present_key", "present_value"]):
    node = helper.make_node(
        "Attention", ["x", "x", "x", "", "past", "past"], outputs, q_num_heads=2, kv_num_heads=2
    )
    inputs = [
        helper.make_tensor_value_info("x", FLOAT, ["B", 1, 8]),
        helper.make_tensor_value_info("past", FLOAT, ["B", 2, 3, 4]),
    ]
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("y", FLOAT, ["B", 1, 8])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {"x": np.ones((1, 1, 8), np.float32), "past": np.ones((1, 2, 3, 4), np.float32)}
    try:
        result = session.run(["y"], feed)[0].shape
    except Exception as error:
        result = type(error).__name__
    results.append(result)
    print("without" if len(outputs) == 1 else "with", f"present_key: opened; run: {result}")
sys.exit(results != ["Fail", (1, 1, 8)])
PY
