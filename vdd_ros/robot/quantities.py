"""Physical quantities, their units, and conversion factors."""

import math
from collections.abc import Collection

from vdd_ros.errors import RobotFileError

LENGTH, ANGLE = "length", "angle"
SPEED, ANGULAR_SPEED = "speed", "angular speed"
ACCELERATION, ANGULAR_ACCELERATION = "acceleration", "angular acceleration"
FORCE, TORQUE = "force", "torque"
MASS, INERTIA, TIME = "mass", "moment of inertia", "time"
TEMPERATURE, PRESSURE, MAGNETIC_FIELD, ILLUMINANCE = "temperature", "pressure", "magnetic field", "illuminance"
VOLTAGE, CURRENT, CHARGE = "voltage", "current", "charge"
DIMENSIONLESS = "dimensionless"
DIMENSIONLESS_UNIT = "1"

POSITIONS = (LENGTH, ANGLE)
VELOCITIES = (SPEED, ANGULAR_SPEED)
EFFORTS = (FORCE, TORQUE)
STILL_AT_ZERO = (*VELOCITIES, ACCELERATION, ANGULAR_ACCELERATION, *EFFORTS, VOLTAGE, CURRENT, DIMENSIONLESS)
"""Quantities whose zero is not a position."""
GO_ON = (*VELOCITIES, ACCELERATION, ANGULAR_ACCELERATION)
"""Quantities that keep a robot moving if it holds the last set point."""

UNITS = {
    "m": (LENGTH, 1.0),
    "cm": (LENGTH, 1e-2),
    "mm": (LENGTH, 1e-3),
    "rad": (ANGLE, 1.0),
    "deg": (ANGLE, math.pi / 180),
    "m/s": (SPEED, 1.0),
    "cm/s": (SPEED, 1e-2),
    "mm/s": (SPEED, 1e-3),
    "rad/s": (ANGULAR_SPEED, 1.0),
    "deg/s": (ANGULAR_SPEED, math.pi / 180),
    "rpm": (ANGULAR_SPEED, math.pi / 30),
    "m/s^2": (ACCELERATION, 1.0),
    "rad/s^2": (ANGULAR_ACCELERATION, 1.0),
    "deg/s^2": (ANGULAR_ACCELERATION, math.pi / 180),
    "N": (FORCE, 1.0),
    "Nm": (TORQUE, 1.0),
    "kg": (MASS, 1.0),
    "kg*m^2": (INERTIA, 1.0),
    "s": (TIME, 1.0),
    "ms": (TIME, 1e-3),
    "degC": (TEMPERATURE, 1.0),
    "Pa": (PRESSURE, 1.0),
    "hPa": (PRESSURE, 1e2),
    "T": (MAGNETIC_FIELD, 1.0),
    "lx": (ILLUMINANCE, 1.0),
    "V": (VOLTAGE, 1.0),
    "A": (CURRENT, 1.0),
    "Ah": (CHARGE, 1.0),
    "1": (DIMENSIONLESS, 1.0),
    "%": (DIMENSIONLESS, 1e-2),
}
RATE_UNITS = {unit: f"{unit}/s" for unit in ("rad", "deg", "m", "cm", "mm")}
"""Units of the velocity of joints, by the unit of their positions."""
_OTHER_SPELLINGS = {
    "m": ("meter", "meters", "metre", "metres"),
    "rad": ("radian", "radians"),
    "deg": ("degree", "degrees", "°"),
    "rad/s": ("radian/s", "radians/s"),
    "deg/s": ("degree/s", "degrees/s", "°/s"),
    "m/s^2": ("m/s2", "m/s²", "m/s/s"),
    "rad/s^2": ("rad/s2", "rad/s²", "rad/s/s"),
    "deg/s^2": ("deg/s2", "deg/s²", "deg/s/s"),
    "Nm": ("N*m", "N m", "N.m", "N·m"),
    "degC": ("°C", "celsius"),
    "1": ("-", "dimensionless", "unitless"),
    "%": ("percent",),
}
_SPELT = {other: unit for unit, others in _OTHER_SPELLINGS.items() for other in others}


def quantity_of(unit: str) -> str | None:
    """Return the quantity of a unit, or None if the unit is unknown."""
    known = UNITS.get(_SPELT.get(unit, unit))
    return known and known[0]


def units_of(quantities: Collection[str]) -> list[str]:
    """Return the units of the given quantities."""
    return [unit for unit, (quantity, _) in UNITS.items() if quantity in quantities]


def unit_factor(have: str, want: str, path: str) -> float:
    """Return the factor from one unit to another; raises RobotFileError naming `path` if none exists."""
    if have == want:
        return 1.0
    given, wanted = (UNITS.get(_SPELT.get(unit, unit)) for unit in (have, want))
    if given and wanted and given[0] == wanted[0]:
        return given[1] / wanted[1]
    problem = f"{path}: {have!r} cannot be converted to {want!r}"
    if given and wanted:
        raise RobotFileError(f"{problem}: one is a unit of {given[0]}, the other of {wanted[0]}")
    raise RobotFileError(f"{problem}; the units must be equal, or both of one quantity and among {', '.join(UNITS)}")


def spaced(unit: str) -> str:
    """Return a unit with a space before it, to follow a number in a text; empty for numbers without unit."""
    return "" if unit in ("", DIMENSIONLESS_UNIT) else f" {unit}"


def turn(unit: str) -> float:
    """Return a full turn in a unit; 0 if it is not a unit of angle."""
    return 2 * math.pi * unit_factor("rad", unit, unit) if quantity_of(unit) == ANGLE else 0.0
