"""Modes of a set of actions: peaks of a fitted Gaussian mixture, and the samples around each."""

import math
import warnings
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
from sklearn.mixture import GaussianMixture  # type: ignore[import-untyped]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_COMPONENTS = 32
PATIENCE = 2
LEAST_DEVIATION = 0.01
LEADING = 4
CLIMB_STEPS = 200
SEGMENT_POINTS = 21
VALLEY = 0.3
LEAST_SHARE = 0.04
INSIDE = 0.95
REACHED = 0.1

NOWHERE = -1


@dataclass(frozen=True)
class Modes:
    """The modes of a set of samples.

    A mode is a peak of the fitted density with all the components whose means lead uphill to it; two peaks are one mode
    if the density between them stays above `VALLEY` of the lower one (modal clustering: Li, Ray and Lindsay 2007).
    Peaks with less than `LEAST_SHARE` of the samples are not modes. All of it happens in the `LEADING` principal
    components of the samples: long chunks of actions have too many entries for a few hundred samples.

    Attributes:
        shares: (M,) share of the samples in each mode, M at least 1; they sum to less than 1.
    """

    shares: Floats
    _basis: Floats = field(repr=False)
    _fitted: GaussianMixture = field(repr=False)
    _mode_of_component: Ints = field(repr=False)
    _log_level: float = field(repr=False)

    @classmethod
    def of(cls, samples: Floats, seed: int = 0) -> "Modes":
        """Find the modes of standardised samples (N, D), N at least 32; the densest `INSIDE` of them are inside."""
        basis = _basis(samples)
        leading = samples @ basis
        fitted = _fit(leading, seed)
        peak_of_component = _peaks(fitted)
        counts = np.bincount(peak_of_component[fitted.predict(leading)], minlength=peak_of_component.max() + 1)
        kept = counts >= LEAST_SHARE * len(samples)
        number = np.where(kept, np.cumsum(kept) - 1, NOWHERE)
        level = float(np.quantile(fitted.score_samples(leading), 1 - INSIDE))
        unmeasured = cls(np.zeros(int(kept.sum())), basis, fitted, number[peak_of_component], level)
        return replace(unmeasured, shares=unmeasured.shares_of(samples))

    def labels(self, samples: Floats) -> Ints:
        """Return the mode of each sample (N, D), (N,); `NOWHERE` for those outside."""
        leading = samples @ self._basis
        inside = self._fitted.score_samples(leading) >= self._log_level
        return np.where(inside, self._mode_of_component[self._fitted.predict(leading)], NOWHERE)

    def shares_of(self, samples: Floats) -> Floats:
        """Return the share of samples (N, D) that lie in each mode, (M,)."""
        labels = self.labels(samples)
        return np.bincount(labels[labels != NOWHERE], minlength=len(self.shares)) / len(samples)

    def reached(self, shares: Floats) -> NDArray[np.bool_]:
        """Return which modes have at least `REACHED` of their expected share, for shares (M,), (M,)."""
        return shares >= REACHED * self.shares

    def recall(self, shares: Floats, *, weighted: bool = True) -> float:
        """Return the share of the modes that are reached, each counted by its own share unless not `weighted`."""
        return float(np.average(self.reached(shares), weights=self.shares if weighted else None))


def _basis(samples: Floats) -> Floats:
    """Return orthonormal directions, (D, d) with d at most `LEADING`; the entries themselves if they are few."""
    if samples.shape[1] <= LEADING:
        return np.eye(samples.shape[1])
    return np.linalg.svd(samples - samples.mean(axis=0), full_matrices=False)[2][:LEADING].T


def _fit(samples: Floats, seed: int) -> GaussianMixture:
    """Fit mixtures with more and more components until the Bayesian information criterion has stopped improving."""
    best, best_score, without_gain = None, math.inf, 0
    for components in range(1, min(MOST_COMPONENTS, len(samples) // 4) + 1):
        found = [_fit_one(samples, components, covariance, seed) for covariance in ("full", "diag")]
        fitted, score = min(((each, float(each.bic(samples))) for each in found), key=lambda pair: pair[1])
        if score < best_score:
            best, best_score, without_gain = fitted, score, 0
        else:
            without_gain += 1
            if without_gain > PATIENCE:
                break
    return best


def _fit_one(samples: Floats, components: int, covariance: str, seed: int) -> GaussianMixture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fit that has not converged is judged like the others
        return GaussianMixture(
            components, covariance_type=covariance, reg_covar=LEAST_DEVIATION**2, random_state=seed
        ).fit(samples)


def _peaks(fitted: GaussianMixture) -> Ints:
    """Return the number of the peak that each component belongs to, (K,)."""
    peaks = _climb(fitted)
    count = len(peaks)
    heights = fitted.score_samples(peaks)
    steps = np.linspace(0, 1, SEGMENT_POINTS)[:, None]
    first, second = np.triu_indices(count, 1)
    joined = np.eye(count, dtype=bool)
    if len(first):
        between = peaks[first, None] + steps * (peaks[second] - peaks[first])[:, None]  # (pairs, points, D)
        lowest = fitted.score_samples(between.reshape(-1, peaks.shape[1])).reshape(len(first), -1).min(axis=1)
        joined[first, second] = lowest >= math.log(VALLEY) + np.minimum(heights[first], heights[second])
    return connected_components(joined, directed=False)[1].astype(np.int64)


def _climb(fitted: GaussianMixture) -> Floats:
    """Return where each component's mean leads uphill, (K, D), by fixed-point iteration (modal EM)."""
    diagonal = fitted.covariance_type == "diag"
    precisions = fitted.precisions_[:, :, None] * np.eye(fitted.means_.shape[1]) if diagonal else fitted.precisions_
    pulls = (precisions @ fitted.means_[:, :, None])[..., 0]  # (K, D)
    points: Floats = fitted.means_
    for _ in range(CLIMB_STEPS):
        weights = fitted.predict_proba(points)  # (K, K)
        moved = np.linalg.solve(np.tensordot(weights, precisions, 1), (weights @ pulls)[..., None])[..., 0]
        done = np.abs(moved - points).max() < LEAST_DEVIATION**2
        points = moved
        if done:
            break
    return points
