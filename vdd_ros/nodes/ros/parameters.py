"""Parameters of a node as a frozen dataclass: declared with descriptors, read once, unknown names refused."""

from dataclasses import field, fields
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.ros.arguments import unknown_parameters
from vdd_ros.nodes.ros.parameter_values import meant

T = TypeVar("T")


def parameter(
    default: Any,
    description: str,
    low: float | None = None,
    high: float | None = None,
    *,
    path: bool = False,
    fixed: bool = False,
) -> Any:
    """Return a dataclass field that describes one parameter.

    Args:
        default: Its default.
        description: Its meaning.
        low: Smallest value of a number.
        high: Largest value.
        path: Whether it is a file path.
        fixed: Whether it can be set only at startup.
    """
    metadata = {"description": description, "range": (low, high), "path": path, "fixed": fixed}
    return field(default=default, metadata=metadata)


def read_parameters(node: Node, cls: type[T]) -> T:
    """Declare the fields of a dataclass as read-only parameters of a node and return their values.

    Raises:
        ConfigurationError: An unknown name was given; rclpy would ignore it silently.
    """
    declare_parameters(node, cls, read_only=True)
    return current_parameters(node, cls)


def declare_parameters(node: Node, cls: type[Any], *, read_only: bool) -> None:
    """Declare the fields of a dataclass as parameters of a node, and convert given values to the intended ones.

    Raises:
        ConfigurationError: A given value has the wrong type, or is out of range.
    """
    overrides = node._parameter_overrides
    for item in fields(cls):
        if item.name in overrides:
            overrides[item.name] = Parameter(item.name, value=meant(item, overrides[item.name].value))
        descriptor = _descriptor(item.name, item.default, item.metadata, read_only)
        node.declare_parameter(item.name, item.default, descriptor)


def current_parameters(node: Node, cls: type[T]) -> T:
    """Return the current values of the parameters of a dataclass; errors as in `declare_parameters`."""
    declared: Any = cls
    names = [item.name for item in fields(declared)]
    _refuse_unknown(node, names)
    return cls(**{name: node.get_parameter(name).value for name in names})


def meant_parameters(cls: type[Any], given: list[Parameter]) -> list[Parameter]:
    """Return parameters being set, with intended values; raises ConfigurationError as `declare_parameters`."""
    items = {item.name: item for item in fields(cls)}
    return [
        Parameter(each.name, value=meant(items[each.name], each.value))
        if each.name in items and each.type_ != Parameter.Type.NOT_SET
        else each
        for each in given
    ]


def _descriptor(name: str, default: Any, metadata: Any, read_only: bool) -> ParameterDescriptor:
    read_only = read_only or metadata["fixed"]
    descriptor = ParameterDescriptor(name=name, description=metadata["description"], read_only=read_only)
    low, high = metadata["range"]
    if low is not None and isinstance(default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    elif low is not None:
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
    return descriptor


def _refuse_unknown(node: Node, known: list[str]) -> None:
    names = [name for name in node._parameter_overrides if not node.has_parameter(name)]
    if problem := unknown_parameters(names, known):
        raise ConfigurationError(f"{problem} {node.get_name()} has {', '.join(known)}")
