"""Seams and second differences of executed actions, on episodes whose numbers are known by hand."""

import math

import numpy as np
import pytest

from vdd_ros.evaluation.chunk_seams import Distances, seams, second_differences
from vdd_ros.features import Feature
from vdd_ros.tasks.rollout import Rollouts

NAN = math.nan
METRES = (Feature("x", "m"), Feature("y", "m"))


def rollouts(actions: list[list[list[float]]], jumps: list[list[list[float]]], lengths: list[int]) -> Rollouts:
    count, none = len(lengths), np.zeros(len(lengths))
    return Rollouts(
        observations=np.zeros((count, len(actions[0]) + 1, 1)),
        actions=np.array(actions),
        experts=None,
        lengths=np.array(lengths),
        success=none > 0,
        modes=none.astype(np.int64),
        ends=np.array(["failure"] * count),
        contexts=np.zeros((count, 0)),
        seams=np.array(jumps),
    )


def test_only_seams_within_the_episode_count() -> None:
    nothing = [NAN, NAN]
    first = rollouts(
        [[[0.0, 0.0]] * 3] * 2, [[nothing, [3.0, 4.0], [1.0, 1.0]], [nothing, nothing, [0.0, 2.0]]], [2, 3]
    )
    assert seams([first, first]).tolist() == [[3.0, 4.0], [0.0, 2.0]] * 2
    assert seams([rollouts([[[0.0, 0.0]]], [[nothing]], [1])]).tolist() == []


def test_second_differences_do_not_cross_episodes() -> None:
    path = [[1.0, 0.0], [2.0, 0.0], [4.0, 1.0], [9.0, 9.0]]
    run = rollouts([path, path], [[[NAN, NAN]] * 4] * 2, [3, 2])
    assert second_differences([run]).tolist() == [[1.0, 1.0]]


def test_distances_have_the_unit_of_the_action() -> None:
    found = Distances.of(np.array([[3.0, -4.0], [0.0, 1.0]]), METRES, [10.0, 10.0])
    assert found is not None
    assert (found.unit, found.count, found.mean, found.p50) == ("m", 2, 3.0, 3.0)
    assert found.p95 == pytest.approx(1 + 0.95 * 4)
    assert found.entries == {"x": 1.5, "y": 2.5}


def test_entries_of_different_units_are_compared_in_standard_deviations() -> None:
    found = Distances.of(np.array([[3.0, -4.0]]), (Feature("x", "m"), Feature("turn", "rad")), [1.0, 2.0])
    assert found is not None
    assert (found.unit, found.mean) == ("standard deviations", math.hypot(3.0, 2.0))
    assert found.entries == {"x": 3.0, "turn": 4.0}


def test_without_a_seam_there_is_no_distance() -> None:
    assert Distances.of(np.zeros((0, 2)), METRES, [1.0, 1.0]) is None
