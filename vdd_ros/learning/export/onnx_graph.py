"""Tracing a graph into an ONNX file, and running both on arrays by name."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from vdd_ros.learning.export.graphs import (
    ChainGraph,
    DeterministicGraph,
    DiffusionGraph,
    MixtureGraph,
    NoveltyGraph,
    OneStepGraph,
)
from vdd_ros.learning.export.lean import lean
from vdd_ros.policy.opsets import ATTENTION_OPSET, PLAIN_OPSET

_TRACED_OPSET = 20
"""The newest operator set that torch's TorchScript exporter supports."""

Array: TypeAlias = NDArray[Any]
Inputs: TypeAlias = dict[str, Array]
Run: TypeAlias = Callable[[Inputs], Inputs]
PolicyGraph: TypeAlias = DiffusionGraph | MixtureGraph | OneStepGraph


def write_graph(
    graph: PolicyGraph | ChainGraph | DeterministicGraph | NoveltyGraph,
    inputs: Inputs,
    file: Path,
    opset: int = ATTENTION_OPSET,
) -> None:
    """Trace a graph, in as few operators as possible, into an ONNX file with a free batch dimension.

    Args:
        graph: The function to write.
        inputs: Examples, by name.
        file: Where to write.
        opset: Newest operator set allowed. The file declares the older one if that has all its operators.
    """
    names = (*graph.inputs, *graph.outputs)
    shapes = {name: value.shape for name, value in run_torch(graph, inputs).items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the TorchScript exporter announces its successor, which is not pinned here
        torch.onnx.export(
            lean(graph, opset),
            tuple(torch.from_numpy(value) for value in inputs.values()),
            str(file),
            dynamo=False,
            opset_version=min(opset, _TRACED_OPSET),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes={name: {0: "batch"} for name in names},
        )
    model = onnx.load(file)
    _declare_shapes(model, shapes)
    _declare_opset(model)
    onnx.save(model, file)


def _declare_shapes(model: onnx.ModelProto, shapes: dict[str, tuple[int, ...]]) -> None:
    """Declare the outputs' sizes, except the batch: the exporter loses some sizes of 1."""
    for output in model.graph.output:
        for dimension, size in zip(output.type.tensor_type.shape.dim[1:], shapes[output.name][1:], strict=True):
            dimension.dim_value = size


def _declare_opset(model: onnx.ModelProto) -> None:
    """Declare the operator set that a file's operators need, and the matching version of the format.

    The graphs' operators mean the same in `_TRACED_OPSET` and `ATTENTION_OPSET`, and except for attention and GELU in
    `PLAIN_OPSET`; the parity check proves it for each file.
    """
    newer = {node.op_type for node in model.graph.node} & {"Attention", "Gelu"}
    version = ATTENTION_OPSET if newer else PLAIN_OPSET
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", version))
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)


def open_graph(file: Path, outputs: tuple[str, ...]) -> Run:
    """Open an ONNX file on the CPU; returns a function from inputs to outputs by name, which ignores other inputs."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    taken = [node.name for node in session.get_inputs()]

    def run(inputs: Inputs) -> Inputs:
        given = {name: inputs[name] for name in taken}
        return dict(zip(outputs, session.run(list(outputs), given), strict=True))

    return run


def run_torch(graph: PolicyGraph | ChainGraph | DeterministicGraph | NoveltyGraph, inputs: Inputs) -> Inputs:
    """Run the torch graph on numpy inputs."""
    with torch.no_grad():
        outputs = graph(*(torch.from_numpy(value) for value in inputs.values()))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return {name: value.numpy() for name, value in zip(graph.outputs, outputs, strict=True)}
