"""Expectation maximisation of Gaussian mixtures with full covariances (Dempster et al. 1977), as matrix products.

The log density of a Gaussian is linear in the features (1, x, x_i x_j): one matrix product evaluates all points and
components, and the next components follow from the responsibility-weighted sums of the features. As in scikit-learn,
the fit starts at k-means centres and stops when the mean gain per point is below `GAIN` nats.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

GAIN = 1e-3
ITERATIONS = 100
LLOYD_ITERATIONS = 25
BLOCK = 1 << 22
"""Feature values in memory at a time."""
TINY = 10 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Density:
    """A mixture of K Gaussians over vectors of D numbers, in double precision.

    Attributes:
        weights: (K,).
        means: (K, D).
        covariances: (K, D, D).
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor

    def log_prob(self, points: Tensor) -> Tensor:
        """Return the log density of points (N, D) in nats, (N,)."""
        rows = self._coefficients()
        return torch.cat([(rows @ _features(part)).logsumexp(0) for part in _blocks(points)])

    def step(self, points: Tensor, least_variance: float) -> tuple["Density", float]:
        """Return the next mixture of expectation maximisation, and the mean log density of points under this one."""
        rows, total, gained = self._coefficients(), torch.zeros(()), 0.0
        for part in _blocks(points):
            features = _features(part)
            joint = rows @ features  # (K, N)
            log_prob = joint.logsumexp(0)
            gained += float(log_prob.sum())
            total = total + (joint - log_prob).exp() @ features.T
        return _from_sums(total, points.shape[1], least_variance), gained / len(points)

    def _coefficients(self) -> Tensor:
        """Return log(weight N(x)) as coefficients of the features, (K, F)."""
        size = self.means.shape[1]
        factor = torch.linalg.cholesky(self.covariances)
        precision = torch.cholesky_inverse(factor)
        pull = (precision @ self.means[..., None]).squeeze(-1)  # (K, D)
        log_scale = factor.diagonal(dim1=1, dim2=2).log().sum(1)
        constant = (
            self.weights.log() - log_scale - 0.5 * size * math.log(2 * math.pi) - 0.5 * (pull * self.means).sum(1)
        )
        one, other = torch.tril_indices(size, size)
        pairs = torch.where(one == other, -0.5, -1.0) * precision[:, one, other]
        return torch.cat([constant[:, None], pull, pairs], dim=1)


def fit_density(points: Tensor, components: int, width: float, random: np.random.Generator) -> Density:
    """Fit a mixture to points.

    Args:
        points: (N, D), N at least 2.
        components: Number of Gaussians, at most N; more are reduced to N.
        width: Least deviation of a component in every direction; its square is added to the variances.
        random: Source of the initial centres.
    """
    centre = points.mean(0)
    around = points - centre  # squares of values far from 0 lose digits
    density = _start(around, min(components, len(points)), width**2, random)
    before = -math.inf
    for _ in range(ITERATIONS):
        density, mean = density.step(around, width**2)
        if abs(mean - before) < GAIN:
            break
        before = mean
    return Density(density.weights, density.means + centre, density.covariances)


def _start(points: Tensor, components: int, least_variance: float, random: np.random.Generator) -> Density:
    """Return a mixture whose components are the clusters that k-means finds."""
    centres = _first_centres(points, components, random)
    nearest = torch.full((len(points),), -1)
    for _ in range(LLOYD_ITERATIONS):
        before, nearest = nearest, (0.5 * centres.square().sum(1) - points @ centres.T).argmin(1)
        if torch.equal(before, nearest):
            break
        counts = torch.bincount(nearest, minlength=components)[:, None]
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    total = torch.zeros(())
    for part, chosen in zip(_blocks(points), nearest.split(_block_size(points)), strict=True):
        total = total + torch.nn.functional.one_hot(chosen, components).T.to(part) @ _features(part).T
    return _from_sums(total, points.shape[1], least_variance)


def _first_centres(points: Tensor, components: int, random: np.random.Generator) -> Tensor:
    """Draw centres, each by its squared distance to those before it (Arthur and Vassilvitskii 2007)."""
    chosen = [int(random.integers(len(points)))]
    distance = (points - points[chosen[0]]).square().sum(1)
    for _ in range(components - 1):
        share = distance.cumsum(0)
        chosen.append(min(int(torch.searchsorted(share, random.random() * share[-1], right=True)), len(points) - 1))
        distance = torch.minimum(distance, (points - points[chosen[-1]]).square().sum(1))
    return points[chosen]


def _features(points: Tensor) -> Tensor:
    """Return 1, the entries and the products of two of them, (F, N), of points (N, D)."""
    rows = points.T.contiguous()
    one, other = torch.tril_indices(len(rows), len(rows))
    return torch.cat([torch.ones_like(rows[:1]), rows, rows[one] * rows[other]])


def _from_sums(sums: Tensor, size: int, least_variance: float) -> Density:
    """Return the mixture of weighted sums of the features, (K, F)."""
    count = sums[:, :1] + TINY
    means = sums[:, 1 : 1 + size] / count
    one, other = torch.tril_indices(size, size)
    products = sums.new_zeros(len(sums), size, size)
    products[:, one, other] = products[:, other, one] = sums[:, 1 + size :] / count
    covariances = products - means[:, :, None] * means[:, None] + least_variance * torch.eye(size).to(sums)
    return Density((count / count.sum()).squeeze(1), means, covariances)


def _blocks(points: Tensor) -> tuple[Tensor, ...]:
    return points.split(_block_size(points))


def _block_size(points: Tensor) -> int:
    size = points.shape[1]
    return max(1, BLOCK // (1 + size + size * (size + 1) // 2))
