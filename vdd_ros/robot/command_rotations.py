"""Orientations as commands: from the numbers of an action to the quaternion of a message, and back."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError
from vdd_ros.features import Feature
from vdd_ros.robot.entries import ROTATIONS
from vdd_ros.robot.quantities import DIMENSIONLESS_UNIT, unit_factor
from vdd_ros.robot.rotations import (
    Quaternion,
    angle_between,
    from_six_d,
    from_vector,
    from_yaw,
    to_six_d,
    to_vector,
    to_yaw,
    unit_quaternion,
    unit_quaternions,
)

QUATERNION = "quaternion"
FORMS: Mapping[str, Sequence[str]] = {QUATERNION: ("_x", "_y", "_z", "_w"), **ROTATIONS}
"""Forms of an orientation in an action, with the endings of its action entries' names."""
HEADINGS = ("yaw", "sin_cos")
"""Forms of an orientation in an observation that hold only its rotation about z."""
PARTS = "xyzw"
LEAST_NORM = 0.1
"""Shortest quaternion of a policy that has a direction; shorter ones are refused."""
_NOWHERE: Quaternion = (math.nan,) * 4

Numbers = Sequence[float]


@dataclass(frozen=True)
class CommandRotation:
    """The orientation that four numbers of a command carry.

    Attributes:
        name: Path of the quaternion in the message.
        form: Form of the action, one of `FORMS`.
        action: Name of its action entries, without the endings of the form.
        unit: Unit of its angles: of the action's `yaw` or `vector`, and of the limits below.
        follows_last: Whether the action turns the last command, about the axes of the command's frame.
        measured: Observation entries of a rotation, without their endings; None if unmeasured.
        max_step: Largest angle from one command to the next, in rad.
        max_error: Largest angle between a command and the measured orientation, in rad.
        first_step: Largest such angle of a first command, with `first_action: refuse`, in rad.
    """

    name: str
    form: str
    action: str
    unit: str
    follows_last: bool
    measured: str | None
    max_step: float
    max_error: float
    first_step: float

    @property
    def features(self) -> tuple[Feature, ...]:
        """The action entries."""
        unit = self.unit if self.form in ("yaw", "vector") else DIMENSIONLESS_UNIT
        return tuple(Feature(self.action + end, unit) for end in FORMS[self.form])


class RotationChannel:
    """Converts between actions and the quaternion of a command.

    Args:
        rotation: The orientation in the robot file.
        first: Index of the quaternion's x among the numbers of all commands.
        observation: Features of the policy's observation.
        action: Features of the policy's action.

    Attributes:
        rotation: The same.
        place: Slice of the quaternion.
    """

    def __init__(
        self, rotation: CommandRotation, first: int, observation: Sequence[Feature], action: Sequence[Feature]
    ) -> None:
        self.rotation = rotation
        self.place = slice(first, first + len(PARTS))
        self._action = _columns(rotation.features, action)
        self._decode, self._encode = _PAIRS[rotation.form]
        seen = measured_features(rotation, observation)
        self._seen = _columns(seen, observation)
        self._see = _PAIRS[form_of(rotation.measured, [feature.name for feature in seen])][0] if seen else None

    def quaternion(self, numbers: NDArray[np.float64]) -> Quaternion:
        """Return the quaternion among the numbers of all commands, (n,)."""
        return _as_quaternion(numbers[self.place].tolist())

    def wanted(self, action: Numbers, before: Numbers) -> Quaternion:
        """Return the quaternion for an action, (act_dim,), after the last command, 4 numbers; NaN if it has none."""
        turn = self._decoded(self._decode, [action[column] * factor for column, factor in self._action])
        return _product(turn, _as_quaternion(before)) if self.rotation.follows_last else turn

    def measured(self, seen: Numbers) -> Quaternion | None:
        """Return the measured orientation of an observation, (obs_dim,); None if it is unmeasured."""
        if self._see is None:
            return None
        return self._decoded(self._see, [seen[column] * factor for column, factor in self._seen])

    def action_of(self, values: Numbers, before: Numbers, out: Callable[[int, float], None]) -> None:
        """Yield each number of the action that commands a quaternion after another one, by column."""
        turn = _as_quaternion(values)
        if self.rotation.follows_last:
            turn = _product(turn, _inverse(_as_quaternion(before)))
        for (column, factor), number in zip(self._action, self._encode(_positive(_normalised(turn))), strict=True):
            out(column, number / factor)

    def keep_sign(self, actions: NDArray[np.float64]) -> None:
        """Give each quaternion of consecutive actions, (t, act_dim), the sign nearer to the previous one."""
        if self.rotation.form != QUATERNION:
            return
        columns = [column for column, _ in self._action]
        found = actions[:, columns]
        flips = np.where((found[1:] * found[:-1]).sum(axis=1) < 0, -1.0, 1.0)
        actions[1:, columns] = found[1:] * np.cumprod(flips)[:, None]

    @staticmethod
    def _decoded(decode: Callable[[Numbers], Quaternion], numbers: Numbers) -> Quaternion:
        if not all(map(math.isfinite, numbers)):
            return _NOWHERE
        try:
            return decode(numbers)
        except ObservationError:  # numbers that are not a rotation are refused, like non-finite ones
            return _NOWHERE


