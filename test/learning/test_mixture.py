"""Conditional mixtures against scipy, quadrature and autograd."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from scipy.stats import multivariate_normal
from torch import Tensor
from toy_targets import random_mixture

from vdd_ros.learning.configs import Covariance
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture

COVARIANCES = pytest.mark.parametrize("covariance", ["diagonal", "full", "cosine"])


def covariances(mixture: GaussianMixture) -> Tensor:
    """Return (B, Z, D, D)."""
    factor = torch.diag_embed(mixture.factor) if mixture.diagonal else mixture.factor
    factor = factor if mixture.basis is None else mixture.basis @ factor
    return factor @ factor.mT


def single_precision(mixture: GaussianMixture) -> GaussianMixture:
    values = (mixture.log_gating, mixture.mean, mixture.factor, mixture.basis)
    return GaussianMixture(*(value if value is None else value.float() for value in values))  # type: ignore[arg-type]


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


@COVARIANCES
def test_the_covariances_are_those_of_the_factors(covariance: Covariance) -> None:
    mixture = random_mixture(2, 3, 4, covariance)
    torch.testing.assert_close(mixture.covariances(), covariances(mixture))
    torch.testing.assert_close(mixture.lower_factors(), torch.linalg.cholesky(covariances(mixture)))


@COVARIANCES
def test_picked_experts_keep_their_density(covariance: Covariance) -> None:
    mixture, action = random_mixture(2, 3, 4, covariance), normal(2, 5, 4)
    picked = mixture.pick(torch.tensor([[2, 0], [1, 1]]))
    expected = mixture.expert_log_prob(action)
    found = picked.expert_log_prob(action)
    torch.testing.assert_close(found[0], expected[0][:, [2, 0]])
    torch.testing.assert_close(found[1], expected[1][:, [1, 1]])


@COVARIANCES
@pytest.mark.parametrize("size", [1, 3])
def test_the_score_is_as_sharp_in_single_precision(covariance: Covariance, size: int) -> None:
    """Narrow experts far apart, where a difference of large terms would be nothing but rounding."""
    mixture = random_mixture(4, 6, size, covariance)
    narrow = dataclasses.replace(mixture, mean=3 * mixture.mean, factor=0.05 * mixture.factor)
    action = narrow.draw_each(normal(4, 2, 6, size)).flatten(1, 2)
    single = single_precision(narrow)
    error = single.score(action.float()).double() - narrow.score(action)
    assert (error.norm(dim=-1) < 2e-3 * (1 + narrow.score(action).norm(dim=-1))).all()


@COVARIANCES
def test_an_experts_own_score_at_its_draws_is_the_gradient_of_its_density(covariance: Covariance) -> None:
    mixture, noise = random_mixture(3, 4, 3, covariance), normal(3, 5, 4, 3)
    action = mixture.draw_each(noise).requires_grad_()
    own = mixture.expert_log_prob(action.flatten(1, 2)).unflatten(1, (5, 4)).diagonal(dim1=-2, dim2=-1)  # (3, 5, 4)
    (expected,) = torch.autograd.grad(own.sum(), action)
    torch.testing.assert_close(mixture.own_score(noise), expected)


def test_noising_is_a_convolution() -> None:
    """By quadrature: the density of a + sigma noise is the integral of q(a) N(.; a, sigma^2)."""
    mixture, sigma = random_mixture(2, 3, 1, "diagonal"), torch.tensor([0.3, 2.0], dtype=torch.float64)
    clean = torch.linspace(-14, 14, 4001, dtype=torch.float64)
    cell = clean[1] - clean[0]
    density = mixture.log_prob(clean[None, :, None].expand(2, -1, 1)).exp()  # (2, 4001)
    at = torch.linspace(-3, 3, 7, dtype=torch.float64)
    offset = (at[:, None] - clean) / sigma[:, None, None]  # (2, 7, 4001)
    kernel = (-0.5 * offset.square()).exp() / (math.sqrt(2 * math.pi) * sigma[:, None, None])
    expected = (kernel * density[:, None]).sum(-1) * cell
    found = mixture.noised(sigma).log_prob(at[None, :, None].expand(2, -1, 1)).exp()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


@COVARIANCES
def test_noising_widens_each_expert(covariance: Covariance) -> None:
    mixture, sigma = random_mixture(2, 3, 3, covariance), torch.tensor([0.5, 10.0], dtype=torch.float64)
    noised = mixture.noised(sigma)
    widened = covariances(mixture) + sigma.square()[:, None, None, None] * torch.eye(3)
    torch.testing.assert_close(covariances(noised), widened)
    assert torch.equal(noised.mean, mixture.mean)
    assert torch.equal(noised.log_gating, mixture.log_gating)
    torch.testing.assert_close(covariances(mixture.noised(torch.zeros(2))), covariances(mixture))


@COVARIANCES
def test_mixed_precision_leaves_a_mixture_alone(covariance: Covariance) -> None:
    double = random_mixture(5, 3, 4, covariance)
    mixture = single_precision(double)
    noise, sigma = normal(5, 2, 3, 4).float(), torch.full((5,), 0.1)

    def results() -> list[Tensor]:
        noised = mixture.noised(sigma)
        action = noised.draw_each(noise).flatten(1, 2)
        return [noised.factor, action, noised.log_prob(action), noised.score(action), noised.own_score(noise)]

    full = results()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = results()
    assert all(torch.equal(one, other) for one, other in zip(full, mixed, strict=True))


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
    mixture = random_mixture(1, 3, 2, covariance)
    for value in (mixture.log_gating, mixture.mean, mixture.factor):
        value.requires_grad_()
    frozen = mixture.detach()
    assert frozen.basis is mixture.basis
    assert not any(value.requires_grad for value in (frozen.log_gating, frozen.mean, frozen.factor))


@pytest.mark.parametrize("size", [1, 2, 16])
def test_gradients_of_full_densities_are_those_of_torch(size: int) -> None:
    """In closed form here, through torch.distributions there; by means, factors and actions, in double precision."""
    generator = torch.Generator().manual_seed(size)
    draw = partial(torch.randn, generator=generator, dtype=torch.float64)
    lower = 0.3 * draw(3, 4, size, size).tril(-1) + torch.diag_embed(0.1 + draw(3, 4, size).abs())
    mean, factor, action = leaves = [one.requires_grad_() for one in (draw(3, 4, size), lower, draw(3, 5, size))]
    weight = draw(3, 5, 4)
    mixture = GaussianMixture(torch.zeros(3, 4, dtype=torch.float64), mean, factor)
    ours = torch.autograd.grad((weight * mixture.expert_log_prob(action)).sum(), leaves)
    normal = torch.distributions.MultivariateNormal(mean, scale_tril=factor)
    log_prob = normal.log_prob(action.movedim(1, 0)[:, :, None]).movedim(0, 1)  # (B, S, Z)
    theirs = torch.autograd.grad((weight * log_prob).sum(), leaves)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


@COVARIANCES
def test_noised_draws_are_those_of_the_noised_mixture_and_their_gradients_have_its_expectation(
    covariance: Covariance,
) -> None:
    """The mean of a^T A a / 2 over N(mean, L L^T + sigma^2 I) has the gradients A mean by the mean and A L by L."""
    size, count, sigma = 3, 40_000, torch.tensor([0.4], dtype=torch.float64)
    mixture, noise = random_mixture(1, 2, size, covariance), normal(1, count, 2, size)
    mean, factor = mixture.mean.requires_grad_(), mixture.factor.requires_grad_()
    action = dataclasses.replace(mixture, mean=mean, factor=factor).draw_noised(noise, sigma)
    torch.testing.assert_close(action.detach(), mixture.detach().noised(sigma).draw_each(noise))
    quadratic = normal(size, size, seed=2)
    quadratic = quadratic @ quadratic.T
    force = (action @ quadratic).detach()
    by_mean, by_factor = torch.autograd.grad((force * action).sum() / count, [mean, factor])
    true_mean = mean.detach() @ quadratic
    if mixture.diagonal:
        turned = quadratic if mixture.basis is None else mixture.basis.T @ quadratic @ mixture.basis
        true_factor = turned.diagonal() * factor.detach()
    else:
        true_factor, by_factor = (quadratic @ factor.detach()).tril(), by_factor.tril()
    spread = 5 * float(force.abs().max()) / math.sqrt(count)
    torch.testing.assert_close(by_mean, true_mean, atol=spread, rtol=0)
    torch.testing.assert_close(by_factor, true_factor, atol=spread, rtol=0)
    assert spread < 0.25 * float(true_factor.abs().max()), "the estimate is sharp enough to tell"
