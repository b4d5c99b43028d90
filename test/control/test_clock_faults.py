"""Clocks that jump or differ, on a loop that is fed by hand: no command about a past that is over, and then again."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from loop_rig import AVOIDING, PERIOD_S, Rig
from policy_files import write_mixture
from robot_messages import pose

from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

HOUR_S = 3600.0
MAX_AGE_S = 0.2  # of both inputs of Avoiding


@pytest.fixture
def rig(tmp_path: Path) -> Callable[..., Rig]:
    """Make rigs for Avoiding's robot."""

    def make(history: int = 1) -> Rig:
        path = write_mixture(tmp_path / "policy.onnx", history=history)
        return Rig(OnnxPolicy.load(path, expert="greedy"), RobotFile.load(AVOIDING))

    return make


def run(made: Rig, from_s: float, ticks: int, place: float = 0.5) -> float:
    """Tick with fresh observations; return the time after the last tick."""
    for tick in range(ticks):
        made.see((place, 0.1), (place, 0.1), from_s + tick * PERIOD_S)
        made.loop.tick(from_s + tick * PERIOD_S + 0.001, 0.0)
    return from_s + ticks * PERIOD_S


@pytest.mark.parametrize("back_s", [1.0, HOUR_S, 9 * HOUR_S])
def test_clock_set_back_starts_over(rig: Callable[..., Rig], back_s: float) -> None:
    """Nothing is commanded from what was seen before; messages of the new time are taken at once."""
    made = rig()
    now_s = run(made, 10 * HOUR_S, 5) - back_s
    made.loop.tick(now_s, 0.0)
    made.loop.tick(now_s + 0.03, 0.0)
    assert len(made.out.commands) == 5
    assert (made.loop.counters.clock_jumps, made.loop.counters.failsafes) == (1, 1)
    run(made, now_s + 0.04, 3, place=0.7)
    assert len(made.out.commands) == 8
    assert made.out.commands[5][0] == pytest.approx(0.7, abs=0.021)
    assert made.loop.counters.clock_jumps == 1
    assert made.loop.counters.refused_messages == 0


def test_message_after_the_clock_was_set_back_is_taken(rig: Callable[..., Rig]) -> None:
    """Also where it comes before the next tick."""
    made = rig()
    now_s = run(made, 10 * HOUR_S, 5) - HOUR_S
    run(made, now_s, 1)
    assert (len(made.out.commands), made.loop.counters.clock_jumps) == (6, 1)
    assert made.loop.counters.refused_messages == 0


def test_clock_that_creeps_back_is_found(rig: Callable[..., Rig]) -> None:
    """Small steps add up; one of less than a period alone is no jump."""
    made = rig()
    now_s = run(made, 100.0, 2)
    made.loop.tick(now_s - 1.6 * PERIOD_S, 0.0)
    assert made.loop.counters.clock_jumps == 0
    made.loop.tick(now_s - 2.2 * PERIOD_S, 0.0)
    assert made.loop.counters.clock_jumps == 1


def test_messages_that_waited_do_not_set_the_clock_back(rig: Callable[..., Rig]) -> None:
    """A node that was held up takes them input by input: the first one of the second is older than the last before."""
    made = rig(history=3)
    before_s = run(made, 100.0, 5)
    now_s = before_s + 3 * PERIOD_S
    for name in ("desired", "tcp"):
        for late in range(4):
            at_s = before_s + late * PERIOD_S
            made.receive(name, pose(0.5 + 0.01 * late, 0.1, stamp_s=at_s), now_s, at_s)
    made.loop.tick(now_s, 0.0)
    assert (len(made.out.commands), made.loop.counters.clock_jumps, made.loop.counters.failsafes) == (6, 0, 0)
    assert made.loop.observer.sample(now_s)[:, 0] == pytest.approx([0.51, 0.52, 0.53])
    assert made.loop.counters.refused_messages == 0


@pytest.mark.parametrize("back_s", [0.5 * MAX_AGE_S, HOUR_S])
def test_message_from_before_the_clock_was_set_back(rig: Callable[..., Rig], back_s: float) -> None:
    """It waited meanwhile; it does not keep later ones from being seen for longer than max_age_s."""
    made = rig()
    before_s = run(made, 10 * HOUR_S, 5)
    now_s = before_s - back_s
    for name in ("desired", "tcp"):
        made.receive(name, pose(0.5, 0.1, stamp_s=before_s), now_s, before_s)
    assert made.loop.counters.clock_jumps == 1
    run(made, now_s, math.ceil(MAX_AGE_S / PERIOD_S) + 1)
    commanded = len(made.out.commands)
    run(made, now_s + MAX_AGE_S + 3 * PERIOD_S, 3, place=0.7)
    assert len(made.out.commands) == commanded + 3
    assert made.loop.observer.newest_s() == pytest.approx(now_s + MAX_AGE_S + 5 * PERIOD_S)


def test_clock_set_forward_makes_all_stale_until_it_comes_again(rig: Callable[..., Rig]) -> None:
    made = rig(history=3)
    now_s = run(made, 100.0, 5) + HOUR_S
    made.loop.tick(now_s, 0.0)
    assert (len(made.out.commands), made.loop.counters.stale, made.loop.counters.failsafes) == (5, 1, 1)
    run(made, now_s + 0.01, 2, place=0.7)
    assert len(made.out.commands) == 7


def test_after_a_loss_no_row_of_the_window_is_from_before_it(rig: Callable[..., Rig]) -> None:
    """A window that reaches back over the gap repeats the first value after it, as at the start."""
    made = rig(history=3)
    now_s = run(made, 100.0, 5) + 2 * MAX_AGE_S
    made.loop.tick(now_s, 0.0)
    made.see((0.7, 0.2), (0.7, 0.2), now_s + 0.01)
    assert made.loop.observer.sample(now_s + 0.02) == pytest.approx(
        made.loop.observer.sample(now_s + 0.02)[-1:].repeat(3, 0)
    )


def test_future_stamps_do_not_make_an_input_younger_than_its_arrival(rig: Callable[..., Rig]) -> None:
    """A sensor whose clock is ahead, but not too much, is stale max_age_s after its last message all the same."""
    made = rig()
    for name in ("desired", "tcp"):
        made.receive(name, pose(0.5, 0.1, stamp_s=100.0 + 0.9 * MAX_AGE_S), 100.0)
    made.loop.tick(100.0 + 0.99 * MAX_AGE_S, 0.0)
    assert len(made.out.commands) == 1
    made.loop.tick(100.0 + 1.01 * MAX_AGE_S, 0.0)
    assert (len(made.out.commands), made.loop.counters.stale) == (1, 1)


@pytest.mark.parametrize("offset_s", [-HOUR_S, HOUR_S])
def test_sensor_whose_stamps_jump_and_return(rig: Callable[..., Rig], offset_s: float) -> None:
    """Its messages are refused and counted while they are an hour off, and taken again afterwards."""
    made = rig()
    now_s = run(made, 100.0, 5)
    for tick in range(10):
        at_s = now_s + tick * PERIOD_S
        for name in ("desired", "tcp"):
            made.receive(name, pose(0.5, 0.1, stamp_s=at_s + offset_s), at_s)
        made.loop.tick(at_s, 0.0)
    assert made.loop.counters.refused_messages == 20
    assert made.loop.counters.stale >= 4
    commanded = len(made.out.commands)
    run(made, now_s + 10 * PERIOD_S, 3)
    assert len(made.out.commands) == commanded + 3
    assert made.loop.counters.clock_jumps == 0
