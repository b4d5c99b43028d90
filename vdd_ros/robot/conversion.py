"""Conversion from the numbers of a message to the entries of the observation, and back.

A layout reads the raw numbers of a message; their conversion does not depend on their location.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError
from vdd_ros.robot.entries import SIN_COS, TAN, TAN_LIMIT, InputEntry
from vdd_ros.robot.field_paths import elements
from vdd_ros.robot.quantities import DIMENSIONLESS_UNIT, unit_factor
from vdd_ros.robot.rotations import (
    Quaternion,
    from_six_d,
    from_vector,
    from_yaw,
    to_six_d,
    to_vector,
    to_yaw,
    unit_quaternion,
    unit_quaternions,
)

Floats = NDArray[np.float64]
Numbers = list[float]
_PARTS = "xyzw"
SIX_D = "six_d"


class Conversion:
    """Converts the n numbers of a message to the m entries of an input, in the units of the robot file, and back.

    Args:
        entries: The m entries.

    Attributes:
        numbers: The n numbers to read, each as an entry with a location; the argument of `Message.input_layout`.
        is_plain: Whether each entry is one number with scale and offset.
        is_identity: Whether each entry is one unchanged number.
    """

    def __init__(self, entries: Sequence[InputEntry]) -> None:
        groups = [entries[start : start + entry.parts] for start, entry in enumerate(entries) if entry.part == 0]
        self._firsts = [group[0] for group in groups]
        self.numbers = [number for group in groups for number in _numbers(group[0])]
        self.is_plain = all(entry.is_plain for entry in entries)
        self._scale = np.array([entry.scale for entry in self.numbers])
        self._offset = np.array([entry.offset for entry in self.numbers])
        self._scales, self._offsets = bool((self._scale != 1).any()), bool(self._offset.any())
        self.is_identity = self.is_plain and not (self._scales or self._offsets)
        self._pairs = [_pair(group[0]) for group in groups]
        counts = [len(_numbers(group[0])) for group in groups]
        self._slices = _slices(counts), _slices([len(group) for group in groups])

    def read(self, numbers: Floats, out: Floats) -> None:
        """Convert the numbers of a message, (n,), into entries, `out` (m,); it may be `numbers` if `is_plain`.

        Raises:
            ObservationError: A quaternion is not a rotation, or has no yaw.
        """
        if self._scales:
            numbers *= self._scale
        if self._offsets:
            numbers += self._offset
        if self.is_plain:
            if out is not numbers:
                out[:] = numbers
            return
        out[:] = self._encoded(numbers.tolist())

    def read_rows(self, numbers: Floats, skipped: Collection[int]) -> tuple[Floats, dict[int, ObservationError]]:
        """Convert the numbers of messages, (r, n), as `read` does; they are overwritten.

        Args:
            numbers: The numbers, row by row.
            skipped: Rows without numbers.

        Returns:
            The entries, (r, m), NaN if missing; and the reasons, by row.
        """
        if self._scales:
            numbers *= self._scale
        if self._offsets:
            numbers += self._offset
        if self.is_plain:
            return numbers, {}
        found = np.full((len(numbers), self._slices[1][-1].stop), np.nan)
        errors: dict[int, ObservationError] = {}
        known = np.ones(len(numbers), bool)
        known[list(skipped)] = False
        for entry, (encode, _), given, place in zip(self._firsts, self._pairs, *self._slices, strict=True):
            rows = np.flatnonzero(known)
            if entry.constant is not None:
                found[:, place] = entry.constant
                continue
            if entry.is_plain:
                found[:, place] = numbers[:, given]
                continue
            if entry.rotation == SIX_D:
                quaternions, is_rotation = unit_quaternions(numbers[rows, given])
                found[rows, place] = np.stack(to_six_d(quaternions), axis=1)
                rows = rows[~is_rotation]  # these get their errors below
            _encode_singly(encode, numbers[:, given], rows, found[:, place], errors)
            known[list(errors)] = False
        found[~known] = np.nan
        return found, errors

    def _encoded(self, given: Numbers) -> Numbers:
        found: Numbers = []
        for (encode, _), place in zip(self._pairs, self._slices[0], strict=True):
            found += encode(given[place])
        return found

    def write(self, values: Floats) -> Floats:
        """Return the numbers of a message, (n,), for entries, (m,)."""
        numbers = values
        if not self.is_plain:
            given = values.tolist()
            found: Numbers = []
            for (_, decode), place in zip(self._pairs, self._slices[1], strict=True):
                found += decode(given[place])
            numbers = np.array(found)
        return (numbers - self._offset) / self._scale


def _encode_singly(
    encode: Callable[[Numbers], Sequence[float]],
    numbers: Floats,
    rows: NDArray[np.int64],
    out: Floats,
    errors: dict[int, ObservationError],
) -> None:
    """Convert one entry of some rows one by one: sines of numpy and of Python differ in their last bits."""
    for row in rows.tolist():
        try:
            out[row] = encode(numbers[row].tolist())
        except ObservationError as error:
            errors[row] = error


def _numbers(entry: InputEntry) -> list[InputEntry]:
    """Return the numbers of the message behind the parts of an entry."""
    if entry.constant is not None:
        return []
    if not entry.rotation:
        return [entry]
    field = str(entry.field)
    paths = found if len(found := elements(field)) == len(_PARTS) else [f"{field}.{part}" for part in _PARTS]
    return [replace(entry, unit=DIMENSIONLESS_UNIT, field=path) for path in paths]


def _slices(counts: Sequence[int]) -> list[slice]:
    ends = np.cumsum(counts).tolist()
    return [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]


_Pair = tuple[Callable[[Numbers], Sequence[float]], Callable[[Numbers], Sequence[float]]]


def _pair(entry: InputEntry) -> _Pair:
    """Return the functions from the numbers of a message to the parts of an entry, and back."""
    if entry.constant is not None:
        return _constant(entry.constant)
    if entry.rotation:
        unit = 1.0 if entry.unit == DIMENSIONLESS_UNIT else unit_factor("rad", entry.unit, entry.name)
        return _ROTATIONS[entry.encode or entry.rotation](unit)
    if entry.encode:
        return _ANGLES[entry.encode](unit_factor(entry.angle_unit, "rad", entry.name))
    return _same, _same


def _same(numbers: Numbers) -> Numbers:
    return numbers


def _constant(value: float) -> _Pair:
    return lambda _: (value,), lambda _: ()


def _sin_cos(to_rad: float) -> _Pair:
    def encode(numbers: Numbers) -> Sequence[float]:
        angle = numbers[0] * to_rad
        return (math.sin(angle), math.cos(angle)) if math.isfinite(angle) else (math.nan, math.nan)

    return encode, lambda parts: (math.atan2(*parts) / to_rad,)


def _tan(to_rad: float) -> _Pair:
    return lambda numbers: (_tangent(numbers[0] * to_rad),), lambda parts: (math.atan(parts[0]) / to_rad,)


def _tangent(angle: float) -> float:
    return min(max(math.tan(angle), -TAN_LIMIT), TAN_LIMIT) if math.isfinite(angle) else math.nan


_ANGLES: dict[str, Callable[[float], _Pair]] = {SIN_COS: _sin_cos, TAN: _tan}


def _rotation(numbers: Numbers) -> Quaternion:
    return unit_quaternion(*numbers)


def _yaw(unit: float) -> _Pair:
    return (lambda q: (to_yaw(_rotation(q)) * unit,)), (lambda parts: from_yaw(parts[0] / unit))


def _yaw_sin_cos(_: float) -> _Pair:
    def encode(numbers: Numbers) -> Sequence[float]:
        yaw = to_yaw(_rotation(numbers))
        return math.sin(yaw), math.cos(yaw)

    return encode, lambda parts: from_yaw(math.atan2(*parts))


def _yaw_tan(_: float) -> _Pair:
    return lambda q: (_tangent(to_yaw(_rotation(q))),), lambda parts: from_yaw(math.atan(parts[0]))


def _vector(unit: float) -> _Pair:
    return (
        lambda q: [part * unit for part in to_vector(_rotation(q))],
        lambda parts: from_vector([part / unit for part in parts]),
    )


def _six_d(_: float) -> _Pair:
    return (lambda q: to_six_d(_rotation(q))), from_six_d


_ROTATIONS: dict[str, Callable[[float], _Pair]] = {
    "yaw": _yaw,
    SIN_COS: _yaw_sin_cos,
    TAN: _yaw_tan,
    "vector": _vector,
    SIX_D: _six_d,
}
