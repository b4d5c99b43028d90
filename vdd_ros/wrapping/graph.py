"""The graph of a policy file around a foreign graph: scaling, order and limits as operators."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from vdd_ros.errors import PolicyFileError
from vdd_ros.policy.spec import METADATA_KEY, PolicySpec
from vdd_ros.text import printable
from vdd_ros.wrapping.description import ForeignDescription, ForeignNumber
from vdd_ros.wrapping.foreign_model import ForeignModel

PREFIX = "foreign/"
BATCH = "B"


def wrapped(foreign: ForeignModel, description: ForeignDescription) -> onnx.ModelProto:
    """Return the model of a policy file, without metadata.

    Args:
        foreign: The foreign graph; its weights are shared with the result.
        description: Meaning of its numbers.

    Raises:
        PolicyFileError: Its shapes do not fit the description.
    """
    _check_shapes(foreign, description)
    model = compose.add_prefix(foreign.model, PREFIX)
    inner = model.graph
    before, after = _Nodes(), _Nodes()
    taken = _observed(before, foreign, description)
    for node in inner.node:
        for name, value in taken.items():
            _reconnect(node, PREFIX + name, value)
    output = foreign.output.name
    action = _acted(after, taken.get(output, PREFIX + output), foreign, description)
    history, width = description.history, len(description.observation)
    graph = helper.make_graph(
        [*before.nodes, *inner.node, *after.nodes],
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, [BATCH, history, width])],
        [
            helper.make_tensor_value_info(
                action, TensorProto.FLOAT, [BATCH, description.horizon, len(description.action)]
            )
        ],
        [*before.constants, *inner.initializer, *after.constants],
        sparse_initializer=list(inner.sparse_initializer),
    )
    result = helper.make_model(
        graph, opset_imports=list(model.opset_import), functions=list(model.functions), ir_version=model.ir_version
    )
    result.producer_name, result.producer_version = model.producer_name, model.producer_version
    result.metadata_props.extend(model.metadata_props)
    return result


def with_metadata(model: onnx.ModelProto, spec: PolicySpec) -> bytes:
    """Return the file of a model with the metadata of a policy; the model's own metadata stays.

    Raises:
        PolicyFileError: The metadata is too large.
    """
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, spec.to_json()
    return bytes(model.SerializeToString())


class _Nodes:
    """A chain of operators with their constants."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, value: str, result: str, constant: NDArray[Any] | None = None, **kept: Any) -> str:
        """Add an operator on a tensor, with a constant as its second input; return the name of the result."""
        inputs = [value]
        if constant is not None:
            inputs.append(f"{result}_constant")
            self.constants.append(numpy_helper.from_array(np.asarray(constant), inputs[1]))
        self.nodes.append(helper.make_node(kind, inputs, [result], name=result, **kept))
        return result


def _observed(nodes: _Nodes, foreign: ForeignModel, description: ForeignDescription) -> dict[str, str]:
    """Add the operators from a window to the foreign inputs; return the name of the result for each."""
    value = "observation"
    offsets, scales = _column(description.observation, "offset"), _column(description.observation, "scale")
    if offsets.any():
        value = nodes.add("Sub", value, "observation_centred", offsets)
    if (scales != 1).any():
        value = nodes.add("Mul", value, "observation_scaled", scales)
    total = description.history * len(description.observation)
    flat = nodes.add("Reshape", value, "observation_flat", np.array([-1, total], np.int64))
    found = {}
    for number, (tensor, described) in enumerate(zip(foreign.inputs, description.inputs, strict=True)):
        value, end = flat, f"_{number}" if number else ""
        if described.order != tuple(range(total)):
            order = np.array(described.order, np.int64)
            value = nodes.add("Gather", value, f"observation_ordered{end}", order, axis=1)
        if tensor.type != TensorProto.FLOAT:
            value = nodes.add("Cast", value, f"observation_typed{end}", to=tensor.type)
        found[tensor.name] = value
    return found


def _acted(nodes: _Nodes, value: str, foreign: ForeignModel, description: ForeignDescription) -> str:
    """Add the operators from the foreign output to limited actions; return the name of the result.

    Minimum and maximum would turn NaN into a limit. Adding zero times the number keeps it NaN, so that the node refuses
    it.
    """
    actions = description.action
    if foreign.output.type != TensorProto.FLOAT:
        value = nodes.add("Cast", value, "action_typed", to=TensorProto.FLOAT)
    shape = np.array([-1, description.horizon, len(actions)], np.int64)
    value = nodes.add("Reshape", value, "action_shaped", shape)
    scales, offsets = _column(actions, "scale"), _column(actions, "offset")
    if (scales != 1).any():
        value = nodes.add("Mul", value, "action_scaled", scales)
    if offsets.any():
        value = nodes.add("Add", value, "action_moved", offsets)
    low = np.array([number.feature.low for number in actions], np.float32)
    high = np.array([number.feature.high for number in actions], np.float32)
    nothing = nodes.add("Mul", value, "action_nothing", np.zeros(1, np.float32))
    value = nodes.add("Max", value, "action_from_low", low)
    value = nodes.add("Min", value, "action_to_high", high)
    nodes.nodes.append(helper.make_node("Add", [value, nothing], ["action"], name="action"))
    return "action"


def _column(numbers: Sequence[ForeignNumber], name: str) -> NDArray[np.float32]:
    return np.array([getattr(number, name) for number in numbers], np.float32)


def _reconnect(node: onnx.NodeProto, old: str, new: str) -> None:
    """Redirect a node, and the graphs in its attributes, to another tensor."""
    node.input[:] = [new if name == old else name for name in node.input]
    for attribute in node.attribute:
        graphs = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else list(attribute.graphs)
        for graph in graphs:
            for inner in graph.node:
                _reconnect(inner, old, new)


def _check_shapes(foreign: ForeignModel, description: ForeignDescription) -> None:
    """Refuse a graph whose input or output has another number of values than the description."""
    for tensor, described in zip(foreign.inputs, description.inputs, strict=True):
        takes, shape = len(described.order), tensor.shape
        if len(shape) != 2 or shape[0] not in (None, 1):
            _refuse(foreign, "input", tensor.name, shape, f"[batch, {takes}], the batch free or 1")
        if shape[1] not in (None, takes):
            names = takes // description.history
            wanted = f"{takes} numbers: {names} per observation times a history of {description.history}"
            _refuse(foreign, "input", tensor.name, shape, f"{wanted}. Describe every number that the graph takes")
    gives = description.horizon * len(description.action)
    out = foreign.output.shape
    sizes = [size for size in out[1:] if size is not None]
    if len(out) < 2 or out[0] not in (None, 1) or (None not in out[1:] and int(np.prod(sizes)) != gives):
        wanted = f"[batch, …] with {gives} numbers: {len(description.action)} of the action times a horizon of"
        _refuse(foreign, "output", foreign.output.name, out, f"{wanted} {description.horizon}")


def _refuse(foreign: ForeignModel, what: str, name: str, shape: Sequence[int | None], wanted: str) -> None:
    shown = ", ".join("free" if size is None else str(size) for size in shape)
    raise PolicyFileError(
        f"{printable(foreign.path)} has the {what} {printable(name)} of the shape [{shown}], but the description "
        f"requires {wanted}."
    )
