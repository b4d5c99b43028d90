"""The outline of an ONNX file, against the package `onnx`."""

from pathlib import Path
from typing import Any

import onnx
import pytest
from policy_files import write_mixture

from vdd_ros.policy.onnx_outline import _TENSORS_BELOW, MAX_FIELDS, OutlineError, external_tensor, read_outline


def test_the_search_for_weights_elsewhere_knows_every_place_of_a_tensor() -> None:
    """Against ONNX's own description of its messages."""
    names = {
        "ModelProto": "model",
        "GraphProto": "graph",
        "NodeProto": "node",
        "AttributeProto": "attribute",
        "SparseTensorProto": "sparse_tensor",
        "TrainingInfoProto": "training",
        "FunctionProto": "function",
        "TensorProto": "tensor",
    }
    messages: dict[str, Any] = {}

    def visit(message: Any) -> None:
        if message.name not in messages:
            messages[message.name] = message
            for field in message.fields:
                if field.message_type:
                    visit(field.message_type)

    visit(onnx.ModelProto.DESCRIPTOR)

    def leads_to_tensor(name: str, seen: frozenset[str] = frozenset()) -> bool:
        below = {field.message_type.name for field in messages[name].fields if field.message_type} - seen
        return name == "TensorProto" or any(leads_to_tensor(each, seen | below | {name}) for each in below)

    expected = {
        known: {
            field.number: names[field.message_type.name]
            for field in messages[name].fields
            if field.message_type and name != "TensorProto" and leads_to_tensor(field.message_type.name)
        }
        for name, known in names.items()
    }
    assert expected == _TENSORS_BELOW


def test_the_outline_is_what_onnx_reads(tmp_path: Path) -> None:
    path = write_mixture(tmp_path / "p.onnx", goal_length=2)
    model, outline = onnx.load(path), read_outline(path.read_bytes())
    assert outline.ir_version == model.ir_version
    assert outline.opsets == {entry.domain: entry.version for entry in model.opset_import}
    assert outline.inputs == [value.name for value in model.graph.input]
    assert outline.outputs == [value.name for value in model.graph.output]
    assert [(key.decode(), str(text, "utf-8")) for key, text in outline.metadata] == [
        (entry.key, entry.value) for entry in model.metadata_props
    ]
    assert external_tensor(path.read_bytes()) is None


def test_a_graph_of_countless_parts_is_refused() -> None:
    """Each two bytes are a field; without a limit a file could keep the interpreter busy for hours."""
    node = b"\x08\x01" * (MAX_FIELDS + 1)
    graph = b"\x0a" + _length(node) + node
    content = b"\x3a" + _length(graph) + graph + b"\x32\x08location"
    with pytest.raises(OutlineError, match="more than 1,000,000 parts"):
        external_tensor(content)
    many = b"\x08\x01" * (MAX_FIELDS + 1)
    with pytest.raises(OutlineError, match="more than 1,000,000 parts"):
        read_outline(b"\x3a" + _length(many) + many)


def _length(data: bytes) -> bytes:
    value, found = len(data), bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
