"""Expectation maximisation against scikit-learn's, from the same start."""

import warnings

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
from sklearn.mixture import GaussianMixture  # type: ignore[import-untyped]

from vdd_ros.learning.export import density_fit
from vdd_ros.learning.export.density_fit import Density, fit_density

WIDTH = 0.05


def three_clouds(size: int, count: int = 400, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    shapes = random.normal(size=(3, size, size))
    parts = [3 * random.normal(size=size) + random.normal(size=(count, size)) @ shape for shape in shapes]
    return np.concatenate(parts)


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("block", [1 << 22, 500])
def test_steps_are_those_of_scikit_learn(size: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten iterations, in one block of points and in many."""
    monkeypatch.setattr(density_fit, "BLOCK", block)
    points = three_clouds(size)
    weights, means, covariances = np.array([0.2, 0.3, 0.5]), points[[0, 500, 900]], np.stack([np.eye(size)] * 3)
    theirs = GaussianMixture(
        3, reg_covar=WIDTH**2, max_iter=10, tol=0.0, weights_init=weights, means_init=means, precisions_init=covariances
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(points)
    ours, given = Density(*map(torch.from_numpy, (weights, means, covariances))), torch.from_numpy(points)
    for _ in range(10):
        ours, _mean = ours.step(given, WIDTH**2)
    np.testing.assert_allclose(ours.weights, theirs.weights_, rtol=1e-9)
    np.testing.assert_allclose(ours.means, theirs.means_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ours.covariances, theirs.covariances_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ours.log_prob(given), theirs.score_samples(points), rtol=1e-9, atol=1e-9)


def test_a_fit_is_as_likely_as_scikit_learns() -> None:
    """On points that neither has seen; the mean log density, nats."""
    points = three_clouds(4, count=800)
    points, unseen = points[::2], points[1::2]
    ours = fit_density(torch.from_numpy(points), 3, WIDTH, np.random.default_rng(0))
    theirs = GaussianMixture(3, reg_covar=WIDTH**2, random_state=0).fit(points)
    assert float(ours.log_prob(torch.from_numpy(unseen)).mean()) > theirs.score(unseen) - 0.05


def test_a_fit_far_from_zero_keeps_its_digits() -> None:
    points = torch.from_numpy(three_clouds(3))
    near = fit_density(points, 3, WIDTH, np.random.default_rng(0))
    far = fit_density(points + 1e6, 3, WIDTH, np.random.default_rng(0))
    np.testing.assert_allclose(far.means - 1e6, near.means, atol=1e-5)
    np.testing.assert_allclose(far.covariances, near.covariances, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("points", [torch.zeros(40, 2), torch.tensor([[0.0, 0.0], [1.0, 1.0]])])
def test_fewer_places_than_components_are_no_failure(points: torch.Tensor) -> None:
    density = fit_density(points.double(), 8, WIDTH, np.random.default_rng(0))
    assert torch.isfinite(density.log_prob(points.double())).all()
    assert float(density.weights.sum()) == pytest.approx(1)
    assert (torch.linalg.eigvalsh(density.covariances) >= 0.9 * WIDTH**2).all()
