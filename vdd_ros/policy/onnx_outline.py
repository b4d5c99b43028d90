"""The outline of an ONNX file, read from its bytes without the package `onnx`.

ONNX is a protobuf message. A field is a key, number << 3 | wire type, and a value: a varint (0), 8 bytes (1), a
length-prefixed block of bytes (2), or 4 bytes (5).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_FIELDS = 1_000_000
"""Largest number of fields to parse, which bounds the time with the interpreter held."""

_EXTERNAL_KEY = b"location"
_SEARCHED = 1 << 20

# For each message, the numbers of the fields that contain tensors.
_TENSORS_BELOW: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse_tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse_tensor", 23: "sparse_tensor"},
    "sparse_tensor": {1: "tensor", 2: "tensor"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "tensor": {},
}
_TENSOR_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14


class OutlineError(ValueError):
    """The bytes are not an ONNX model, or are truncated."""


@dataclass
class Outline:
    """The top level of an ONNX file.

    Attributes:
        ir_version: Version of the format; 0 if not stated.
        opsets: Operator sets, domain to version; "" is ONNX's own domain.
        producer: Name and version of the program that wrote it.
        inputs, outputs: Tensor names of the graph, in file order.
        metadata: Keys and values in file order, undecoded; keys may repeat.
    """

    ir_version: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    producer: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    metadata: list[tuple[bytes, memoryview]] = field(default_factory=list)


def read_outline(content: bytes) -> Outline:
    """Read the outline of an ONNX file.

    Raises:
        OutlineError: It is not ONNX, is truncated, or has more than `MAX_FIELDS` fields.
    """
    found, budget = Outline(), _Budget()
    graphs = 0
    for number, value in _fields(memoryview(content), budget):
        if number == 1 and isinstance(value, int):
            found.ir_version = value
        elif number in (2, 3) and not isinstance(value, int):
            found.producer = f"{found.producer} {_text(value)}".strip()
        elif number == 7 and not isinstance(value, int):
            graphs += 1
            _read_graph(value, found, budget)
        elif number == 8 and not isinstance(value, int):
            entry = dict(_fields(value, budget))
            domain, version = entry.get(1, b""), entry.get(2, 0)
            if not isinstance(domain, int) and isinstance(version, int):
                found.opsets[_text(domain)] = version
        elif number == 14 and not isinstance(value, int):
            pair = dict(_fields(value, budget))
            key, text = pair.get(1, memoryview(b"")), pair.get(2, memoryview(b""))
            if isinstance(key, int) or isinstance(text, int):
                raise OutlineError("its metadata is not text")
            found.metadata.append((bytes(key[:200]), text))
    if not graphs:
        raise OutlineError("it holds no graph")
    return found


def external_tensor(content: bytes) -> str | None:
    """Return the name of a tensor stored in another file; None if all data is in this file.

    Raises:
        OutlineError: The file is damaged, or has more than `MAX_FIELDS` fields.
    """
    if not _holds(content, _EXTERNAL_KEY):  # without this key no reader finds the external file
        return None
    waiting: list[tuple[str, memoryview]] = [("model", memoryview(content))]
    budget = _Budget()
    while waiting:
        message, data = waiting.pop()
        below = _TENSORS_BELOW[message]
        name, external = "", False
        for number, value in _fields(data, budget):
            if isinstance(value, int):
                external = external or (message == "tensor" and number == _DATA_LOCATION and value == 1)
            elif number in below:
                waiting.append((below[number], value))
            elif message == "tensor" and number == _TENSOR_NAME:
                name = _text(value)
            elif message == "tensor" and number == _EXTERNAL_DATA:
                external = True
        if external:
            return name
    return None


class _Budget:
    """Number of fields that may still be parsed."""

    def __init__(self) -> None:
        self._left = MAX_FIELDS

    def spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise OutlineError(f"it has more than {MAX_FIELDS:,} parts")


def _read_graph(graph: memoryview, found: Outline, budget: _Budget) -> None:
    for number, value in _fields(graph, budget):
        if number in (11, 12) and not isinstance(value, int):
            name = next((each for key, each in _fields(value, budget) if key == 1 and not isinstance(each, int)), b"")
            (found.inputs if number == 11 else found.outputs).append(_text(name))


def _holds(content: bytes, wanted: bytes) -> bool:
    """Search in pieces, so that other threads can run in between."""
    overlap = len(wanted) - 1
    return any(
        content.find(wanted, start, start + _SEARCHED + overlap) >= 0 for start in range(0, len(content), _SEARCHED)
    )


def _fields(data: memoryview, budget: _Budget) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field, varints as int; raises OutlineError if the message is truncated."""
    at, end = 0, len(data)
    while at < end:
        budget.spend()
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise OutlineError(f"it is not a protobuf message (wire type {kind})")
        if at + size > end:
            raise OutlineError("it ends too early")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise OutlineError("it ends too early")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise OutlineError("it is not a protobuf message (a number has more than 10 bytes)")


def _text(value: memoryview | bytes) -> str:
    return bytes(value[:200]).decode("utf-8", "replace")
