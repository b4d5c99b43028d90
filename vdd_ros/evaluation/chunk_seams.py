"""Where a chunk follows another one: jumps of the executed actions there, and how smooth the actions are overall."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vdd_ros.features import Feature
from vdd_ros.tasks.base import Floats
from vdd_ros.tasks.rollout import Rollouts

DEVIATIONS = "standard deviations"
"""Unit of distances between actions whose entries have different units."""


@dataclass(frozen=True)
class Distances:
    """Distances between actions.

    Attributes:
        unit: Their unit: that of the action if all of its entries share one, otherwise standard deviations of the
            policy's actions.
        count: Their number.
        mean, p50, p95: Mean and percentiles.
        entries: Mean distance of each entry of the action, in its own unit.
    """

    unit: str
    count: int
    mean: float
    p50: float
    p95: float
    entries: dict[str, float]

    @classmethod
    def of(cls, vectors: Floats, action: Sequence[Feature], std: Sequence[float]) -> "Distances | None":
        """Return the lengths of vectors between actions; None without any.

        Args:
            vectors: (n, act_dim) in the units of the action.
            action: The entries of the action.
            std: Their standard deviations, act_dim numbers.
        """
        if not len(vectors):
            return None
        units = {entry.unit for entry in action}
        scaled = vectors if len(units) == 1 else vectors / np.asarray(std)
        lengths = np.sqrt((scaled**2).sum(axis=1))
        p50, p95 = np.percentile(lengths, [50, 95]).tolist()
        means = np.abs(vectors).mean(axis=0).tolist()
        names = [entry.name for entry in action]
        unit = units.pop() if len(units) == 1 else DEVIATIONS
        return cls(unit, len(lengths), float(lengths.mean()), p50, p95, dict(zip(names, means, strict=True)))


def seams(runs: Sequence[Rollouts]) -> Floats:
    """Return the seams of all episodes, (n, act_dim): a chunk's first executed action less the plan it replaced."""
    found = [one.seams[row, :steps] for one in runs if one.seams is not None for row, steps in enumerate(one.lengths)]
    together = np.concatenate(found) if found else np.zeros((0, 1))
    return together[np.isfinite(together).all(axis=1)]


def second_differences(runs: Sequence[Rollouts]) -> Floats:
    """Return a[t + 1] - 2 a[t] + a[t - 1] of the executed actions within each episode, (n, act_dim)."""
    return np.concatenate(
        [np.diff(one.actions[row, :steps], n=2, axis=0) for one in runs for row, steps in enumerate(one.lengths)]
    )
