"""Distances against closed forms of Gaussians; intervals against theory."""

import math

import numpy as np
import pytest
from scipy.special import gamma
from scipy.stats import norm

from vdd_ros.evaluation.fidelity.statistics import (
    AgainstFloor,
    Estimate,
    correlation,
    directions,
    energy_distance,
    entropy,
    sliced_wasserstein,
)

RNG = np.random.default_rng(0)
MANY = 100_000


def test_in_one_dimension_the_wasserstein_distance_is_exact() -> None:
    first, second = np.array([[0.0], [1.0], [3.0]]), np.array([[5.0], [0.0], [1.5]])
    assert sliced_wasserstein(first, second, directions(1, 64, RNG)) == pytest.approx((0 + 0.5 + 2) / 3)


@pytest.mark.parametrize(("shift", "scale"), [(0.7, 1.0), (0.0, 0.4)])
def test_the_wasserstein_distance_of_gaussians(shift: float, scale: float) -> None:
    first, second = RNG.normal(size=(MANY, 1)), shift + scale * RNG.normal(size=(MANY, 1))
    expected = shift if scale == 1 else (1 - scale) * math.sqrt(2 / math.pi)
    assert sliced_wasserstein(first, second, directions(1, 1, RNG)) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("dim", [2, 5])
def test_the_sliced_distance_of_shifted_sets_is_the_mean_projection_of_the_shift(dim: int) -> None:
    first, shift = RNG.normal(size=(50, dim)), np.linspace(0.2, 0.9, dim)
    mean_projection = np.linalg.norm(shift) * gamma(dim / 2) / (math.sqrt(math.pi) * gamma((dim + 1) / 2))
    onto = directions(dim, 20_000, RNG)
    assert np.linalg.norm(onto, axis=1) == pytest.approx(np.ones(len(onto)))
    assert sliced_wasserstein(first, first + shift, onto) == pytest.approx(mean_projection, rel=0.02)


def mean_absolute(mean: float, deviation: float) -> float:
    """Return E|x| of a Gaussian."""
    z = mean / deviation
    return float(2 * deviation * norm.pdf(z) + mean * (2 * norm.cdf(z) - 1))


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.8, 1.0), (0.5, 0.3)])
def test_the_energy_distance_of_gaussians(shift: float, scale: float) -> None:
    found = [energy_distance(RNG.normal(size=(400, 1)), shift + scale * RNG.normal(size=(300, 1))) for _ in range(100)]
    expected = (
        2 * mean_absolute(shift, math.hypot(1, scale))
        - mean_absolute(0, math.sqrt(2))
        - mean_absolute(0, math.sqrt(2) * scale)
    )
    assert np.mean(found) == pytest.approx(expected, abs=float(np.std(found)) / 2)


def test_the_energy_distance_in_many_dimensions_has_no_bias_at_zero() -> None:
    found = [energy_distance(RNG.normal(size=(40, 6)), RNG.normal(size=(40, 6))) for _ in range(400)]
    assert abs(np.mean(found)) < 4 * np.std(found) / math.sqrt(len(found))
    assert min(found) < 0 < max(found)


def test_an_interval_is_that_of_the_mean() -> None:
    values = RNG.exponential(size=1000)
    found = Estimate.of(values)
    assert (found.mean, found.median) == (values.mean(), np.median(values))
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert found.interval == pytest.approx((values.mean() - half, values.mean() + half), abs=0.15 * half)


def test_the_difference_is_taken_state_by_state() -> None:
    floor = RNG.normal(size=200)
    found = AgainstFloor.of(floor + 0.5, floor)
    assert found.difference.interval == pytest.approx((0.5, 0.5))
    assert found.student.mean - found.floor.mean == pytest.approx(0.5)


def test_entropy_of_shares() -> None:
    assert entropy(np.full(8, 0.1)) == pytest.approx(math.log(8))
    assert entropy(np.array([0.3, 0.0])) == 0.0
    assert entropy(np.zeros(3)) == 0.0


def test_correlation() -> None:
    first = RNG.normal(size=50)
    assert correlation(first, 1 - 3 * first) == pytest.approx(-1)
    assert correlation(first, np.ones(50)) is None
