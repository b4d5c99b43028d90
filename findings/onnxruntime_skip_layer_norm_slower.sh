#!/bin/sh
# Fewer operators are not always faster: ONNX Runtime's optimiser fuses Add and LayerNormalization of three-dimensional
# tensors into SkipLayerNormalization (domain com.microsoft), which takes three times as long as its parts on small tensors.
#
# Versions: onnxruntime 1.31.1, onnx 1.23.2; Python 3.11, x86_64 with AVX-512, one thread.
#
# Remedy: keep tokens as rows of a matrix; the optimiser does not fuse operators on two-dimensional tensors. Measure with
# many copies of an operator, since the profiler counts whole microseconds.
#
# Output seen (microseconds, the minimum of many runs):
#   Add and LayerNormalization                   0.5
#   com.microsoft.SkipLayerNormalization         2.0
#
# Exits with 0 while it takes at least 1.5 times as long as its parts, with 1 otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys
from time import perf_counter

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

COPIES = 50
MS = {"domain": "com.microsoft"}


def measure(label, shape, make, weights=None):
    nodes = [node for copy in range(COPIES) for node in make(copy)]
    outputs = [onnx.ValueInfoProto(name=f"y{copy}") for copy in range(COPIES)]
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in (weights or {}).items()]
    inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    domains = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    model = helper.make_model(graph, opset_imports=domains, ir_version=11).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(np.ones(shape, np.float32)))
    for output in outputs:
        binding.bind_output(output.name, "cpu")
    times = []
    for _ in range(300):
        start = perf_counter()
        session.run_with_iobinding(binding)
        times.append(perf_counter() - start)
    print(f"{label:<42} {1e6 * min(times) / COPIES:5.1f}")
    return min(times)


def one(op, names, **attributes):
    return lambda copy: [helper.make_node(op, names, [f"y{copy}"], **attributes)]


def apart(copy):
    return [
        helper.make_node("Add", ["x", "x"], [f"s{copy}"]),
        helper.make_node("LayerNormalization", [f"s{copy}", "w", "w"], [f"y{copy}"]),
    ]


tokens, wide = (1, 5, 72), {"w": np.ones(72)}
parts = measure("Add and LayerNormalization", tokens, apart, wide)
whole = measure("com.microsoft.SkipLayerNormalization", tokens, one("SkipLayerNormalization", ["x", "x", "w", "w"], **MS), wide)
sys.exit(whole < 1.5 * parts)
PY
