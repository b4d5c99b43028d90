"""Entropies of modes against closed forms, hand counts and the expectation over all samples."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multinomial

from vdd_ros.tasks.entropy import entropy_estimate, entropy_interval, entropy_of_counts

Z = 1.959963984540054


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


def test_the_interval_of_contexts_is_that_of_a_mean() -> None:
    random, contexts = np.random.default_rng(1), 200
    rows = random.multinomial(8, [0.6, 0.3, 0.1], size=contexts)
    entropies = entropy_of_counts(rows, 3)
    low, high = entropy_interval(rows, 3)
    half = Z * entropies.std() / math.sqrt(contexts)
    assert (low, high) == pytest.approx((entropies.mean() - half, entropies.mean() + half), abs=0.1 * half)


@pytest.mark.parametrize("shares", [[0.25] * 4, [0.4, 0.3, 0.2, 0.1], [0.5, 0.5]], ids=str)
@pytest.mark.parametrize("rollouts", [8, 20])
def test_the_estimate_has_a_fraction_of_the_bias_of_frequencies(shares: list[float], rollouts: int) -> None:
    """Expectations over every possible sample."""
    base, truth = len(shares), -sum(p * math.log(p) for p in shares) / math.log(len(shares))
    rows = np.array([row for row in product(range(rollouts + 1), repeat=base) if sum(row) == rollouts])
    weights = multinomial.pmf(rows, rollouts, shares)
    plain, better = (
        float(weights @ function(rows, base)) - truth for function in (entropy_of_counts, entropy_estimate)
    )
    assert plain < -0.02
    assert abs(better) < 0.2 * abs(plain)


def test_the_estimate_is_the_published_formula() -> None:
    """For counts of 5, 2, 1: sums of 1 / k by hand, and A = 2 f2 / ((n - 1) f1 + 2 f2) = 2 / 9."""
    told = (
        5 / 8 * (1 / 5 + 1 / 6 + 1 / 7) + 2 / 8 * sum(1 / k for k in range(2, 8)) + sum(1 / k for k in range(1, 8)) / 8
    )
    share = 2 / 9
    unseen = (1 - share) ** -7 / 8 * (-math.log(share) - sum((1 - share) ** r / r for r in range(1, 8)))
    assert entropy_estimate(np.array([5, 2, 1, 0]), 4) == pytest.approx((told + unseen) / math.log(4))


def test_the_estimate_of_nothing_and_of_one_mode_is_zero() -> None:
    assert entropy_estimate(np.zeros((3, 4), dtype=np.int64), 4).tolist() == [0, 0, 0]
    assert entropy_estimate(np.zeros((3, 0), dtype=np.int64), 4).tolist() == [0, 0, 0]
    assert entropy_estimate(np.array([9]), 1) == 0
    assert entropy_estimate(np.array([[9, 0], [1, 0]]), 2) == pytest.approx([0, 0])


def test_many_rollouts_need_no_correction() -> None:
    counts = np.array([40_000, 30_000, 20_000, 10_000])
    assert entropy_estimate(counts, 4) == pytest.approx(float(entropy_of_counts(counts, 4)), abs=1e-4)
