#!/bin/sh
# A session created from bytes reads external weights from the working directory of the process.
#
# Versions: onnxruntime 1.31.0, onnx 1.23.0, numpy 2.2.6; Python 3.11, x86_64.
#
# Weights can be in a second file ("external data"), named relative to the model. A model passed to
# onnxruntime.InferenceSession as bytes has no path, so the name is resolved in the working directory of the process. The
# same bytes compute one thing in one directory, another in a second, and fail to open in a third; a checksum of the bytes
# does not identify the weights. A tensor with a single number differs: an optimiser reads it, asks for the model's path and
# fails, although the file exists.
#
# Output seen:
#   20 numbers in a: 2.0, in b: 5.0, in c: does not open
#   1 number in a: does not open, in b: does not open, in c: does not open
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.31.0 onnx==1.23.0 numpy==2.2.6
cat > "$folder/try.py" <<'PYTHON'
import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

options, top, found = onnxruntime.SessionOptions(), os.getcwd(), {}
options.log_severity_level = 4
for name in "abc":
    os.makedirs(name)
with open("b/weights.bin", "wb") as stream:
    stream.write(np.full(20, 5.0, np.float32).tobytes())

for size, label in ((20, "20 numbers"), (1, "1 number")):
    shape = [size]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "weight"], ["y"])],
        "scale",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.full(shape, 2.0, np.float32), "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    if os.path.exists("a/weights.bin"):
        os.remove("a/weights.bin")
    onnx.save(model, "a/model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    with open("a/model.onnx", "rb") as stream:
        content = stream.read()
    seen = []
    for name in "abc":
        os.chdir(os.path.join(top, name))
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            seen.append(str(session.run(None, {"x": np.ones(shape, np.float32)})[0][0]))
        except Exception:
            seen.append("does not open")
    os.chdir(top)
    print(label + " " + ", ".join(f"in {name}: {result}" for name, result in zip("abc", seen)))
    found[size] = seen
sys.exit(found != {20: ["2.0", "5.0", "does not open"], 1: 3 * ["does not open"]})
PYTHON
cd "$folder"
env/bin/python try.py
