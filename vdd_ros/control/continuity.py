"""Contradicting messages on one input: no robot moves that fast, so another node publishes there too."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.control.rings import usable
from vdd_ros.features import Feature
from vdd_ros.robot.command_entries import CommandEntry
from vdd_ros.robot.inputs import Input
from vdd_ros.robot.quantities import turn, unit_factor
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.rotations import angle_between, from_vector

Floats = NDArray[np.float64]
VECTOR = "vector"
GENEROUS = 10.0
"""Allowed ratio of measured to commanded rate: robots overshoot and are moved by hand."""


class RotationRate(NamedTuple):
    """The highest rate of a rotation vector, whose parts may jump by a turn.

    Attributes:
        name: Name of the rotation.
        start: Index of the first of its three values.
        to_rad: Factor from the values to rad.
        rate: Highest rate of the angle, in rad per second.
    """

    name: str
    start: int
    to_rad: float
    rate: float


def rotation_rates(source: Input, observation: Sequence[Feature]) -> list[RotationRate]:
    """Return the limits of an input's rotation vectors."""
    units = {entry.name: entry.unit for entry in observation}
    return [
        RotationRate(
            entry.name.removesuffix("_x"),
            index,
            unit_factor(units[entry.name], "rad", entry.name),
            entry.max_rate * unit_factor(entry.unit, "rad", entry.name),
        )
        for index, entry in enumerate(source.entries)
        if entry.rotation == VECTOR and entry.part == 0 and entry.max_rate is not None and entry.max_rate < math.inf
    ]


def max_rates(
    source: Input, observation: Sequence[Feature], commands: Sequence[CommandEntry], period_s: float
) -> list[float]:
    """Return each entry's highest rate of change, in the policy's units per second; inf if unknown.

    The default is `GENEROUS` times the rate that `max_step` allows for the command that the entry measures or
    references. Without `max_step` the rate is unknown. Sines, cosines and numbers of a matrix change at most as fast as
    the angle in rad; for rotation vectors, see `rotation_rates`.
    """
    units = {entry.name: entry.unit for entry in observation}
    rates = []
    for entry in source.entries:
        unit = units[entry.name]
        if entry.rotation == VECTOR:
            rates.append(math.inf)
            continue
        if entry.max_rate is not None:
            rates.append(entry.max_rate * unit_factor(entry.unit, unit, entry.name))
            continue
        known = [
            GENEROUS * number.max_step * unit_factor(number.unit, unit, entry.name) / period_s
            for number in commands
            if entry.name in (number.measured, number.relative_to)
        ]
        rates.append(min(known, default=math.inf))
    return rates


