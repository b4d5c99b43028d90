"""Parameters of a node as a frozen dataclass: declared with descriptors, read once, unknown names refused."""

import difflib
from dataclasses import field, fields
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from vdd_ros.errors import ConfigurationError

T = TypeVar("T")


def parameter(default: Any, description: str, low: float | None = None, high: float | None = None) -> Any:
    """Return a dataclass field that describes one parameter; `low` and `high` bound a number."""
    return field(default=default, metadata={"description": description, "range": (low, high)})


def read_parameters(node: Node, cls: type[T]) -> T:
    """Declare the fields of a dataclass as read-only parameters of a node and return their values.

    Raises:
        ConfigurationError: If a name was given that is not among them; rclpy ignores those silently.
    """
    declare_parameters(node, cls, read_only=True)
    return current_parameters(node, cls)


def declare_parameters(node: Node, cls: type[Any], *, read_only: bool) -> None:
    """Declare the fields of a dataclass as parameters of a node."""
    for item in fields(cls):
        descriptor = _descriptor(item.name, item.default, item.metadata, read_only)
        node.declare_parameter(item.name, item.default, descriptor)


def current_parameters(node: Node, cls: type[T]) -> T:
    """Return the present values of the parameters that a dataclass declared; the errors are those above."""
    declared: Any = cls
    names = [item.name for item in fields(declared)]
    _refuse_unknown(node, names)
    return cls(**{name: node.get_parameter(name).value for name in names})


def _descriptor(name: str, default: Any, metadata: Any, read_only: bool) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(name=name, description=metadata["description"], read_only=read_only)
    low, high = metadata["range"]
    if low is not None and isinstance(default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    elif low is not None:
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
    return descriptor


def _refuse_unknown(node: Node, known: list[str]) -> None:
    unknown = [name for name in node._parameter_overrides if not node.has_parameter(name)]
    if not unknown:
        return
    close = [match for name in unknown for match in difflib.get_close_matches(name, known, n=1)]
    hint = f"; did you mean {', '.join(close)}?" if close else ";"
    raise ConfigurationError(f"unknown parameters: {', '.join(unknown)}{hint} {node.get_name()} has {', '.join(known)}")
