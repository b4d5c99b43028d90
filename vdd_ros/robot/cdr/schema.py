"""The structure of message types from any source: message classes, definitions in bags, type stores."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np

from vdd_ros.errors import SchemaError
from vdd_ros.text import printable

NUMBER_CODES = {
    "bool": "?",
    "byte": "B",
    "char": "B",
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}
"""Code of each number type for `struct` and numpy, by its name in .msg files."""

PLACEHOLDER = "structure_needs_at_least_one_member"
"""The single byte of a serialised message without fields."""


@dataclass(frozen=True)
class Number:
    """A number or a truth value.

    Attributes:
        code: Its type, one of the values of `NUMBER_CODES`.
    """

    code: str

    @property
    def size(self) -> int:
        """Size in bytes, which is also its alignment."""
        return np.dtype(self.code).itemsize


@dataclass(frozen=True)
class Text:
    """A string of 8-bit characters in UTF-8."""


@dataclass(frozen=True)
class Opaque:
    """A value whose serialised form differs between middlewares, so that nothing after it can be located.

    Attributes:
        name: Its type, such as `wstring`.
    """

    name: str


@dataclass(frozen=True)
class List:
    """Several items of one kind.

    Attributes:
        item: Kind of an item; never a list.
        length: Number of items of a fixed array; None for a sequence.
        bound: Largest number of items of a sequence; None without a limit.
    """

    item: "Number | Text | Opaque | Schema"
    length: int | None = None
    bound: int | None = None


@dataclass(frozen=True)
class Schema:
    """The structure of a message type.

    Attributes:
        name: Its name, such as `sensor_msgs/msg/JointState`.
        fields: Kind of each field by name, in serialisation order.
    """

    name: str
    fields: Mapping[str, "Kind"]

    def blank(self) -> Any:
        """Return a stand-in for a default message: zeros, empty texts and empty sequences."""
        made = type(self.name.rpartition("/")[2], (SimpleNamespace,), {})
        return made(**{name: _blank(kind) for name, kind in self.fields.items()})


Kind: TypeAlias = Number | Text | Opaque | List | Schema


def simple(name: str) -> Number | Text | Opaque:
    """Return the kind of a simple type, by its name in .msg files, such as `float64` or `string`."""
    if name == "string":
        return Text()
    return Number(NUMBER_CODES[name]) if name in NUMBER_CODES else Opaque(name)


@dataclass(frozen=True)
class Step:
    """One step of a path into a message.

    Attributes:
        field: Name of the field.
        index: Item of a list: its index, `EACH`, or None for the whole field.
    """

    field: str
    index: int | None = None


EACH = -1
"""The index of a step into every item of a list."""


def steps(path: str) -> tuple[Step, ...]:
    """Return the steps of a path, such as `pose.position.x`, `points[0].positions` or `layout.dim[].label`.

    Raises:
        SchemaError: It is not a path.
    """
    return tuple(_step(part, path) for part in path.split("."))


def _step(part: str, path: str) -> Step:
    name, bracket, index = part.partition("[")
    index = index.removesuffix("]") if index.endswith("]") else "?"
    if not name.isidentifier() or (bracket and index and not (index.isascii() and index.isdecimal())):
        raise SchemaError(
            f"{printable(path)!r} is not a path to a field; write it like pose.position.x, points[0].positions or "
            "layout.dim[].label"
        )
    if not bracket:
        return Step(name)
    return Step(name, int(index) if index else EACH)


def check_path(schema: Schema, path: str) -> Kind:
    """Return the kind of the value at a path, or of one item if the path goes into every item of a list.

    Raises:
        SchemaError: The type has nothing there; the error names the fields that it has.
    """
    kind: Kind = schema
    so_far = schema.name
    for step in steps(path):
        if not isinstance(kind, Schema) or step.field not in kind.fields:
            known = ", ".join(kind.fields) if isinstance(kind, Schema) else "none"
            raise SchemaError(f"{so_far} has no field {step.field!r} (path {path!r}); its fields are: {known}")
        kind, so_far = kind.fields[step.field], f"{so_far}.{step.field}"
        if step.index is None:
            continue
        if not isinstance(kind, List):
            raise SchemaError(f"{so_far} is not a list, so {path!r} cannot name an item of it; leave out the brackets")
        if kind.length is not None and step.index >= kind.length:
            raise SchemaError(f"{so_far} has {kind.length} items, counted from 0, so {path!r} exceeds it")
        kind = kind.item
    return kind


def _blank(kind: Kind) -> Any:
    if isinstance(kind, Schema):
        return kind.blank()
    if isinstance(kind, Number):
        return {"?": False, "f": 0.0, "d": 0.0}.get(kind.code, 0)
    if not isinstance(kind, List):
        return ""
    if isinstance(kind.item, Number):
        return np.zeros(kind.length or 0, kind.item.code)
    return [_blank(kind.item) for _ in range(kind.length or 0)]
