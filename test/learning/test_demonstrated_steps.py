"""The demonstrated steps of a policy file: against a plain loop, and at the borders of episodes."""

import itertools

import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.features import Feature
from vdd_ros.learning.export.steps import QUANTILE, demonstrated_steps
from vdd_ros.policy.spec_settings import DEMONSTRATED_STEPS


def demonstrations(action: np.ndarray, lengths: list[int]) -> DemonstrationSet:
    """Return a set with these actions, (n, 2)."""
    entries = (Feature("a", "rad"), Feature("b", "m"))
    header = Header(task="arm", observation=entries, action=entries, rate_hz=50.0, source="a hand")
    many = np.array(lengths, np.int64)
    return DemonstrationSet(header, action, action, many, np.full(len(lengths), -1))


def test_they_are_the_quantile_of_the_changes_within_episodes() -> None:
    action = np.cumsum(np.random.default_rng(0).normal(size=(3000, 2)) * (0.01, 0.002), axis=0)
    lengths = [1000, 1, 1200, 799]
    action[1000:] += 100.0  # where another episode begins is no step
    action[2201:] -= 50.0
    changes, first = [], 0
    for length in lengths:
        rows = action[first : first + length]
        changes += [np.abs(after - before) for before, after in itertools.pairwise(rows)]
        first += length
    expected = 1.1 * np.quantile(changes, 0.999, axis=0)
    found = demonstrated_steps(demonstrations(action, lengths))
    assert found["quantile"] == QUANTILE == 0.999
    assert found["steps"] == pytest.approx(expected.tolist())


def test_episodes_of_one_pair_have_none() -> None:
    assert demonstrated_steps(demonstrations(np.zeros((2, 2)), [1, 1]))["steps"] == [0.0, 0.0]
    assert DEMONSTRATED_STEPS == "demonstrated_steps"
