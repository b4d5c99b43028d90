"""Limits of commands from outside the robot file: from demonstrations or a robot description."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from vdd_ros.features import Feature
from vdd_ros.robot.command_entries import FROM_DEMONSTRATIONS, URDF, CommandEntry
from vdd_ros.robot.commands import Command
from vdd_ros.robot.quantities import ANGLE, LENGTH, POSITIONS, VELOCITIES, quantity_of, unit_factor
from vdd_ros.robot.urdf import JointLimits
from vdd_ros.robot.yaml_section import EXAMPLES, fail
from vdd_ros.text import printable

SLOWEST = {ANGLE: (0.01, "rad"), LENGTH: (0.001, "m")}
"""Least change per second that counts as motion, with its unit, by quantity."""
PLACES = 10
"""A number stays in one place if its range is at most this many times `SLOWEST`, per second."""
_Limits = tuple[float, float, float]
"""low, high, max_step."""


def limited(
    commands: Sequence[Command],
    action: Sequence[Feature],
    joints: Mapping[str, JointLimits] | None,
    period_s: float,
    steps: Mapping[str, float],
) -> tuple[Command, ...]:
    """Return commands with every limit resolved to a number.

    Args:
        commands: Commands of a robot file.
        action: Action of the policy, limited to its demonstrations.
        joints: Limits of a robot description; None without one.
        period_s: Time between ticks.
        steps: Demonstrated change per tick of the numbers of the action, by name; empty if unknown.

    Raises:
        RobotFileError: A limit is in neither source, or in another unit.
    """
    features = {feature.name: feature for feature in action}
    return tuple(_limited(command, features, joints, period_s, steps) for command in commands)


def hardly_moved(commands: Sequence[Command], resolved: Sequence[Command], rate_hz: float) -> Iterator[tuple[str, str]]:
    """Yield path and problem of numbers whose `max_step` from demonstrations is tiny because they hardly moved.

    Args:
        commands: Commands of a robot file.
        resolved: The same commands from `limited`.
        rate_hz: Ticks per second.
    """
    for command, filled in zip(commands, resolved, strict=True):
        for index, (entry, found) in enumerate(zip(command.entries, filled.entries, strict=True)):
            given = entry.limits != FROM_DEMONSTRATIONS or not math.isnan(entry.max_step)
            if given or not is_slow(found.max_step * rate_hz, found.unit):
                continue
            yield (
                f"{command.path}.entries[{index}].max_step",
                f"is {found.max_step:.3g} {found.unit} by `limits: from_demonstrations`, "
                f"{found.max_step * rate_hz:.3g} {found.unit} in a second: {printable(entry.name, 60)} hardly moved in "
                "the demonstrations, so a robot that starts further away is refused, or takes long to get there; give "
                f"`max_step`{_fixed_instead(entry, found.low, found.high)}",
            )


def is_slow(speed: float, unit: str) -> bool:
    """Return whether a joint hardly moves: its greatest speed, in `unit` per second, is below `SLOWEST`."""
    slowest = SLOWEST.get(quantity_of(unit) or "")
    return slowest is not None and unit_factor(unit, *slowest[1:], "") * speed < slowest[0]


def _fixed_instead(entry: CommandEntry, low: float, high: float) -> str:
    """Return advice to fix a number that the demonstrations kept between `low` and `high`; empty if it moved."""
    demonstrated = entry.limits == FROM_DEMONSTRATIONS and math.isnan(entry.low) and math.isnan(entry.high)
    if not demonstrated or entry.relative_to is not None or not is_slow((high - low) / PLACES, entry.unit):
        return ""
    return f", or command it without learning: `fixed: {(low + high) / 2:.4g}`"


def range_of(entry: CommandEntry, joints: Mapping[str, JointLimits] | None) -> float:
    """Return `high` - `low` of a number, from its entry or from the joints of a robot description; NaN if unknown."""
    low, high = entry.low, entry.high
    if entry.limits == URDF and joints is not None and entry.name in joints:
        least, most, _ = _described(entry, joints, 1.0, "")
        low, high = least if math.isnan(low) else low, most if math.isnan(high) else high
    return high - low


def _limited(
    command: Command,
    features: Mapping[str, Feature],
    joints: Mapping[str, JointLimits] | None,
    period_s: float,
    steps: Mapping[str, float],
) -> Command:
    def filled(index: int, entry: CommandEntry) -> CommandEntry:
        at = f"{command.path}.entries[{index}]"
        if entry.limits == FROM_DEMONSTRATIONS:
            return _filled(entry, _demonstrated(entry, features[str(entry.action)], steps, at), at)
        return _filled(entry, _described(entry, joints, period_s, at), at) if entry.limits == URDF else entry

    return replace(command, entries=tuple(filled(index, entry) for index, entry in enumerate(command.entries)))


def _demonstrated(entry: CommandEntry, feature: Feature, steps: Mapping[str, float], path: str) -> _Limits:
    """Return limits from the policy's action: range and step for a set point, step for a displacement."""
    factor = unit_factor(feature.unit, entry.unit, entry.name)
    if entry.relative_to is None:
        if math.isnan(entry.max_step) and feature.name not in steps:
            fail(
                f"{path}.max_step",
                "is missing, and the policy file has no demonstrated steps, since it was exported without "
                "demonstrations or by an earlier version; export it again with them (`vdd export`), or give the "
                f"largest change per tick, in {entry.unit}",
                example=EXAMPLES["max_step"],
            )
        return factor * feature.low, factor * feature.high, factor * steps.get(feature.name, math.nan)
    return math.nan, math.nan, factor * max(abs(feature.low), abs(feature.high))


