"""Compares the limits of a robot file with the actions of a policy."""

from collections.abc import Iterator

from vdd_ros.evaluation.preflight.ranges import cuts
from vdd_ros.evaluation.robot_check.findings import ERROR, NOTE, WARNING, Finding
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.robot.command_entries import CommandEntry
from vdd_ros.robot.quantities import spaced, unit_factor
from vdd_ros.robot.robot_file import RobotFile


def limit_findings(robot: RobotFile, spec: PolicySpec) -> Iterator[Finding]:
    """Yield where the limits of a robot file must cut the actions of a policy, by its statistics.

    Absolute commands are compared with `low` and `high`, displacements with `max_step`.

    Args:
        robot: The robot file, checked against the policy.
        spec: Metadata of the policy.
    """
    places = {feature.name: index for index, feature in enumerate(spec.action)}
    for where, action, entry in _numbers(robot):
        index = places[action]
        factor = unit_factor(spec.action[index].unit, entry.unit, where)
        mean, std = (factor * moments[index] for moments in (spec.statistics.action_mean, spec.statistics.action_std))
        low, high = (factor * limit for limit in (spec.action[index].low, spec.action[index].high))
        yield from _entry(entry, where, (mean, std), (low, high))


def _numbers(robot: RobotFile) -> Iterator[tuple[str, str, CommandEntry]]:
    """Yield each number that an action carries: its path, the action, the entry."""
    for command in robot.commands:
        for number, entry in enumerate(command.entries):
            if entry.action is not None:
                yield f"{command.path}.entries[{number}]", entry.action, entry


def _entry(
    entry: CommandEntry, where: str, moments: tuple[float, float], limits: tuple[float, float]
) -> Iterator[Finding]:
    mean, std = moments[0], abs(moments[1])
    displaces = entry.relative_to is not None
    least, most = (-entry.max_step, entry.max_step) if displaces else (entry.low, entry.high)
    key = "max_step" if displaces else "low"
    if limits[0] > most or limits[1] < least:
        text = (
            f"the policy's actions lie in [{limits[0]:.5g}, {limits[1]:.5g}]{spaced(entry.unit)}, none of them within"
        )
        yield Finding(ERROR, f"{where}.{key}", f"{text} [{least:g}, {most:g}]; is the unit right?")
        return
    outside = not least <= mean <= most
    if outside or cuts(mean, std, least, most):
        what = "the mean lies" if outside else "some lie, whatever their distribution,"
        text = f"the policy's actions are {mean:.4g} ± {std:.3g}{spaced(entry.unit)}: {what} outside "
        text += f"[{least:g}, {most:g}] and"
        where = f"{where}.{key}"
        yield Finding(
            ERROR if outside else WARNING, where, f"{text} is cut; is the unit right, or the limit too narrow?"
        )
    elif not displaces and (entry.low < limits[0] - 1e-9 or entry.high > limits[1] + 1e-9):
        text = f"[{entry.low:g}, {entry.high:g}]{spaced(entry.unit)} reaches beyond the policy's [{limits[0]:.5g}, "
        yield Finding(NOTE, f"{where}.low", f"{text}{limits[1]:.5g}], outside of which it never acts")
