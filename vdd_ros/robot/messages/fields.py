"""Quantities of message fields, and parts shared by several messages."""

from collections.abc import Iterator, Mapping
from typing import Union

from vdd_ros.errors import ConfigurationError
from vdd_ros.robot.quantities import (
    ACCELERATION,
    ANGULAR_ACCELERATION,
    ANGULAR_SPEED,
    DIMENSIONLESS,
    FORCE,
    LENGTH,
    SPEED,
    TORQUE,
)
from vdd_ros.text import printable

Fields = Mapping[str, Union[str, "Fields"]]
"""Quantity of each field by name, or nested fields."""


def xyz(quantity: str) -> Fields:
    """Return the fields x, y and z of a vector with this quantity."""
    return dict.fromkeys("xyz", quantity)


def no_unit(*names: str) -> Fields:
    """Return these fields as dimensionless numbers."""
    return dict.fromkeys(names, DIMENSIONLESS)


POINT = xyz(LENGTH)
QUATERNION = no_unit(*"xyzw")
POSE: Fields = {"position": POINT, "orientation": QUATERNION}
TWIST: Fields = {"linear": xyz(SPEED), "angular": xyz(ANGULAR_SPEED)}
ACCEL: Fields = {"linear": xyz(ACCELERATION), "angular": xyz(ANGULAR_ACCELERATION)}
WRENCH: Fields = {"force": xyz(FORCE), "torque": xyz(TORQUE)}


def check_names(message_type: str, fields: Fields) -> None:
    """Raise ConfigurationError if the name of a field, nested ones included, is a path."""
    for name, below in fields.items():
        if "." in name or "[" in name:
            raise ConfigurationError(
                f"message type {printable(message_type)}: a field is called '{printable(name)}', which is a path; nest "
                'the fields, as in {"pose": {"position": {"x": "length"}}}'
            )
        if not isinstance(below, str):
            check_names(message_type, below)


def quantity_at(fields: Fields, path: str) -> str | None:
    """Return the quantity of a field, such as `pose.position.x`; None if unknown."""
    found: str | Fields = fields
    for part in path.split("."):
        if isinstance(found, str):
            return None
        found = found.get(part, {})
    return found if isinstance(found, str) else None


def field_paths(fields: Fields, before: str = "") -> Iterator[str]:
    """Yield the dot-paths of all fields with a quantity."""
    for name, below in fields.items():
        if isinstance(below, str):
            yield before + name
        else:
            yield from field_paths(below, f"{before}{name}.")
