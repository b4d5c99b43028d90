"""Tracing a graph into an ONNX file, and running both on arrays by name."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

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

OPSET = 18

Array: TypeAlias = NDArray[Any]
Inputs: TypeAlias = dict[str, Array]
Run: TypeAlias = Callable[[Inputs], Inputs]
PolicyGraph: TypeAlias = DiffusionGraph | MixtureGraph | OneStepGraph


def write_graph(
    graph: PolicyGraph | ChainGraph | DeterministicGraph | NoveltyGraph, inputs: Inputs, file: Path
) -> None:
    """Trace a graph into an ONNX file with a free batch dimension."""
    names = (*graph.inputs, *graph.outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the TorchScript exporter announces its successor, which is not pinned here
        torch.onnx.export(
            graph,
            tuple(torch.from_numpy(value) for value in inputs.values()),
            str(file),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes={name: {0: "batch"} for name in names},
        )


def open_graph(file: Path, outputs: tuple[str, ...]) -> Run:
    """Open an ONNX file on the CPU; returns a function from inputs, of which it takes its own, to outputs by name."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    taken = [node.name for node in session.get_inputs()]

    def run(inputs: Inputs) -> Inputs:
        given = {name: inputs[name] for name in taken}
        return dict(zip(outputs, session.run(list(outputs), given), strict=True))

    return run


def run_torch(graph: PolicyGraph | DeterministicGraph, inputs: Inputs) -> Inputs:
    """Run the torch graph on numpy inputs."""
    with torch.no_grad():
        outputs = graph(*(torch.from_numpy(value) for value in inputs.values()))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return {name: value.numpy() for name, value in zip(graph.outputs, outputs, strict=True)}
