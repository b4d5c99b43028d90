"""Metrics of rollouts against closed forms and hand counts."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vdd_ros.errors import TaskError
from vdd_ros.tasks.entropy import entropy_of_counts
from vdd_ros.tasks.metrics import Score, number_contexts, success_interval, wilson_interval

Z = 1.959963984540054


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_are_those_of_newcombes_table(successes: int, count: int, low: float, high: float) -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3."""
    assert wilson_interval(successes, count) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_at_wilsons_bounds_the_rate_lies_one_normal_quantile_away(case: tuple[int, int]) -> None:
    successes, count = case
    rate = successes / count
    for bound in wilson_interval(successes, count):
        assert (rate - bound) ** 2 == pytest.approx(Z**2 * bound * (1 - bound) / count, abs=1e-9)
    low, high = wilson_interval(successes, count)
    assert 0 <= low <= rate + 1e-12 and rate - 1e-12 <= high <= 1


def test_a_score_by_hand() -> None:
    success = np.array([True, True, True, False, True, False])
    modes = np.array([3, 3, 7, 9, 30, 11])  # 30 is incomplete; 9 and 11 failed
    score = Score.of(success, modes, 24)
    assert (score.rollouts, score.successes, score.success_rate) == (6, 4, 4 / 6)
    assert score.success_interval == wilson_interval(4, 6)
    assert score.modes == {3: 2, 7: 1, 30: 1}
    assert score.modes_found == 2
    by_hand = -(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25)) / math.log(24)
    assert score.entropy == pytest.approx(by_hand)


def test_without_success_there_is_no_entropy() -> None:
    score = Score.of(np.zeros(5, dtype=bool), np.arange(5), 24)
    assert (score.successes, score.entropy, score.entropy_interval, score.modes_found) == (0, 0.0, (0.0, 0.0), 0)


def test_a_score_can_be_written_as_json() -> None:
    score = Score.of(np.array([True, True]), np.array([1, 2]), 24)
    values = json.loads(json.dumps(score.to_dict(), allow_nan=False))
    assert values["modes"] == {"1": 1, "2": 1}
    assert values["success_interval"] == list(score.success_interval)
    assert set(values) == set(score.__dict__)


@pytest.mark.parametrize(("count", "modes", "base"), [(0, 0, 24), (3, 2, 24), (3, 3, 0)])
def test_what_cannot_be_scored_is_refused(count: int, modes: int, base: int) -> None:
    with pytest.raises(TaskError, match="cannot be scored"):
        Score.of(np.ones(count, dtype=bool), np.zeros(modes, dtype=np.int64), base)


def test_a_task_of_one_mode_is_scored_without_diversity() -> None:
    """All successes share the mode; the logarithm to base 1 does not exist."""
    score = Score.of(np.array([True, True, False]), np.array([0, 0, 0]), 1)
    assert score.success_rate == pytest.approx(2 / 3)
    assert (score.modes_found, score.modes) == (1, {0: 2})
    assert (score.entropy, score.entropy_interval) == (0.0, (0.0, 0.0))
    assert entropy_of_counts(np.array([[3], [0]]), 1).tolist() == [0.0, 0.0]


def test_the_entropy_of_several_contexts_is_the_mean_of_theirs() -> None:
    """From the first context both modes, from the second one of them, from the third no success: 1, 0 and 0."""
    contexts = np.repeat([0, 1, 2], 4)
    modes = np.array([0, 1, 0, 1, 1, 1, 1, 1, 0, 1, 0, 1])
    success = np.array([True] * 8 + [False] * 4)
    score = Score.of(success, modes, 2, contexts=contexts)
    assert score.contexts == 3
    assert score.entropy == pytest.approx(1 / 3)
    assert score.modes == {0: 2, 1: 6}
    low, high = score.entropy_interval
    assert 0 <= low <= score.entropy <= high <= 1


def test_a_negative_code_is_no_mode() -> None:
    success, modes = np.ones(4, dtype=bool), np.array([0, 1, -1, -1])
    score = Score.of(success, modes, 2)
    assert (score.entropy, score.modes_found, score.modes) == (1.0, 2, {-1: 2, 0: 1, 1: 1})


def test_alike_rollouts_of_a_context_count_once() -> None:
    """All rollouts of a context end alike: Wilson's interval of as many rollouts as contexts, but for C / (C - 1)."""
    success, contexts = np.repeat([True] * 30 + [False] * 10, 8), np.repeat(np.arange(40), 8)
    low, high = success_interval(success, contexts)
    assert (low, high) == pytest.approx(wilson_interval(30 * 39 / 40, 40 * 39 / 40))
    assert success_interval(success, np.zeros(320, dtype=np.int64)) == wilson_interval(240, 320)


def test_unlike_rollouts_of_a_context_count_each() -> None:
    """Equally many successes in each context vary less than by chance; the interval never gets narrower for that."""
    success, contexts = np.tile([True, True, True, False], 40), np.repeat(np.arange(40), 4)
    assert success_interval(success, contexts) == wilson_interval(120, 160)
    assert success_interval(np.ones(160, dtype=bool), contexts) == wilson_interval(160, 160)


def test_the_interval_of_success_covers_new_contexts() -> None:
    """Contexts differ in difficulty; of many evaluations, 95 % of the intervals contain the mean over contexts."""
    random, held = np.random.default_rng(0), 0
    for _ in range(400):
        difficulty = random.beta(2, 1, size=60)
        success = (random.random((60, 8)) < difficulty[:, None]).reshape(-1)
        low, high = success_interval(success, np.repeat(np.arange(60), 8))
        held += low <= 2 / 3 <= high
    assert 0.92 <= held / 400 <= 0.98


def test_a_single_context_changes_nothing() -> None:
    success, modes = np.array([True, True, False]), np.array([1, 2, 2])
    assert Score.of(success, modes, 24, contexts=np.full(3, 7)) == Score.of(success, modes, 24)


def test_returns_and_partial_success_have_the_interval_of_a_mean() -> None:
    random = np.random.default_rng(0)
    returns, partial = random.normal(3.0, 2.0, 400), random.uniform(size=400)
    score = Score.of(np.ones(400, dtype=bool), np.zeros(400, dtype=np.int64), 2, returns=returns, partial=partial)
    for value, interval, values in (
        (score.returns, score.returns_interval, returns),
        (score.partial_success, score.partial_success_interval, partial),
    ):
        half = Z * values.std() / math.sqrt(400)
        assert value == pytest.approx(values.mean())
        assert interval == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


@pytest.mark.parametrize("name", ["contexts", "returns", "partial"])
def test_values_of_other_rollouts_are_not_scored(name: str) -> None:
    values: dict[str, Any] = {name: np.zeros(2)}
    with pytest.raises(TaskError, match=rf"{name} of shape \(2,\) cannot be scored; give finite numbers \(3,\)"):
        Score.of(np.ones(3, dtype=bool), np.zeros(3, dtype=np.int64), 2, **values)


def test_equal_contexts_have_equal_numbers() -> None:
    assert number_contexts(np.array([[2.0, 1.0], [0.0, 5.0], [2.0, 1.0]])).tolist() == [1, 0, 1]
    assert number_contexts(np.zeros((3, 0))).tolist() == [0, 0, 0]