def check_orientation(numbers: Numbers, form: str) -> None:
    """Check that a form, one of `FORMS`, can express the orientation of a message, four numbers.

    Raises:
        ObservationError: The numbers are not a rotation, as the zeros of an unset message; or it has no yaw.
    """
    turn = unit_quaternion(*numbers)
    if form == "yaw":
        to_yaw(turn)


def doubtful_orientations(rows: NDArray[np.float64], form: str) -> list[int]:
    """Return the rows of (n, 4) that `check_orientation` may refuse: all others it accepts."""
    if form == "yaw":
        return list(range(len(rows)))
    return np.flatnonzero(~unit_quaternions(rows)[1]).tolist()


def measured_features(rotation: CommandRotation, observation: Sequence[Feature]) -> tuple[Feature, ...]:
    """Return the observation's features that measure an orientation, angles in rad."""
    known = {feature.name: feature for feature in observation}
    form = form_of(rotation.measured, list(known))
    if form is None or rotation.measured is None:
        return ()
    unit = "rad" if form in ("yaw", "vector") else DIMENSIONLESS_UNIT
    return tuple(Feature(rotation.measured + end, unit) for end in _SEEN[form])


def form_of(measured: str | None, names: Sequence[str]) -> str | None:
    """Return the form of the rotation with these names; None without one."""
    found = [form for form, ends in _SEEN.items() if measured and all(measured + end in names for end in ends)]
    return found[0] if found else None


def bounded(wanted: Quaternion, start: Quaternion, most: float) -> Quaternion:
    """Return the orientation nearest to the wanted one within an angle of a start, with the start's sign."""
    if sum(a * b for a, b in zip(wanted, start, strict=True)) < 0:
        wanted = (-wanted[0], -wanted[1], -wanted[2], -wanted[3])
    angle = angle_between(start, wanted)
    if angle <= most:
        return wanted
    half, share = angle / 2, most / angle
    a, b = math.sin((1 - share) * half) / math.sin(half), math.sin(share * half) / math.sin(half)
    x, y, z, w = (a * p + b * q for p, q in zip(start, wanted, strict=True))
    return _normalised((x, y, z, w))


def _columns(wanted: Sequence[Feature], features: Sequence[Feature]) -> list[tuple[int, float]]:
    """Return the column of each requested feature, and the factor from its unit to rad, or to 1."""
    places = {feature.name: (index, feature.unit) for index, feature in enumerate(features)}
    found = []
    for feature in wanted:
        index, unit = places[feature.name]
        base = DIMENSIONLESS_UNIT if feature.unit == DIMENSIONLESS_UNIT else "rad"
        found.append((index, unit_factor(unit, base, feature.name)))
    return found


def _normalised(numbers: Numbers) -> Quaternion:
    norm = math.sqrt(sum(number * number for number in numbers))
    if norm < LEAST_NORM:
        return _NOWHERE
    x, y, z, w = (number / norm for number in numbers)
    return x, y, z, w


def _as_quaternion(numbers: Numbers) -> Quaternion:
    x, y, z, w = numbers
    return x, y, z, w


def _positive(q: Quaternion) -> Quaternion:
    return q if q[3] >= 0 else (-q[0], -q[1], -q[2], -q[3])


def _inverse(q: Quaternion) -> Quaternion:
    return -q[0], -q[1], -q[2], q[3]


def _product(a: Quaternion, b: Quaternion) -> Quaternion:
    """Return the rotation b, then a."""
    (ax, ay, az, aw), (bx, by, bz, bw) = a, b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


_Pair = tuple[Callable[[Numbers], Quaternion], Callable[[Quaternion], Numbers]]
_PAIRS: Mapping[str | None, _Pair] = {
    QUATERNION: (_normalised, lambda q: q),
    "yaw": (lambda n: from_yaw(n[0]), lambda q: (to_yaw(q),)),
    "vector": (from_vector, to_vector),
    "six_d": (from_six_d, to_six_d),
    "sin_cos": (lambda n: from_yaw(math.atan2(n[0], n[1])), lambda q: (math.sin(to_yaw(q)), math.cos(to_yaw(q)))),
}
_SEEN: Mapping[str, Sequence[str]] = {
    "six_d": ROTATIONS["six_d"],
    "vector": ROTATIONS["vector"],
    "sin_cos": ("_sin", "_cos"),
    "yaw": ROTATIONS["yaw"],
}
"""Forms of an orientation in an observation."""
