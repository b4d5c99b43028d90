"""A policy file that ONNX Runtime works on for minutes while it opens it: it computes a constant of the graph."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper
from policy_files import write_mixture

PRODUCTS, SIZE = 10_000, 2000
"""A product of such matrices takes about 0.1 s on one core."""


def write_endless(path: Path) -> Path:
    """Write a mixture that adds a constant to its action, after 10,000 products of 2000 by 2000 matrices."""
    model = onnx.load(write_mixture(path))
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["finite" if name == "action" else name for name in node.output]
    graph.initializer.append(helper.make_tensor("endless_shape", TensorProto.INT64, [2], [SIZE, SIZE]))
    graph.node.append(helper.make_node("ConstantOfShape", ["endless_shape"], ["a0"]))
    graph.node.extend(helper.make_node("MatMul", [f"a{i}", "a0"], [f"a{i + 1}"]) for i in range(PRODUCTS))
    graph.node.append(helper.make_node("ReduceSum", [f"a{PRODUCTS}"], ["endless"], keepdims=0))
    graph.node.append(helper.make_node("Add", ["finite", "endless"], ["action"]))
    onnx.save(model, path)
    return path
