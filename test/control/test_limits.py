"""Command limits: unchanged, limited and refused commands, and their counts."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vdd_ros.control.limits import CommandLimits
from vdd_ros.errors import ConfigurationError

INF = float("inf")


def _apply(limits: CommandLimits, *values: float) -> list[float]:
    command = np.array(values)
    assert limits.apply(command)
    return command.tolist()


def test_a_command_within_limits_passes_unchanged() -> None:
    limits = CommandLimits([-1, -2], [1, 2], [0.5, 0.5])
    assert _apply(limits, 0.25, -1.0) == [0.25, -1.0]
    assert _apply(limits, 0.75, -1.5) == [0.75, -1.5]
    assert limits.accepted == 2
    assert_array_equal(limits.out_of_range + limits.too_far, [0, 0])


def test_values_are_bounded_to_their_range_and_counted_per_entry() -> None:
    limits = CommandLimits([-1, -2], [1, INF])
    assert _apply(limits, 3.0, -5.0) == [1.0, -2.0]
    assert _apply(limits, -3.0, 5e9) == [-1.0, 5e9]
    assert_array_equal(limits.out_of_range, [2, 1])


def test_steps_are_bounded_from_the_command_that_was_let_through() -> None:
    limits = CommandLimits([-9, -9], [9, 9], [1.0, INF])
    assert _apply(limits, 0.0, 0.0) == [0.0, 0.0]
    assert _apply(limits, 5.0, 8.0) == [1.0, 8.0]
    assert _apply(limits, 5.0, -8.0) == [2.0, -8.0]
    assert _apply(limits, -5.0, -8.0) == [1.0, -8.0]
    assert_array_equal(limits.too_far, [3, 0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_refuses_the_whole_command(value: float) -> None:
    limits = CommandLimits([-1, -1], [1, 1], [0.1, 0.1])
    _apply(limits, 0.0, 0.0)
    command = np.array([5.0, value])
    assert not limits.apply(command)
    assert_array_equal(command, [5.0, value])
    assert (limits.accepted, limits.refused) == (1, 1)
    assert_array_equal(limits.out_of_range + limits.too_far, [0, 0])
    assert _apply(limits, 0.5, 0.0) == [0.1, 0.0]


def test_restart_measures_the_first_step_from_the_given_start() -> None:
    limits = CommandLimits([-9], [9], [1.0])
    limits.restart([3.0])
    assert _apply(limits, 9.0) == [4.0]
    limits.restart()
    assert _apply(limits, -9.0) == [-9.0]


def test_a_start_more_than_a_step_outside_the_range_is_refused() -> None:
    """Whatever was sent would be outside the range, or a jump; once a step leads into the range, it is taken."""
    limits = CommandLimits([-1, -1], [1, 1], [1.0, 1.0])
    for start in ([2.5, 0.0], [0.0, -2.1]):
        limits.restart(start)
        command = np.array([0.0, 0.0])
        assert not limits.apply(command)
        assert command.tolist() == [0.0, 0.0]
    assert (limits.unreachable, limits.accepted) == (2, 0)
    limits.restart([1.5, -2.0])
    assert _apply(limits, 0.0, 0.0) == [0.5, -1.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 0], [1]), "shapes"),
        (([], []), "shapes"),
        ((0.0, 1.0), "shapes"),
        (([0], [1], [1, 1]), "shapes"),
        (([1], [1]), "below high"),
        (([float("nan")], [1]), "below high"),
        (([0], [1], [0]), "max_step"),
        (([0], [1], [float("nan")]), "max_step"),
    ],
)
def test_limits_that_make_no_sense_are_errors(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CommandLimits(*arguments)


def test_a_command_or_start_of_another_length_is_an_error() -> None:
    limits = CommandLimits([0], [1])
    with pytest.raises(ConfigurationError, match=r"shape \(2,\)"):
        limits.apply(np.zeros(2))
    with pytest.raises(ConfigurationError, match="1 finite numbers"):
        limits.restart([0.0, 1.0])
    with pytest.raises(ConfigurationError, match="finite"):
        limits.restart([np.nan])
