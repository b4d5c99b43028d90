"""Metrics of rollouts against closed forms and hand counts."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vdd_ros.errors import TaskError
from vdd_ros.tasks.metrics import Score, entropy_interval, entropy_of_counts, number_contexts, wilson_interval

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


@pytest.mark.parametrize("base", [2, 24])
def test_uniform_modes_have_entropy_one(base: int) -> None:
    assert entropy_of_counts(np.full(base, 20), base) == pytest.approx(1.0)


def test_half_of_the_modes_have_the_entropy_of_their_number() -> None:
    assert entropy_of_counts(np.array([20] * 12 + [0] * 12), 24) == pytest.approx(math.log(12) / math.log(24))


def test_one_mode_and_no_mode_have_entropy_zero() -> None:
    assert entropy_of_counts(np.array([480]), 24) == 0
    assert entropy_of_counts(np.zeros(24, dtype=np.int64), 24) == 0
    assert entropy_of_counts(np.array([], dtype=np.int64), 24) == 0


def test_entropy_by_hand() -> None:
    by_hand = -(0.5 * math.log(0.5) + 0.3 * math.log(0.3) + 0.2 * math.log(0.2)) / math.log(24)
    assert entropy_of_counts(np.array([[5, 3, 2, 0]]), 24) == pytest.approx([by_hand])


def test_the_bootstrap_interval_has_the_width_of_the_delta_method() -> None:
    counts = np.array([240, 120, 60, 60])
    share = counts / 480
    variance = ((share * np.log(share) ** 2).sum() - (share * np.log(share)).sum() ** 2) / 480 / math.log(24) ** 2
    measured = float(entropy_of_counts(counts, 24))
    expected = (measured - Z * math.sqrt(variance), measured + Z * math.sqrt(variance))
    assert entropy_interval(counts, 24) == pytest.approx(expected, abs=0.1 * Z * math.sqrt(variance))


@given(st.lists(st.integers(0, 60), min_size=1, max_size=24), st.integers(0, 5))
def test_the_bootstrap_interval_contains_the_measured_entropy(counts: list[int], seed: int) -> None:
    low, high = entropy_interval(np.array(counts), 24, seed)
    assert 0 <= low <= entropy_of_counts(np.array(counts), 24) + 1e-12
    assert entropy_of_counts(np.array(counts), 24) - 1e-12 <= high <= 1 + 1e-12


def test_the_bootstrap_is_decided_by_its_seed() -> None:
    counts = np.array([5, 9, 2, 7])
    assert entropy_interval(counts, 24, 3) == entropy_interval(counts, 24, 3) != entropy_interval(counts, 24, 4)


def test_one_mode_leaves_no_room() -> None:
    assert entropy_interval(np.array([480]), 24) == (0.0, 0.0)
    assert entropy_interval(np.array([0]), 24) == (0.0, 0.0)


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


def test_the_interval_over_contexts_is_that_of_independent_contexts() -> None:
    """C alike contexts: the mean of C independent entropies has a C-th of the variance of one."""
    row, many = np.array([60, 30, 10]), 16
    one, mean = entropy_interval(row, 3), entropy_interval(np.tile(row, (many, 1)), 3)
    assert (mean[1] - mean[0]) == pytest.approx((one[1] - one[0]) / math.sqrt(many), rel=0.1)


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