class Continuity:
    """Detects messages of an input that cannot come from the same robot as the previous accepted one.

    A message is refused if a value has changed by more than the rate allows. Of two publishers on one topic only the
    first is believed. That may be the wrong one, so if refusals continue for `forget_s`, the input is doubted: nothing
    is commanded until no refusal occurred for as long.

    After a real jump (a restarted simulation, a driver with a new zero) every message is refused until the distance is
    plausible, or the last good message is `forget_s` old and the input stale. Then the new value is accepted, and
    nothing is commanded for another `forget_s`.

    Args:
        names: Names of the values.
        rates: Highest rate of change per second; inf for no limit.
        units: Units of the values; angles may jump by one turn.
        least_s: Shortest elapsed time that is assumed, since stamps may be uneven, in seconds.
        forget_s: See above.
        rotations: Limits of rotation vectors among the values.

    Attributes:
        refused: Messages that were refused.
    """

    def __init__(
        self,
        names: Sequence[str],
        rates: Sequence[float],
        units: Sequence[str],
        *,
        least_s: float,
        forget_s: float,
        rotations: Sequence[RotationRate] = (),
    ) -> None:
        self.refused = 0
        self._least_s = least_s
        self._forget_s = forget_s
        self._limits = [
            (index, name, rate, turn(unit))
            for index, (name, rate, unit) in enumerate(zip(names, rates, units, strict=True))
            if math.isfinite(rate)
        ]
        self._rotations = tuple(rotations)
        self.reset()

    @property
    def watches(self) -> bool:
        """Whether any value has a limit."""
        return bool(self._limits or self._rotations)

    def reset(self) -> None:
        """Forget accepted messages, as at the start of an episode; the count of refusals stays."""
        self._stamp_s = self._refused_s = self._since_s = self._doubted_until_s = -math.inf
        self._values: list[float] = []
        self._given: list[float] = []
        self._refused_since = False

    def contradiction(self, stamp_s: float, values: NDArray[np.float64], now_s: float) -> str:
        """Return why a message is refused; empty if it is accepted."""
        elapsed_s, self._given = stamp_s - self._stamp_s, values.tolist()
        if not self._values or elapsed_s <= 0:  # the first one, or to be refused for its stamp
            return ""
        why = self._jump(max(elapsed_s, self._least_s), self._given)
        if why and not usable(values):  # refused for its stamp
            return ""
        if why and elapsed_s <= self._forget_s:
            self._refuse(now_s)
            return why
        if why or (self._refused_since and self._jump(self._least_s, self._given)):  # the jump is now accepted
            self._doubted_until_s = now_s + self._forget_s
        return ""

    def may_refuse(self, stamps_s: Floats, values: Floats) -> bool:
        """Return whether any of some consecutive messages may be refused or doubted.

        Args:
            stamps_s: (n,) stamps, ascending and newer than the last accepted one.
            values: (n, k) usable values.
        """
        if self._refused_since or self._rotations:
            return True
        if self._values:
            stamps_s, values = np.append(self._stamp_s, stamps_s), np.vstack([self._values, values])
        if len(values) < 2:
            return False
        elapsed_s = np.maximum(np.diff(stamps_s), self._least_s)
        for index, _, rate, around in self._limits:
            changes, allowed = np.diff(values[:, index]), rate * elapsed_s
            for place in np.flatnonzero(np.abs(changes) > allowed).tolist():
                change, most = float(changes[place]), float(allowed[place])
                if around <= 2 * most or abs(math.remainder(change, around)) > most:
                    return True
        return False

    def take_as_last(self, stamp_s: float, values: NDArray[np.float64]) -> None:
        """Note the last message, (k,), of a block for which `may_refuse` was false: all of them were accepted."""
        self._given = values.tolist()
        self.take(stamp_s)

    @property
    def doubted_until_s(self) -> float:
        """Time in seconds until which commanding is blocked."""
        return self._doubted_until_s

    def take(self, stamp_s: float) -> None:
        """Note that the newest message given to `contradiction` was accepted."""
        self._stamp_s, self._values, self._refused_since = stamp_s, self._given, False

    @property
    def may_be_doubted_until_s(self) -> float:
        """Time in seconds until which the input may be doubted, also for a first command."""
        return max(self._doubted_until_s, self._refused_s + self._forget_s)

    def is_doubted(self, now_s: float, *, starting: bool) -> bool:
        """Whether commanding is blocked; a first command also waits after a refusal."""
        return now_s < self._doubted_until_s or (starting and now_s - self._refused_s <= self._forget_s)

    def _jump(self, elapsed_s: float, values: list[float]) -> str:
        for index, name, rate, around in self._limits:
            change, allowed = values[index] - self._values[index], rate * elapsed_s
            if allowed < abs(change) < math.inf and (
                around <= 2 * allowed or abs(math.remainder(change, around)) > allowed
            ):
                return _too_fast(name, change, elapsed_s, rate)
        for name, start, to_rad, rate in self._rotations:
            one, other = (
                from_vector([part * to_rad for part in vector[start : start + 3]]) for vector in (self._values, values)
            )
            if (change := angle_between(one, other)) > rate * elapsed_s:
                return _too_fast(name, change, elapsed_s, rate)
        return ""

    def _refuse(self, now_s: float) -> None:
        self.refused += 1
        self._refused_since = True
        if now_s - self._refused_s > self._forget_s:
            self._since_s = now_s
        self._refused_s = now_s
        if now_s - self._since_s >= self._forget_s:
            self._doubted_until_s = now_s + self._forget_s


def judges(
    sources: Sequence[Input], robot: RobotFile, vector: Sequence[Feature], period_s: float
) -> dict[str, Continuity]:
    """Return the judges of inputs of single numbers, by name; inputs without a limit are left out.

    Args:
        sources: The inputs.
        robot: Their robot file.
        vector: Features of the numbers.
        period_s: Time between ticks.
    """
    found, units = {}, {entry.name: entry.unit for entry in vector}
    for source in sources:
        names = [entry.name for entry in source.entries]
        rates = max_rates(source, vector, robot.command_entries, period_s)
        forms = [units[name] for name in names]
        turns = rotation_rates(source, vector)
        judge = Continuity(names, rates, forms, least_s=period_s, forget_s=source.max_age_s, rotations=turns)
        if judge.watches:
            found[source.name] = judge
    return found


def _too_fast(name: str, change: float, elapsed_s: float, rate: float) -> str:
    return (
        f"{name} changed by {change:.4g} within {elapsed_s:.2g} s, faster than its max_rate of {rate:.4g} a second; "
        "does this topic have two publishers? If not, increase the entry's max_rate in the robot file"
    )
