"""Calibration of Gaussians, whose highest density regions are known."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from vdd_ros.evaluation.fidelity.calibration import LEVELS, Calibration, ranks

Floats = NDArray[np.float64]

STATES, SAMPLES = 400, 256
BIMODAL = (np.array([-2.0, 1.0]), np.array([0.3, 0.5]), np.array([0.4, 0.6]))
"""Means, deviations and weights."""


def draw(rng: np.random.Generator, count: int) -> Floats:
    means, deviations, weights = BIMODAL
    which = rng.choice(2, size=(STATES, count), p=weights)
    return np.asarray(means[which] + deviations[which] * rng.normal(size=which.shape))


def log_density(actions: Floats) -> Floats:
    means, deviations, weights = BIMODAL
    return np.asarray(np.log((weights * norm.pdf(actions[..., None], means, deviations)).sum(-1)))


def calibrate(own: Floats, more: Floats, given: Floats) -> Calibration:
    found = Calibration.of(own, more, given)
    assert found is not None
    return found


@pytest.mark.parametrize("number", [1, SAMPLES])
def test_a_mixture_against_itself_is_the_diagonal_within_sampling_error(number: int) -> None:
    rng = np.random.default_rng(0)
    given = log_density(draw(rng, number))
    found = calibrate(log_density(draw(rng, SAMPLES)), log_density(draw(rng, SAMPLES)), given)
    spread = np.sqrt(0.25 / (STATES * number)) + 0.5 / np.sqrt(STATES * SAMPLES)
    assert found.coverage == pytest.approx(LEVELS, abs=4 * spread)
    assert found.error < 3 * found.error_floor
    assert found.log_likelihood.mean == pytest.approx(given.mean())


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_coverage_of_a_gaussian_that_is_too_narrow_or_too_wide(scale: float) -> None:
    rng = np.random.default_rng(0)
    own, more = (norm.logpdf(scale * rng.normal(size=(STATES, SAMPLES)), scale=scale) for _ in range(2))
    found = calibrate(own, more, norm.logpdf(rng.normal(size=(STATES, SAMPLES)), scale=scale))
    half_widths = scale * norm.ppf((1 + np.array(LEVELS)) / 2)
    assert found.coverage == pytest.approx(2 * norm.cdf(half_widths) - 1, abs=0.01)
    assert np.sign(found.bias) == np.sign(scale - 1)
    assert found.error == pytest.approx(abs(found.bias))
    assert found.error > 10 * found.error_floor


def test_ranks_are_uniform_and_ties_count_half() -> None:
    rng = np.random.default_rng(0)
    found = ranks(rng.normal(size=(2000, 50)), rng.normal(size=(2000, 1)))
    assert np.histogram(found, bins=3, range=(0, 1))[0] == pytest.approx([2000 / 3] * 3, rel=0.12)
    assert ranks(np.ones((1, 9)), np.ones((1, 1))) == pytest.approx(0.5)
    assert ranks(np.zeros((1, 9)), np.array([[1.0, -1.0]])) == pytest.approx(np.array([[0.05, 0.95]]))


def test_states_of_unknown_density_do_not_count() -> None:
    own, given = np.random.default_rng(0).normal(size=(2, 6, 40))
    given[2:] = np.nan
    found = calibrate(own, own, given)
    assert found.states == 2
    assert found.log_likelihood.mean == pytest.approx(given[:2].mean())
    assert Calibration.of(own, own, np.full((6, 1), np.nan)) is None
