"""Largest distance of commands from the robot: from the robot file, by default, and the arithmetic."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arm_rig import MAX_STEP, arm_document

from vdd_ros.control.following import max_errors, turns
from vdd_ros.control.guards import GuardSettings
from vdd_ros.control.limits import CommandLimits
from vdd_ros.errors import ConfigurationError, RobotFileError
from vdd_ros.robot.commands import Command
from vdd_ros.robot.robot_file import RobotFile


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, 0.25 * 50 * MAX_STEP),
        ({"unit": "deg", "max_step": 2.0}, 0.25 * 50 * 2.0),
        ({"measured": None, "relative_to": "elbow"}, math.inf),
        ({"relative_to": "shoulder"}, 0.25 * 50 * MAX_STEP),
        ({"measured": None, "relative_to": "elbow", "max_error": 0.1}, 0.1),
        ({"max_error": 0.3}, 0.3),
        ({"max_error": math.inf}, math.inf),
        ({"max_step": math.inf}, math.inf),
        ({"max_step": math.inf, "max_error": 0.3}, 0.3),
    ],
)
def test_defaults(entry: dict[str, Any], expected: float) -> None:
    """A quarter of a second's steps, of positions that something else than their set point measures."""
    document = arm_document(**entry)
    document["command"]["type"] = "std_msgs/msg/Float64MultiArray"
    command = RobotFile.from_dict(document).commands[0]
    assert max_errors(command.entries, 0.02) == pytest.approx([expected] * 2)


@pytest.mark.parametrize("unit", ["m", "deg", "1", "%", "ticks"])
def test_places_are_bounded(unit: str) -> None:
    assert max_errors(in_unit(unit).entries, 0.02) == pytest.approx([0.25 * 50 * MAX_STEP])


@pytest.mark.parametrize("unit", ["m/s", "deg/s", "m/s^2", "N", "A"])
def test_non_accumulating_quantities_are_unbounded(unit: str) -> None:
    """Unless the robot file says so."""
    assert max_errors(in_unit(unit).entries, 0.02) == [math.inf]
    assert max_errors(in_unit(unit, max_error=0.3).entries, 0.02) == [0.3]


def in_unit(unit: str, **entry: Any) -> Command:
    """Return a command of one number in a unit."""
    command = RobotFile.from_dict(arm_document()).commands[0]
    return replace(command, entries=(replace(command.entries[0], unit=unit, **entry),))


def test_slow_policies_may_be_five_steps_ahead() -> None:
    command = RobotFile.from_dict(arm_document()).commands[0]
    assert max_errors(command.entries, 0.2) == pytest.approx([5 * MAX_STEP] * 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_error": 0}, r"entries\[0\].max_error: must be above zero"),
        ({"max_error": "far"}, r"entries\[0\].max_error: must be a number"),
        ({"max_error": 0.1, "measured": None}, r"entries\[0\].max_error: needs `measured`"),
    ],
)
def test_robot_files_with_a_wrong_bound(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RobotFileError, match=message):
        RobotFile.from_dict(arm_document(**change))


def test_settings_and_limits_that_cannot_be_meant() -> None:
    with pytest.raises(ConfigurationError, match="follow_timeout_s is 0"):
        GuardSettings(follow_timeout_s=0)
    for wrong in ([0.0], [1.0, 1.0], [math.nan]):
        with pytest.raises(ConfigurationError, match="max_error is"):
            CommandLimits([0], [1], [1], wrong)


@pytest.mark.parametrize(
    ("before", "value", "measured", "expected"),
    [
        (0.0, 0.4, 0.3, 0.4),  # within all limits
        (0.0, 0.4, 0.0, 0.2),  # waits beside the robot
        (0.0, -0.4, 0.0, -0.2),
        (0.1, 0.3, -3.1, -0.4),  # the robot has left: no more than a step back
        (0.1, 0.3, 3.0, 0.6),
        (0.9, 1.4, 1.5, 1.0),  # the robot is outside the range: the range holds
    ],
)
def test_range_and_step_hold_in_any_case(before: float, value: float, measured: float, expected: float) -> None:
    limits = CommandLimits([-1], [1], [0.5], [0.2])
    limits.restart([before])
    command = np.array([value])
    assert limits.apply(command, [measured])
    assert command[0] == pytest.approx(expected)
    assert limits.waits == ([] if expected == value else [0])


@pytest.mark.parametrize("unit", ["rad", "deg"])
def test_angles_are_the_same_once_around(unit: str) -> None:
    """A joint without end, whose encoder gives -pi to pi: just behind the jump it is still beside its command."""
    document = arm_document(unit=unit, high=400.0, low=-400.0)
    around = turns(RobotFile.from_dict(document).command_entries)
    assert around == pytest.approx([2 * math.pi if unit == "rad" else 360.0] * 2)
    limits = CommandLimits([-400.0], [400.0], [1.0], [0.3], around[:1])
    half = 0.5 * around[0]
    limits.restart([half - 0.1])
    for value, measured, expected in ((0.1, -0.05, 0.1), (0.2, 0.1, 0.2), (0.5, 0.1, 0.4), (-0.1, -0.2, -0.1)):
        command = np.array([half + value])
        assert limits.apply(command, [measured - math.copysign(half, measured)])
        assert command[0] == pytest.approx(half + expected)
