"""The density of a mixture in numpy is scipy's, and the policy file's own; draws and marginals have its moments."""

from pathlib import Path

import numpy as np
import pytest
from policy_files import write_mixture
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from vdd_ros.policy.act import Mixture
from vdd_ros.policy.density import draw, log_density, lower_factors, marginal
from vdd_ros.policy.onnx_policy import OnnxPolicy

EXPERTS, DIM = 3, 4


def some_mixture(seed: int = 0) -> Mixture:
    rng = np.random.default_rng(seed)
    choleskys = np.tril(rng.normal(size=(EXPERTS, DIM, DIM)), -1) + np.eye(DIM) * rng.uniform(
        0.5, 2.0, (EXPERTS, 1, DIM)
    )
    return Mixture(rng.dirichlet(np.ones(EXPERTS)), rng.normal(size=(EXPERTS, DIM)), choleskys, np.zeros(EXPERTS, bool))


def of_scipy(mixture: Mixture, actions: np.ndarray) -> np.ndarray:
    terms = [
        np.log(weight) + multivariate_normal(mean, factor @ factor.T).logpdf(actions)
        for weight, mean, factor in zip(mixture.gating, mixture.means, mixture.choleskys, strict=True)
    ]
    return np.asarray(logsumexp(terms, axis=0))


def test_the_density_is_that_of_scipy_near_and_far() -> None:
    mixture, rng = some_mixture(), np.random.default_rng(1)
    actions = np.concatenate([rng.normal(size=(50, DIM)), 100 * rng.normal(size=(50, DIM))])
    np.testing.assert_allclose(log_density(mixture, actions), of_scipy(mixture, actions), rtol=1e-10)


def test_an_expert_that_is_never_chosen_does_not_count() -> None:
    mixture = some_mixture()._replace(gating=np.array([1.0, 0.0, 0.0]))
    alone = multivariate_normal(mixture.means[0], mixture.choleskys[0] @ mixture.choleskys[0].T)
    actions = np.random.default_rng(0).normal(size=(5, DIM))
    np.testing.assert_allclose(log_density(mixture, actions), alone.logpdf(actions))


def test_lower_factors_are_those_of_cholesky() -> None:
    factors = np.random.default_rng(4).normal(size=(5, 3, DIM, DIM))
    expected = np.linalg.cholesky(factors @ np.swapaxes(factors, -1, -2))
    np.testing.assert_allclose(lower_factors(factors), expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(lower_factors(expected), expected)


@pytest.mark.parametrize("entries", [slice(0, 2), slice(1, 4)])
def test_a_marginal_is_the_mixture_of_some_entries(entries: slice) -> None:
    mixture = some_mixture()
    found = marginal(mixture, entries)
    covariances = mixture.choleskys @ mixture.choleskys.transpose(0, 2, 1)
    np.testing.assert_allclose(
        found.choleskys @ found.choleskys.transpose(0, 2, 1), covariances[:, entries, entries], atol=1e-12
    )
    np.testing.assert_array_equal(found.means, mixture.means[:, entries])


def test_draws_have_the_moments_of_the_mixture() -> None:
    mixture = some_mixture()
    drawn = draw(mixture, np.random.default_rng(0), 200_000)
    mean = mixture.gating @ mixture.means
    centred = mixture.means - mean
    within = np.einsum("k,kij,klj->il", mixture.gating, mixture.choleskys, mixture.choleskys)
    covariance = within + np.einsum("k,ki,kj->ij", mixture.gating, centred, centred)
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.1)


def test_the_mean_log_density_of_its_own_draws_is_minus_the_entropy() -> None:
    """For one Gaussian the entropy is known: D/2 log(2 pi e) + log det of the factor."""
    mixture = some_mixture()._replace(gating=np.array([0.0, 0.0, 1.0]))
    found = log_density(mixture, draw(mixture, np.random.default_rng(0), 100_000)).mean()
    entropy = DIM / 2 * np.log(2 * np.pi * np.e) + np.log(np.diag(mixture.choleskys[2])).sum()
    assert found == pytest.approx(-entropy, abs=0.03)


@pytest.mark.parametrize(("covariance", "horizon"), [("diagonal", 1), ("full", 1), ("full", 3)])
def test_the_density_is_that_of_the_policy_file(tmp_path: Path, covariance: str, horizon: int) -> None:
    """At the policy's own actions, where no limit hides the mixture."""
    path = write_mixture(tmp_path / "p.onnx", covariance=covariance, horizon=horizon, history=2)
    policy = OnnxPolicy.load(path, noise="full")
    rng, compared = np.random.default_rng(0), 0
    for _ in range(60):
        window = rng.uniform(0.1, 0.5, (2, 4)).astype(np.float32)
        act = policy.act(window)
        action, log_prob = act.action.reshape(1, -1).astype(np.float64), act.log_prob
        mixture = policy.mixture(window)
        if mixture.clipped.any() or (np.abs(action) > 0.0099).any():
            continue
        compared += 1
        assert log_density(mixture, action)[0] == pytest.approx(log_prob, abs=2e-3)
    assert compared > 5
