"""A foreign ONNX file: read whole, and refused by name where it is no function from one observation to one action."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import onnx
from onnx.external_data_helper import load_external_data_for_model

from vdd_ros.errors import PolicyFileError
from vdd_ros.policy.foreign import no_onnx
from vdd_ros.policy.onnx_outline import OutlineError, external_tensor, read_outline
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.policy.spec import METADATA_KEY
from vdd_ros.text import printable

RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
RECURRENT = ("LSTM", "GRU", "RNN")
OLDEST_OPSET = 8
"""The operator set since which minimum and maximum take arrays of limits."""
FLOATS: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.FLOAT16: "float16",
}
_STATE = ("h_in", "c_in", "hidden", "state", "h0", "c0", "memory", "recurrent", "cell")


@dataclass(frozen=True)
class ForeignModel:
    """A foreign graph with one input and one chosen output.

    Attributes:
        path: Its file.
        sha256: Hash of the file.
        model: The model, with its weights.
        producer: Name and version of the program that wrote it.
        input, output: Names of its tensors.
        input_type, output_type: Number types, keys of `FLOATS`.
        input_shape, output_shape: Sizes; None where free.
        dropped: Names of the other outputs.
    """

    path: Path
    sha256: str
    model: onnx.ModelProto
    producer: str
    input: str
    output: str
    input_type: int
    output_type: int
    input_shape: tuple[int | None, ...]
    output_shape: tuple[int | None, ...]
    dropped: tuple[str, ...]


def read_foreign(path: Path, given_input: str | None = None, given_output: str | None = None) -> ForeignModel:
    """Read a foreign ONNX file.

    Weights in a second file in the same folder are taken in.

    Args:
        path: The file.
        given_input: Name of its input; None if it has one.
        given_output: Name of the action; None if it has one output.

    Raises:
        PolicyFileError: It is no ONNX, is a policy file already, has several or wrong inputs, several outputs of which
            none is named, draws random numbers, keeps a recurrent state, or is too old.
    """
    file = PolicyFile.read(path)
    model, producer = _parsed(file)
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [tensor for tensor in graph.input if tensor.name not in weights]
    operators = set(_operators(graph.node)) | {kind for one in model.functions for kind in _operators(one.node)}
    _check_inputs(path, inputs, given_input, operators)
    if drawn := sorted(operators & set(RANDOM)):
        _refuse(path, f"draws random numbers ({', '.join(drawn)}); export its mean action instead")
    output = _chosen(path, list(graph.output), given_output)
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        _refuse(path, f"is of operator set {opset}; export it again with {OLDEST_OPSET} or newer, such as 18")
    return ForeignModel(
        path=path,
        sha256=file.sha256,
        model=model,
        producer=producer,
        input=inputs[0].name,
        output=output.name,
        input_type=_number_type(path, "input", inputs[0]),
        output_type=_number_type(path, "output", output),
        input_shape=_shape(inputs[0]),
        output_shape=_shape(output),
        dropped=tuple(each.name for each in graph.output if each.name != output.name),
    )


def _parsed(file: PolicyFile) -> tuple[onnx.ModelProto, str]:
    try:
        outline = read_outline(file.content)
        external = external_tensor(file.content)
        model = onnx.load_model_from_string(file.content)
    except OutlineError as error:
        raise PolicyFileError(f"{printable(file.path)} {no_onnx(file.content, error)}") from error
    except Exception as error:  # protobuf's own errors
        _refuse(file.path, f"cannot be read as ONNX ({printable(error)}); copy or export it again")
    if METADATA_KEY.encode() in [key for key, _ in outline.metadata]:
        _refuse(file.path, "is a policy file already; the node takes it as it is")
    if external is not None:
        try:
            load_external_data_for_model(model, str(file.path.parent))
        except Exception as error:  # onnx's checks and the system's errors
            _refuse(file.path, f"keeps weights in another file, which cannot be read ({printable(error)}); copy both")
    return model, printable(outline.producer, 100) or "an unknown program"


def _check_inputs(path: Path, inputs: list[onnx.ValueInfoProto], given: str | None, operators: set[str]) -> None:
    names = [tensor.name for tensor in inputs]
    listed = printable(", ".join(names), 300) or "none"
    if given is not None and given not in names:
        _refuse(path, f"has no input {printable(given)!r}; its inputs are {listed}")
    if len(names) == 1:
        return
    state = [name for name in names if any(mark in name.lower() for mark in _STATE)]
    if state or operators & set(RECURRENT):
        _refuse(
            path,
            f"keeps a recurrent state in inputs and outputs ({printable(', '.join(state) or listed)}), but a policy "
            "file is a function of its window alone. Train the policy without recurrence, or with a history of "
            "observations",
        )
    _refuse(path, f"has {len(names)} inputs ({listed}); a graph of one flat observation can be wrapped")


def _chosen(path: Path, outputs: list[onnx.ValueInfoProto], given: str | None) -> onnx.ValueInfoProto:
    names = [tensor.name for tensor in outputs]
    if given is None and len(names) != 1:
        _refuse(path, f"has the outputs {printable(', '.join(names), 300)}; say which is the action, as `output: NAME`")
    if given is not None and given not in names:
        _refuse(path, f"has no output {printable(given)!r}; its outputs are {printable(', '.join(names), 300)}")
    return outputs[0] if given is None else outputs[names.index(given)]


def _number_type(path: Path, what: str, tensor: onnx.ValueInfoProto) -> int:
    kind = tensor.type.tensor_type.elem_type
    if tensor.type.WhichOneof("value") != "tensor_type" or kind not in FLOATS:
        name = onnx.TensorProto.DataType.Name(kind).lower() if kind else "no tensor"
        allowed = ", ".join(FLOATS.values())
        _refuse(path, f"has an {what} {printable(tensor.name)} of the type {name}; it must be one of {allowed}")
    return kind


def _shape(tensor: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    sizes = tensor.type.tensor_type.shape.dim
    return tuple(size.dim_value if size.WhichOneof("value") == "dim_value" else None for size in sizes)


def _operators(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    """Yield the operators of nodes and of the graphs in their attributes."""
    for node in nodes:
        yield node.op_type
        for attribute in node.attribute:
            graphs = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else list(attribute.graphs)
            for graph in graphs:
                yield from _operators(graph.node)


def _refuse(path: Path, problem: str) -> NoReturn:
    raise PolicyFileError(f"{printable(path)} {problem}.")
