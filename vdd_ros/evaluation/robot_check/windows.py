"""The observations that a node would see at the ticks of a policy, from the readings of its inputs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vdd_ros.control.differences import Differences
from vdd_ros.control.window_form import WindowForm
from vdd_ros.evaluation.alignment import newest_at
from vdd_ros.evaluation.robot_check.readings import InputReadings
from vdd_ros.features import Feature
from vdd_ros.robot.quantities import turn, unit_factor
from vdd_ros.robot.robot_file import RobotFile

Floats = NDArray[np.float64]


def observed_at(
    ticks: Floats,
    robot: RobotFile,
    spec: WindowForm,
    inputs: Sequence[InputReadings],
    last_commands: Sequence[InputReadings],
) -> Floats:
    """Return the observations, (ticks, obs_dim), in the policy's units; arrays are left out.

    Args:
        ticks: Times at which every input has a value, seconds since the epoch.
        robot: The robot file.
        spec: Metadata of the policy, or the form of demonstrations.
        inputs: Readings of the robot file's inputs.
        last_commands: Readings of its last commands; before the first one, the robot's measured values are used.
    """
    differences = Differences(robot, spec.vector)
    columns = {feature.name: column for column, feature in enumerate(differences.read)}
    window = np.zeros((len(ticks), len(columns)), np.float32)
    for one in inputs if len(ticks) else ():
        if one.source.array is None:
            own = [columns[feature.name] for feature in one.features]
            window[:, own] = one.values[newest_at(one.received_s, ticks)]
    for one in last_commands if len(ticks) else ():
        _fill_last(window, differences.read, one, ticks)
    return differences.applied(window).astype(np.float64)


def difference(inputs: Sequence[InputReadings], source: InputReadings, column: int) -> Floats | None:
    """Return the values, (n,), of an entry minus those of another one, at the messages of its input.

    Args:
        inputs: Readings of the robot file's inputs.
        source: Readings of the entry's input.
        column: Index of the entry in it.

    Returns:
        None if the entry is not a difference. There is no value before the first one of the other entry. Differences of
        angles go the shorter way round.
    """
    minus, unit = source.source.entries[column].minus, source.features[column].unit
    if minus is None:
        return None
    other, place = next((one, index) for one in inputs for index, each in enumerate(one.features) if each.name == minus)
    places = newest_at(other.received_s, source.received_s)
    both = places >= 0
    subtracted = other.values[places[both], place] * unit_factor(other.features[place].unit, unit, unit)
    found = source.values[both, column] - subtracted
    around = turn(unit)
    return np.asarray(found - around * np.rint(found / around) if around else found)


def _fill_last(window: NDArray[np.float32], read: Sequence[Feature], one: InputReadings, ticks: Floats) -> None:
    """Write the last commands into a window, or the measured values before the first command."""
    columns = {feature.name: column for column, feature in enumerate(read)}
    places = newest_at(one.received_s, ticks)
    sent = places >= 0
    for index, entry in enumerate(one.source.entries):
        column = columns[entry.name]
        window[sent, column] = one.values[places[sent], index] if sent.any() else 0
        if entry.starts_at is not None:
            measured = columns[entry.starts_at]
            factor = unit_factor(read[measured].unit, read[column].unit, entry.name)
            window[~sent, column] = window[~sent, measured] * factor
