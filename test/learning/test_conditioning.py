"""Mixtures given the first numbers of a chunk, against inverses in numpy, Bayes' rule and samples."""

import math

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from numpy.typing import NDArray
from scipy.stats import multivariate_normal
from torch import Tensor
from toy_targets import random_mixture

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import Covariance
from vdd_ros.learning.students.conditioning import condition
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture

COVARIANCES = pytest.mark.parametrize("covariance", ["diagonal", "full", "cosine"])
SIZE = 6


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def conditional(
    mixture: GaussianMixture, prefix: NDArray[np.float64], power: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return weights, means and covariances of the rest from the formulas with inverses, one batch row each."""
    known, weights, means, covariances = prefix.shape[1], [], [], []
    all_covariances, all_means = mixture.covariances().numpy(), mixture.mean.numpy()
    for row, given in enumerate(prefix):
        evidence = []
        for mean, covariance in zip(all_means[row], all_covariances[row], strict=True):
            own, cross, rest = covariance[:known, :known], covariance[known:, :known], covariance[known:, known:]
            gain = cross @ np.linalg.inv(own)
            means.append(mean[known:] + gain @ (given - mean[:known]))
            covariances.append(rest - gain @ cross.T)
            evidence.append(multivariate_normal(mean[:known], own).pdf(given))
        joint = mixture.log_gating[row].exp().numpy() * np.array(evidence) ** power
        weights.append(joint / joint.sum())
    shape = all_means.shape[:2]
    rest_size = SIZE - known
    return (
        np.array(weights),
        np.array(means).reshape(*shape, rest_size),
        np.array(covariances).reshape(*shape, rest_size, rest_size),
    )


@COVARIANCES
@pytest.mark.parametrize("known", [1, 2, 5])
@pytest.mark.parametrize("tempering", [1.0, 0.25, 0.0])
def test_the_rest_is_that_of_the_formulas_with_inverses(covariance: Covariance, known: int, tempering: float) -> None:
    mixture, prefix = random_mixture(3, 4, SIZE, covariance), normal(3, known)
    weights, means, covariances = conditional(mixture, prefix.numpy(), tempering)
    found = condition(mixture, prefix, tempering)
    np.testing.assert_allclose(found.log_gating.exp(), weights, rtol=1e-8)
    np.testing.assert_allclose(found.mean, means, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.covariances(), covariances, rtol=1e-8, atol=1e-10)
    assert found.diagonal == (covariance == "diagonal")


@COVARIANCES
def test_the_joint_density_is_that_of_the_prefix_times_that_of_the_rest(covariance: Covariance) -> None:
    """p(rest | prefix) = p(prefix, rest) / p(prefix), the last by quadrature over the rest."""
    mixture = random_mixture(1, 3, 3, covariance)
    prefix, axis = normal(1, 1), torch.linspace(-14, 14, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    whole = torch.cat([prefix.expand(len(grid), 1), grid], dim=1)
    joint = mixture.log_prob(whole[None])[0].exp()
    evidence = joint.sum() * (axis[1] - axis[0]) ** 2
    found = condition(mixture, prefix).log_prob(grid[None])[0].exp()
    torch.testing.assert_close(found, joint / evidence, rtol=1e-5, atol=1e-12)


@COVARIANCES
def test_experts_of_samples_near_the_prefix_are_as_frequent_as_their_weights(covariance: Covariance) -> None:
    """By rejection: of many draws of the mixture, those whose first number is near the prefix."""
    mixture, count, width = random_mixture(1, 3, 2, covariance, seed=3), 400_000, 0.05
    prefix = torch.tensor([[0.2]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    which = torch.multinomial(mixture.log_gating[0].exp(), count, replacement=True, generator=generator)
    draws = mixture.draw_each(normal(1, count, 3, 2, seed=5))[0]
    drawn = draws[torch.arange(count), which]
    near = (drawn[:, 0] - prefix[0, 0]).abs() < width
    kept = int(near.sum())
    assert kept > 2_000
    found = condition(mixture, prefix)
    shares = torch.bincount(which[near], minlength=3) / kept
    tolerance = 5 * math.sqrt(0.25 / kept) + 0.01  # a window of finite width
    torch.testing.assert_close(shares.double(), found.log_gating[0].exp(), atol=tolerance, rtol=0)
    expected = (found.log_gating[0].exp() * found.mean[0, :, 0]).sum()
    spread = float(drawn[near, 1].std())
    assert abs(float(drawn[near, 1].mean() - expected)) < 5 * spread / math.sqrt(kept) + 0.02


@COVARIANCES
def test_nothing_known_changes_nothing(covariance: Covariance) -> None:
    mixture = random_mixture(2, 3, 4, covariance)
    assert condition(mixture, normal(2, 0)) is mixture


def test_single_precision_suffices_for_narrow_experts() -> None:
    """Deviations from 0.02 to 1 in a basis: means of the rest within a thousandth of their deviation."""
    double = random_mixture(8, 4, 16, "cosine")
    assert double.basis is not None
    factor = torch.logspace(math.log10(0.02), 0, 16, dtype=torch.float64).expand(8, 4, 16)
    double = GaussianMixture(double.log_gating, double.mean, factor, double.basis)
    assert double.basis is not None
    single = GaussianMixture(double.log_gating.float(), double.mean.float(), factor.float(), double.basis.float())
    prefix = double.draw_each(normal(8, 1, 4, 16))[:, 0, 0, :6]
    expected, found = condition(double, prefix), condition(single, prefix.float())
    spread = expected.covariances().diagonal(dim1=-2, dim2=-1).sqrt()
    assert ((found.mean - expected.mean).abs()[:, 0] / spread[:, 0]).max() < 1e-3
    torch.testing.assert_close(found.log_gating.exp().double(), expected.log_gating.exp(), atol=1e-3, rtol=0)


def test_a_prefix_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the prefix has 4 numbers; it must have at most 3 of 4"):
        condition(random_mixture(1, 2, 4, "diagonal"), normal(1, 4))


@pytest.mark.parametrize("tempering", [-0.1, 1.5, math.nan])
def test_other_temperings_are_refused(tempering: float) -> None:
    with pytest.raises(ConfigurationError, match=f"tempering of the prefix is {tempering}; it must be between 0"):
        condition(random_mixture(1, 2, 4, "diagonal"), normal(1, 2), tempering)
