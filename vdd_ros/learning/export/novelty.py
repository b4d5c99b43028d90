"""Novelty of observations with respect to the demonstrations: a density for the policy file, with a bound.

The density is a Gaussian mixture over standardised observations, one at a time; its novelty is -log p, in nats. The
number of components maximises the likelihood of held-out episodes, and the bound is a quantile of the novelty of
held-out episodes, so that overfitting biases neither.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import DemonstrationError
from vdd_ros.learning.export.density_fit import Density, fit_density
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.progress import Progress, progress

COMPONENTS = (4, 8, 16, 32)
FOLDS = 4
POINTS = 8_000
QUANTILE = 0.999
WIDTH = 0.03
"""Least deviation of a component, in standardised units: the observation noise of policy training."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """A density of observations.

    Attributes:
        weights: (K,).
        means: (K, obs_dim), standardised.
        covariances: (K, obs_dim, obs_dim).
        bound: Novelty above which an observation is out of distribution.
    """

    weights: Floats
    means: Floats
    covariances: Floats
    bound: float


class Novelty(nn.Module):
    """-log p of standardised observations, in few operators: log N is a squared length after whitening."""

    whiten: Tensor
    centre: Tensor
    halves: Tensor
    constant: Tensor

    def __init__(self, fitted: Fitted) -> None:
        """Keep the density as constants of the graph."""
        super().__init__()
        components, size = fitted.means.shape
        factors = np.linalg.inv(np.linalg.cholesky(fitted.covariances))  # (K, D, D), covariance = (W^T W)^-1
        log_scale = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(1)
        constants = {
            "whiten": factors.reshape(-1, size).T,  # (D, K * D)
            "centre": -np.einsum("kij,kj->ki", factors, fitted.means).ravel(),
            "halves": -0.5 * np.repeat(np.eye(components), size, axis=0),  # (K * D, K)
            "constant": np.log(fitted.weights) + log_scale - 0.5 * size * math.log(2 * math.pi),
        }
        for name, values in constants.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))

    def forward(self, observation: Tensor) -> Tensor:
        """Return the novelty (B,) of observations (B, obs_dim)."""
        apart = torch.addmm(self.centre, observation, self.whiten)  # (B, K * D)
        return -torch.logsumexp(torch.addmm(self.constant, apart * apart, self.halves), dim=1)


def fit_novelty(demonstrations: DemonstrationSet, statistics: Statistics, seed: int = 0) -> Fitted:
    """Fit the density of the demonstrated observations, and its bound.

    Args:
        demonstrations: At least two episodes.
        statistics: Of the policy.
        seed: Seed of the fits, and of the subset of points if there are more than `POINTS`.

    Raises:
        DemonstrationError: There is a single episode.
    """
    random = np.random.default_rng(seed)
    mean, deviation = statistics.observation_mean.numpy(), statistics.observation_std.numpy()
    points = (demonstrations.observation - mean) / deviation
    episodes = len(demonstrations.lengths)
    if episodes < 2:
        raise DemonstrationError(
            "demonstrations: a density of the observations needs at least two episodes, as each is held out once; "
            "there is one. Record more, or export without it (--no-novelty)."
        )
    fold = np.repeat(random.permutation(episodes) % min(FOLDS, episodes), demonstrations.lengths)
    with progress(len(COMPONENTS) * (int(fold.max()) + 1) + 1, "density of the observations", "fit") as bar:
        scores = {count: _left_out(points, fold, count, random, bar) for count in COMPONENTS}
        best = min(scores, key=lambda count: float(scores[count].mean()))
        model = _fit(points, best, random, bar)
    arrays = (model.weights.numpy(), model.means.numpy(), model.covariances.numpy())
    return Fitted(*arrays, bound=float(np.quantile(scores[best], QUANTILE)))


def _left_out(
    points: Floats, fold: NDArray[np.int64], components: int, random: np.random.Generator, bar: Progress
) -> Floats:
    """Return the novelty of every point under the density of the other folds."""
    found = np.empty(len(points))
    for one in range(int(fold.max()) + 1):
        density = _fit(points[fold != one], components, random, bar)
        found[fold == one] = -density.log_prob(torch.from_numpy(points[fold == one]).double()).numpy()
    return found


def _fit(points: Floats, components: int, random: np.random.Generator, bar: Progress) -> Density:
    if len(points) > POINTS:
        points = points[random.choice(len(points), POINTS, replace=False)]
    density = fit_density(torch.from_numpy(points).double(), components, WIDTH, random)
    bar.update()
    return density
