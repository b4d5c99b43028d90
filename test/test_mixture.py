"""Conditional mixtures against scipy, quadrature and autograd; the network that predicts them."""

import math

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from scipy.stats import multivariate_normal
from torch import Tensor
from toy_targets import random_mixture

from vdd_ros.training.mixture import Covariance, GaussianMixture, MixtureStudent, StudentConfig

COVARIANCES = pytest.mark.parametrize("covariance", ["diagonal", "full"])


def covariances(mixture: GaussianMixture) -> Tensor:
    """Return (B, Z, D, D)."""
    if mixture.diagonal:
        return torch.diag_embed(mixture.factor.square())
    return mixture.factor @ mixture.factor.mT


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@COVARIANCES
@pytest.mark.parametrize("size", [1, 3])
def test_densities_and_responsibilities_are_those_of_scipy(covariance: Covariance, size: int) -> None:
    mixture = random_mixture(2, 3, size, covariance)
    action = 2 * normal(2, 5, size)
    joint = np.empty((2, 5, 3))
    for batch in range(2):
        for expert in range(3):
            law = multivariate_normal(mixture.mean[batch, expert].numpy(), covariances(mixture)[batch, expert].numpy())
            joint[batch, :, expert] = law.pdf(action[batch].numpy()) * float(mixture.log_gating[batch, expert].exp())
            assert float(mixture.entropies()[batch, expert]) == pytest.approx(law.entropy())
    gating = mixture.log_gating.exp()[:, None].numpy()
    np.testing.assert_allclose(mixture.expert_log_prob(action).exp(), joint / gating, rtol=1e-9)
    np.testing.assert_allclose(mixture.log_prob(action).exp(), joint.sum(-1), rtol=1e-9)
    np.testing.assert_allclose(
        mixture.log_responsibilities(action).exp(), joint / joint.sum(-1, keepdims=True), rtol=1e-9
    )


@COVARIANCES
def test_the_density_integrates_to_one(covariance: Covariance) -> None:
    mixture = random_mixture(1, 3, 2, covariance)
    axis = torch.linspace(-14, 14, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)[None]
    assert float(mixture.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2) == pytest.approx(1.0, abs=1e-6)


@COVARIANCES
def test_the_score_is_the_gradient_of_the_log_density(covariance: Covariance) -> None:
    mixture = random_mixture(3, 4, 3, covariance)
    action = normal(3, 6, 3).requires_grad_()
    (expected,) = torch.autograd.grad(mixture.log_prob(action).sum(), action)
    torch.testing.assert_close(mixture.score(action.detach()), expected)


def test_noising_is_a_convolution() -> None:
    """By quadrature: the density of sqrt(k) a + sqrt(1 - k) noise is the integral of q(a) N(.; sqrt(k) a, 1 - k)."""
    mixture, keep = random_mixture(2, 3, 1, "diagonal"), torch.tensor([0.9, 0.2], dtype=torch.float64)
    clean = torch.linspace(-14, 14, 4001, dtype=torch.float64)
    density = mixture.log_prob(clean[None, :, None].expand(2, -1, 1)).exp()
    noisy = normal(2, 7, 1)
    spread = torch.distributions.Normal(keep.sqrt()[:, None, None] * clean, (1 - keep).sqrt()[:, None, None])
    expected = (spread.log_prob(noisy).exp() * density[:, None]).sum(-1) * (clean[1] - clean[0])
    torch.testing.assert_close(mixture.noised(keep).log_prob(noisy).exp(), expected)


@COVARIANCES
def test_noising_moves_the_moments_of_each_expert(covariance: Covariance) -> None:
    mixture, keep = random_mixture(2, 3, 3, covariance), torch.tensor([0.7, 0.01], dtype=torch.float64)
    noised = mixture.noised(keep)
    share = keep[:, None, None, None]
    torch.testing.assert_close(noised.mean, share[..., 0].sqrt() * mixture.mean)
    torch.testing.assert_close(covariances(noised), share * covariances(mixture) + (1 - share) * torch.eye(3))
    assert torch.equal(noised.log_gating, mixture.log_gating)
    torch.testing.assert_close(covariances(mixture.noised(torch.ones(2))), covariances(mixture))


@COVARIANCES
def test_draws_have_the_moments_of_their_expert(covariance: Covariance) -> None:
    mixture, count = random_mixture(1, 2, 2, covariance), 40_000
    draws = mixture.draw_each(normal(1, count, 2, 2))[0]
    for expert in range(2):
        true = covariances(mixture)[0, expert]
        spread = true.diagonal().sqrt()
        error = (draws[:, expert].mean(0) - mixture.mean[0, expert]) / spread
        assert error.abs().max() < 5 / math.sqrt(count)
        scaled = (draws[:, expert].T.cov() - true) / torch.outer(spread, spread)
        assert scaled.abs().max() < 5 * math.sqrt(2 / count)
    torch.testing.assert_close(mixture.draw_each(torch.zeros(1, 1, 2, 2).double())[:, 0], mixture.mean)


@COVARIANCES
def test_a_detached_mixture_takes_no_gradient(covariance: Covariance) -> None:
    student = MixtureStudent(StudentConfig(1, 2, 1, 2, experts=3, covariance=covariance, width=8, blocks=1))
    frozen = student(torch.zeros(1, 1, 2)).detach()
    assert not any(value.requires_grad for value in (frozen.log_gating, frozen.mean, frozen.factor))


def student(covariance: Covariance, **settings: float) -> MixtureStudent:
    torch.manual_seed(0)
    shape = {"history": 2, "obs_dim": 3, "horizon": 2, "act_dim": 2, "experts": 5, "width": 16, "blocks": 2}
    return MixtureStudent(StudentConfig(**{**shape, **settings}, covariance=covariance))  # type: ignore[arg-type]


@COVARIANCES
def test_a_student_starts_with_unit_deviations_wherever_its_experts_are_put(covariance: Covariance) -> None:
    network, places = student(covariance), torch.randn(5, 4)
    network.spread_experts(places)
    with torch.no_grad():
        mixture = network(torch.randn(7, 2, 3))
    spread = covariances(mixture).diagonal(dim1=-2, dim2=-1).sqrt()
    assert mixture.mean.shape == (7, 5, 4)
    assert (mixture.mean - places).abs().max() < 0.2
    assert (spread - 1).abs().max() < 0.2
    assert (mixture.log_gating.exp() - 0.2).abs().max() < 0.05


@COVARIANCES
def test_whatever_a_student_predicts_is_a_mixture(covariance: Covariance) -> None:
    network = student(covariance, floor=0.05)
    torch.nn.init.normal_(network.head.weight, std=30.0)
    with torch.no_grad():
        mixture = network(100 * torch.randn(200, 2, 3))
    scale = mixture.factor if mixture.diagonal else mixture.factor.diagonal(dim1=-2, dim2=-1)
    assert float(scale.min()) == pytest.approx(0.05)
    torch.testing.assert_close(mixture.log_gating.exp().sum(1), torch.ones(200))
    if not mixture.diagonal:
        assert torch.equal(mixture.factor, mixture.factor.tril())
        row, column = torch.tril_indices(4, 4, -1)
        below = mixture.factor[..., row, column]
        assert (below.std(dim=(0, 1)) > 0).all(), "every entry below the diagonal is predicted"
