"""Rotations as numbers for learning: yaw, rotation vector, and six numbers of the matrix.

Quaternions are (x, y, z, w), as in geometry_msgs. q and -q are one rotation and yield the same numbers, to the bit.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError

Floats = NDArray[np.float64]
Number = TypeVar("Number", float, Floats)
Quaternion = tuple[float, float, float, float]
NORM_TOLERANCE = 0.01
"""Allowed deviation of a quaternion's squared norm from 1, as in tf2."""
_LEAST_HEADING = 1e-6


def unit_quaternion(x: float, y: float, z: float, w: float) -> Quaternion:
    """Return a quaternion with norm 1 and a unique sign: w is positive, or if it is 0, the first nonzero number.

    Raises:
        ObservationError: The norm is not 1, as for the zeros of an empty message.
    """
    square = x * x + y * y + z * z + w * w
    if not abs(square - 1.0) <= NORM_TOLERANCE:
        what = "only zeros: its publisher does not set it" if square == 0 else f"of the norm {math.sqrt(square):.4g}"
        raise ObservationError(f"a quaternion is {what}; the norm of a rotation is 1")
    norm = math.sqrt(square)
    first = next(part for part in (w, x, y, z) if part)
    if first < 0:
        norm = -norm
    return x / norm + 0.0, y / norm + 0.0, z / norm + 0.0, w / norm + 0.0  # + 0.0: no negative zeros


def unit_quaternions(rows: Floats) -> tuple[tuple[Floats, Floats, Floats, Floats], NDArray[np.bool_]]:
    """Return the results of `unit_quaternion` for each row of (n, 4), to the bit, number by number.

    Returns:
        (x, y, z, w), each (n,); and which rows are rotations, (n,): `unit_quaternion` raises an error for the others.
    """
    x, y, z, w = rows.T
    with np.errstate(all="ignore"):
        square = x * x + y * y + z * z + w * w
        known: NDArray[np.bool_] = np.abs(square - 1.0) <= NORM_TOLERANCE
        first = np.where(w != 0, w, np.where(x != 0, x, np.where(y != 0, y, z)))
        norm = np.where(first < 0, -np.sqrt(square), np.sqrt(square))
        return (x / norm + 0.0, y / norm + 0.0, z / norm + 0.0, w / norm + 0.0), known


def to_yaw(q: Quaternion) -> float:
    """Return the rotation about z of z-y'-x'' angles (REP 103), in rad from -pi to pi.

    Raises:
        ObservationError: The x axis is vertical, so there is no yaw.
    """
    x, y, z, w = q
    sine, cosine = 2 * (w * z + x * y), w * w + x * x - y * y - z * z
    if math.hypot(sine, cosine) < _LEAST_HEADING:
        raise ObservationError("a rotation has no yaw, since its x axis is vertical; use `rotation: six_d`")
    return math.atan2(sine, cosine)


def from_yaw(yaw: float) -> Quaternion:
    """Return the quaternion of a rotation about z, in rad."""
    return unit_quaternion(0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))


def to_vector(q: Quaternion) -> tuple[float, float, float]:
    """Return the rotation vector, axis times angle, in rad; the angle is at most pi."""
    x, y, z, w = q
    sine = math.sqrt(x * x + y * y + z * z)
    ratio = 2 * math.atan2(sine, w) / sine if sine > 0 else 2.0
    return ratio * x, ratio * y, ratio * z


def from_vector(vector: Sequence[float]) -> Quaternion:
    """Return the quaternion of a rotation vector, in rad."""
    angle = math.sqrt(sum(part * part for part in vector))
    ratio = math.sin(angle / 2) / angle if angle > 0 else 0.5
    x, y, z = (ratio * part for part in vector)
    return unit_quaternion(x, y, z, math.cos(angle / 2))


def to_six_d(q: tuple[Number, Number, Number, Number]) -> tuple[Number, Number, Number, Number, Number, Number]:
    """Return the first two columns of the rotation matrix: r11, r21, r31, r12, r22, r32, of one rotation or of many.

    Continuous in the rotation, unlike any three or four numbers (Zhou et al. 2019, "On the Continuity of Rotation
    Representations in Neural Networks").
    """
    x, y, z, w = q
    return (
        1 - 2 * (y * y + z * z),
        2 * (x * y + w * z),
        2 * (x * z - w * y),
        2 * (x * y - w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z + w * x),
    )


def from_six_d(six: Sequence[float]) -> Quaternion:
    """Return the quaternion of two columns, orthonormalised first (Gram-Schmidt).

    Raises:
        ObservationError: The columns are parallel or zero.
    """
    first = _normalised(six[:3])
    along = sum(a * b for a, b in zip(first, six[3:], strict=True))
    second = _normalised([b - along * a for a, b in zip(first, six[3:], strict=True)])
    third = (
        first[1] * second[2] - first[2] * second[1],
        first[2] * second[0] - first[0] * second[2],
        first[0] * second[1] - first[1] * second[0],
    )
    return from_columns(first, second, third)


def from_columns(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> Quaternion:
    """Return the quaternion of a rotation matrix with the columns a, b, c."""
    squares = (1 + a[0] - b[1] - c[2], 1 - a[0] + b[1] - c[2], 1 - a[0] - b[1] + c[2], 1 + a[0] + b[1] + c[2])
    largest = max(range(4), key=squares.__getitem__)  # divide by the largest number to avoid cancellation
    root = 2 * math.sqrt(squares[largest])
    xy, xz, yz = (a[1] + b[0]) / root, (a[2] + c[0]) / root, (b[2] + c[1]) / root
    wx, wy, wz = (b[2] - c[1]) / root, (c[0] - a[2]) / root, (a[1] - b[0]) / root
    own = root / 4
    return unit_quaternion(*((own, xy, xz, wx), (xy, own, yz, wy), (xz, yz, own, wz), (wx, wy, wz, own))[largest])


def angle_between(one: Quaternion, other: Quaternion) -> float:
    """Return the angle of the rotation from one orientation to another, in rad from 0 to pi."""
    (ax, ay, az, aw), (bx, by, bz, bw) = one, other
    w = aw * bw + ax * bx + ay * by + az * bz
    x = aw * bx - ax * bw - ay * bz + az * by
    y = aw * by + ax * bz - ay * bw - az * bx
    z = aw * bz - ax * by + ay * bx - az * bw
    return 2 * math.atan2(math.sqrt(x * x + y * y + z * z), abs(w))


def _normalised(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(sum(part * part for part in vector))
    if not length > _LEAST_HEADING:
        raise ObservationError("six numbers of a rotation hold columns that are zero or parallel")
    return [part / length for part in vector]
