"""Density and samples of a Gaussian mixture over actions, as recovered by `OnnxPolicy.mixture`."""

import math

import numpy as np
from numpy.typing import NDArray

from vdd_ros.policy.act import Mixture

Floats = NDArray[np.float64]


def log_density(mixture: Mixture, actions: Floats) -> Floats:
    """Return the log density of actions (n, D), physical units, in nats, (n,).

    The log of the sum over experts of gating times Gaussian; -inf if the density underflows.
    """
    offsets = (actions[None] - mixture.means[:, None]).transpose(0, 2, 1)  # (experts, D, n)
    squares = np.square(np.linalg.solve(mixture.choleskys, offsets)).sum(axis=1)
    volumes = np.log(np.abs(np.diagonal(mixture.choleskys, axis1=1, axis2=2))).sum(axis=1)
    with np.errstate(divide="ignore"):
        weights = np.log(mixture.gating)
    dim = mixture.means.shape[1]
    terms = (weights - volumes)[:, None] - 0.5 * squares - 0.5 * dim * math.log(2 * math.pi)
    largest = terms.max(axis=0)
    base = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(base + np.log(np.exp(terms - base).sum(axis=0)))


def lower_factors(factors: NDArray[np.floating]) -> Floats:
    """Return the lower triangular factors L of covariances F F^T = L L^T, with positive diagonals.

    Args:
        factors: F, (..., D, D); those that are lower triangular already are returned as they are.
    """
    if not np.triu(factors, 1).any():
        return np.asarray(factors, np.float64)
    upper = np.linalg.qr(np.swapaxes(factors, -1, -2), mode="r")  # F^T = Q R, so that F F^T = R^T R
    signs = np.where(np.diagonal(upper, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
    return np.asarray(np.swapaxes(signs[..., None] * upper, -1, -2))


def marginal(mixture: Mixture, entries: slice) -> Mixture:
    """Return the marginal mixture over some entries of the action.

    Args:
        mixture: Over D entries.
        entries: Those to keep, such as `slice(0, act_dim)` for the first action of a chunk.
    """
    covariances = mixture.choleskys @ mixture.choleskys.transpose(0, 2, 1)
    kept = np.asarray(np.linalg.cholesky(covariances[:, entries, entries]), np.float64)
    return Mixture(mixture.gating, mixture.means[:, entries], kept, mixture.clipped)


def draw(mixture: Mixture, rng: np.random.Generator, count: int) -> Floats:
    """Return actions (count, D) drawn from a mixture; no action limit is applied."""
    gating = mixture.gating / mixture.gating.sum()
    experts = rng.choice(len(gating), count, p=gating)
    noise = rng.standard_normal((count, mixture.means.shape[1]))
    return np.asarray(mixture.means[experts] + np.einsum("nij,nj->ni", mixture.choleskys[experts], noise))
