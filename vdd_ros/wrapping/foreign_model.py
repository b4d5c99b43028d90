"""A foreign ONNX file: read whole, and refused by name unless it is a function from observations to actions."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import onnx
from onnx.external_data_helper import load_external_data_for_model

from vdd_ros.errors import PolicyFileError
from vdd_ros.file_kinds import GRAPH
from vdd_ros.policy.foreign import no_onnx
from vdd_ros.policy.onnx_outline import OutlineError, external_tensor, read_outline
from vdd_ros.policy.policy_file import MAX_FILE_BYTES, PolicyFile
from vdd_ros.policy.spec import METADATA_KEY
from vdd_ros.text import printable

RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
RECURRENT = ("LSTM", "GRU", "RNN")
OLDEST_OPSET = 8
"""The first operator set in which minimum and maximum accept arrays of limits."""
FLOATS: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.FLOAT16: "float16",
}
_NEXT = ("h_out", "c_out", "hn", "cn")
_STATE = ("h_in", "c_in", "hidden", "state", "h0", "c0", "memory", "recurrent", "cell")


@dataclass(frozen=True)
class Tensor:
    """An input or output of a foreign graph.

    Attributes:
        name: Its name.
        type: Number type, a key of `FLOATS`.
        shape: Sizes; None if free.
    """

    name: str
    type: int
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class ForeignModel:
    """A foreign graph with its inputs and one chosen output.

    Attributes:
        path: Its file.
        sha256: Hash of the file.
        model: The model, with its weights.
        producer: Name and version of the program that wrote it.
        inputs: Its inputs, in the order of the description.
        output: The action.
        dropped: Names of the other outputs.
    """

    path: Path
    sha256: str
    model: onnx.ModelProto
    producer: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class ForeignOutline:
    """Outline of a foreign graph.

    Attributes:
        producer: Name and version of the program that wrote it.
        inputs, outputs: Its tensors.
        metadata: Keys and values of the file.
    """

    producer: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: dict[str, str]


def read_foreign(
    path: Path, given_inputs: Sequence[str | None] = (None,), given_output: str | None = None
) -> ForeignModel:
    """Read a foreign ONNX file.

    Weights in a second file in the same folder are loaded too.

    Args:
        path: The file.
        given_inputs: Names of its inputs; None for a graph with one.
        given_output: Name of the action; None if it has one output.

    Raises:
        PolicyFileError: It is not ONNX, is a policy file already, has other or wrong inputs, several outputs without a
            choice, draws random numbers, keeps a recurrent state, or is too old.
    """
    file = PolicyFile.read(path)
    model, producer = _parsed(file)
    inputs = _inputs(model)
    _check_graph(path, model, inputs, described=[name for name in given_inputs if name is not None])
    taken = _taken(path, inputs, given_inputs)
    output = _chosen(path, list(model.graph.output), given_output)
    return ForeignModel(
        path=path,
        sha256=file.sha256,
        model=model,
        producer=producer,
        inputs=tuple(_tensor(path, "input", each) for each in taken),
        output=_tensor(path, "output", output),
        dropped=tuple(each.name for each in model.graph.output if each.name != output.name),
    )


def read_foreign_outline(path: Path) -> ForeignOutline:
    """Read the outline of a foreign graph, if it could be wrapped; errors as in `read_foreign`."""
    model, producer = _parsed(PolicyFile.read(path))
    inputs = _inputs(model)
    _check_graph(path, model, inputs, described=())
    return ForeignOutline(
        producer,
        tuple(_tensor(path, "input", each) for each in inputs),
        tuple(_tensor(path, "output", each) for each in model.graph.output),
        {entry.key: entry.value for entry in model.metadata_props},
    )


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    weights = {tensor.name for tensor in model.graph.initializer}
    return [tensor for tensor in model.graph.input if tensor.name not in weights]


def _parsed(file: PolicyFile) -> tuple[onnx.ModelProto, str]:
    try:
        outline = read_outline(file.content)
        external = external_tensor(file.content)
        model = onnx.load_model_from_string(file.content)
    except OutlineError as error:
        raise PolicyFileError(f"{printable(file.path)} {no_onnx(file.path, file.content, error, GRAPH)}") from error
    except Exception as error:  # protobuf's own errors
        _refuse(file.path, f"cannot be read as ONNX ({printable(error)}); copy or export it again")
    if METADATA_KEY.encode() in [key for key, _ in outline.metadata]:
        _refuse(file.path, "is already a policy file; the node can run it")
    if external is not None:
        try:
            _check_external(model, file.path.parent)
            load_external_data_for_model(model, str(file.path.parent))
        except Exception as error:  # onnx's checks and the system's errors
            _refuse(file.path, f"keeps weights in another file, which cannot be read ({printable(error)}); copy both")
    return model, printable(outline.producer, 100) or "an unknown program"


def _check_external(model: onnx.ModelProto, folder: Path) -> None:
    """Refuse weights that are outside of a folder, not in an ordinary file, or too large in total.

    Raises:
        ValueError: Weights are refused.
    """
    total = 0
    for tensor in _tensors(model.graph, *model.functions):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        name = entries.get("location", "")
        place = folder / name
        if ".." in Path(name).parts or not place.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"'{printable(name)}' is outside of its folder")
        if not place.is_file():
            raise ValueError(f"'{printable(name)}' is not a file beside it")
        total += int(entries.get("length") or place.stat().st_size)
        if total > MAX_FILE_BYTES:
            raise ValueError(f"they have more than {MAX_FILE_BYTES:,} bytes")


def _tensors(*graphs: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.TensorProto]:
    """Yield the tensors of graphs, and of the graphs in their nodes."""
    for graph in graphs:
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer
            yield from (part for each in graph.sparse_initializer for part in (each.values, each.indices))
        for attribute in (attribute for node in graph.node for attribute in node.attribute):
            yield from (attribute.t, *attribute.tensors)
            yield from _tensors(attribute.g, *attribute.graphs)


def _check_graph(
    path: Path, model: onnx.ModelProto, inputs: Sequence[onnx.ValueInfoProto], described: Collection[str]
) -> None:
    """Refuse a graph that is not a function of observations alone.

    A recurrent state is recognised by its operators, or by the names of undescribed inputs.
    """
    if not inputs or not model.graph.output:
        _refuse(path, "has no input or no output, so it is not a policy")
    operators = set(_operators(model.graph.node))
    operators |= {kind for one in model.functions for kind in _operators(one.node)}
    names = [tensor.name for tensor in inputs]
    state = [name for name in names if any(mark in name.lower() for mark in _STATE)]
    if len(names) > 1 and (operators & set(RECURRENT) or (set(state) - set(described) and _returned(model, state))):
        _refuse(
            path,
            f"keeps a recurrent state in inputs and outputs ({printable(', '.join(state or names), 300)}), but a "
            "policy file is a function of its window alone. Train the policy without recurrence, or with a history of "
            "observations",
        )
    if drawn := sorted(operators & set(RANDOM)):
        _refuse(path, f"draws random numbers ({', '.join(drawn)}); export its mean action instead")
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        _refuse(path, f"is of operator set {opset}; export it again with {OLDEST_OPSET} or newer, such as 18")


def _returned(model: onnx.ModelProto, state: Sequence[str]) -> bool:
    """Return whether an output has the shape of one of these inputs and the name of a state, like a next state."""
    shapes = [_shape(tensor) for tensor in model.graph.input if tensor.name in state]
    return any(
        _shape(tensor) in shapes and any(mark in tensor.name.lower() for mark in (*_STATE, *_NEXT))
        for tensor in model.graph.output
    )


def _taken(path: Path, inputs: list[onnx.ValueInfoProto], given: Sequence[str | None]) -> list[onnx.ValueInfoProto]:
    """Return the described inputs, in the description's order; refuse undescribed ones."""
    by_name = {tensor.name: tensor for tensor in inputs}
    listed = printable(", ".join(by_name), 300) or "none"
    for name in given:
        if name is not None and name not in by_name:
            _refuse(path, f"has no input {printable(name)!r}; its inputs are {listed}")
    if len(inputs) == 1:
        return inputs
    if left := [name for name in by_name if name not in given]:
        _refuse(
            path,
            f"has {len(inputs)} inputs ({listed}), of which {printable(', '.join(left), 300)} "
            f"{'is' if len(left) == 1 else 'are'} not described; name one of them as the `input` of each item of "
            "`observation`",
        )
    return [by_name[str(name)] for name in given]


def _chosen(path: Path, outputs: list[onnx.ValueInfoProto], given: str | None) -> onnx.ValueInfoProto:
    names = [tensor.name for tensor in outputs]
    if given is None and len(names) != 1:
        _refuse(path, f"has the outputs {printable(', '.join(names), 300)}; name the action with `output: NAME`")
    if given is not None and given not in names:
        _refuse(path, f"has no output {printable(given)!r}; its outputs are {printable(', '.join(names), 300)}")
    return outputs[0] if given is None else outputs[names.index(given)]


def _tensor(path: Path, what: str, tensor: onnx.ValueInfoProto) -> Tensor:
    kind = tensor.type.tensor_type.elem_type
    if tensor.type.WhichOneof("value") != "tensor_type" or kind not in FLOATS:
        known = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}
        name = known.get(kind, f"number {kind}") if kind else "no tensor"
        allowed = ", ".join(FLOATS.values())
        _refuse(path, f"has an {what} {printable(tensor.name)} of the type {name}; it must be one of {allowed}")
    return Tensor(tensor.name, kind, _shape(tensor))


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
