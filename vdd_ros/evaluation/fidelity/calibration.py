"""Calibration of a density: coverage of its highest-density regions against their nominal probability."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.evaluation.fidelity.statistics import Estimate

Floats = NDArray[np.float64]

LEVELS = tuple(round(0.05 * k, 2) for k in range(1, 20))


@dataclass(frozen=True)
class Calibration:
    """Fit of a density q to actions, by its highest-density regions.

    Attributes:
        log_likelihood: Mean log q of the actions, nats in physical units.
        levels: Nominal probabilities of the highest-density regions under q.
        coverage: Share of the actions inside each region; below its level if q is too narrow.
        error: Mean absolute difference of coverage and level (expected calibration error).
        error_floor: Error of q's own samples, in sets of as many as there are actions.
        bias: Mean of coverage minus level: above 0 if q is too wide, below 0 if it is too narrow or misplaced.
        states: Number of states judged.
    """

    log_likelihood: Estimate
    levels: tuple[float, ...]
    coverage: tuple[float, ...]
    error: float
    error_floor: float
    bias: float
    states: int

    @classmethod
    def of(cls, own: Floats, more: Floats, given: Floats) -> "Calibration | None":
        """Judge actions by the log densities of q at S states.

        Args:
            own: (S, N) log densities of q's own samples, which define the regions.
            more: (S, N) log densities of further samples of q, which give the floor.
            given: (S, M) log densities of the actions, M at most N; NaN in states where they are unknown.

        Returns:
            None if no state can be judged.
        """
        known = np.isfinite(given).all(axis=1)
        if not known.any():
            return None
        own, more, given = own[known], more[known], given[known]
        covered = coverage(ranks(own, given))
        number = given.shape[1]
        groups = [more[:, start : start + number] for start in range(0, more.shape[1] - number + 1, number)]
        floors = [_error(coverage(ranks(own, group))) for group in groups]
        return cls(
            log_likelihood=Estimate.of(given.mean(axis=1)),
            levels=LEVELS,
            coverage=tuple(float(share) for share in covered),
            error=_error(covered),
            error_floor=float(np.mean(floors)),
            bias=float((covered - np.array(LEVELS)).mean()),
            states=int(known.sum()),
        )


def ranks(own: Floats, given: Floats) -> Floats:
    """Return the share of own samples that are denser than each of the given ones, (S, N) and (S, M) -> (S, M).

    Ties count half. If both come from the same distribution, the shares are uniform in (0, 1).
    """
    count = own.shape[1]
    less = [
        (np.searchsorted(row, values, "left") + np.searchsorted(row, values, "right")) / 2
        for row, values in zip(np.sort(own, axis=1), given, strict=True)
    ]
    return (count - np.array(less) + 0.5) / (count + 1)


def coverage(denser: Floats) -> Floats:
    """Return the share of all `ranks` (S, M) within each of `LEVELS`."""
    return np.array([(denser <= level).mean() for level in LEVELS])


def _error(covered: Floats) -> float:
    return float(np.abs(covered - np.array(LEVELS)).mean())