def _described(entry: CommandEntry, joints: Mapping[str, JointLimits] | None, period_s: float, path: str) -> _Limits:
    if joints is None:
        fail(f"{path}.limits", "is 'urdf', but there is no robot description; give `urdf: FILE` in the robot file")
    joint = joints.get(entry.name)
    if joint is None:
        fail(
            f"{path}.name",
            f"is {entry.name!r}, which is not a joint of the robot description; it has",
            list(joints),
        )
    quantity = quantity_of(entry.unit)
    if quantity in POSITIONS:
        factor = unit_factor("rad" if joint.angular else "m", entry.unit, f"{path}.unit")
        return factor * joint.low, factor * joint.high, factor * joint.speed * period_s
    if quantity in VELOCITIES:
        factor = unit_factor("rad/s" if joint.angular else "m/s", entry.unit, f"{path}.unit")
        return -factor * joint.speed, factor * joint.speed, math.nan
    factor = unit_factor("Nm" if joint.angular else "N", entry.unit, f"{path}.unit")
    return -factor * joint.effort, factor * joint.effort, math.nan


def _filled(entry: CommandEntry, found: _Limits, path: str) -> CommandEntry:
    """Return an entry whose own limits take precedence over those found; refuse a limit that is in neither."""
    own = entry.low, entry.high, entry.max_step
    low, high, max_step = (there if math.isnan(here) else here for here, there in zip(own, found, strict=True))
    for key, value in (("low", low), ("high", high), ("max_step", max_step)):
        if math.isnan(value):
            fail(f"{path}.{key}", f"is missing: `limits: {entry.limits}` does not provide it here; give it")
    if not low < high:
        fail(
            f"{path}.low",
            f"is {low:g}, which is not below high ({high:g}); one of them is from `limits: {entry.limits}`",
        )
    if not max_step > 0:
        instead = _fixed_instead(entry, low, high)
        fail(f"{path}.max_step", f"is {max_step:g} by `limits: {entry.limits}`; it must be above 0: give it{instead}")
    first_step = max_step if math.isnan(entry.first_step) else entry.first_step
    return replace(entry, low=low, high=high, max_step=max_step, first_step=first_step, limits="")
