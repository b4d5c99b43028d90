"""Common part of the conformance tests: a plug-in's name must not be that of another one."""

from typing import TypeVar

from vdd_ros.errors import ConformanceError
from vdd_ros.registry import Registry

T = TypeVar("T")


def check_name(registry: Registry[T], name: str, member: T) -> None:
    """Raise ConformanceError if a name belongs to a shipped member, or two installed packages register it.

    Args:
        registry: The registry of the plug-in's group.
        name: Name of the plug-in.
        member: The object of its entry point.
    """
    if problem := registry.taken(name, member):
        raise ConformanceError(problem)
