"""How well and how variedly a policy does a task: success rate and task entropy, with 95 % intervals."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import TaskError
from vdd_ros.tasks.base import Bools, Ints

Interval = tuple[float, float]

NORMAL_975 = 1.959963984540054
BOOTSTRAP_SAMPLES = 2000


def wilson_interval(successes: int, count: int) -> Interval:
    """Return Wilson's 95 % interval of a success rate.

    Args:
        successes: Number of successes, 0 to `count`.
        count: Number of trials, at least 1.
    """
    rate, z2 = successes / count, NORMAL_975**2
    centre = (rate + z2 / (2 * count)) / (1 + z2 / count)
    half = NORMAL_975 / (1 + z2 / count) * math.sqrt(rate * (1 - rate) / count + z2 / (4 * count**2))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def entropy_of_counts(counts: NDArray[np.integer], base: int) -> NDArray[np.float64]:
    """Return the entropy of relative frequencies, to the logarithm of `base`.

    Args:
        counts: (..., K) how often each of K modes was seen.
        base: Number of modes of the task; uniform frequencies over so many modes give 1.

    Returns:
        (...,) entropies; 0 where nothing was seen.
    """
    total = np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    share = counts / total
    logarithm = np.log(share, out=np.zeros(share.shape), where=share > 0)
    return np.abs(share * logarithm).sum(axis=-1) / math.log(base)


def entropy_interval(counts: Ints, base: int, seed: int = 0) -> Interval:
    """Return a bootstrap 95 % interval of the entropy that as many rollouts would show again.

    The entropy of relative frequencies is biased towards low values, and a bootstrap sample is biased once more. The
    interval is therefore the spread of the bootstrap entropies about their own mean, laid about the measured entropy;
    it speaks about rollouts of the same number, not about the entropy of infinitely many.

    Args:
        counts: (K,) how often each mode was seen.
        base: Number of modes of the task.
        seed: Seed of the resampling.
    """
    total = int(counts.sum())
    if total == 0:
        return 0.0, 0.0
    measured = float(entropy_of_counts(counts, base))
    samples = np.random.default_rng(seed).multinomial(total, counts / total, size=BOOTSTRAP_SAMPLES)
    entropies = entropy_of_counts(samples, base)
    low, high = measured + np.percentile(entropies, [2.5, 97.5]) - entropies.mean()
    return max(float(low), 0.0), min(float(high), max(measured, 1.0))


@dataclass(frozen=True)
class Score:
    """How rollouts went.

    Attributes:
        rollouts: Their number.
        successes: How many of them succeeded.
        success_rate: The share of them.
        success_interval: Its 95 % interval (Wilson).
        entropy: Task entropy: that of the modes of the successful rollouts, to the base of the task's number of modes.
        entropy_interval: Its 95 % interval (bootstrap).
        modes_found: How many of the task's modes succeeded at least once.
        modes: Mode to its number of successful rollouts. A mode that is none of the task's 0, 1, ... is an incomplete
            one; it counts in the entropy like any other, as in D3IL, but not in `modes_found`.
    """

    rollouts: int
    successes: int
    success_rate: float
    success_interval: Interval
    entropy: float
    entropy_interval: Interval
    modes_found: int
    modes: dict[int, int]

    @classmethod
    def of(cls, success: Bools, modes: Ints, base: int) -> "Score":
        """Score rollouts.

        Args:
            success: (N,) which of them succeeded.
            modes: (N,) the mode of each; those of failures do not count.
            base: Number of modes of the task, at least 2.

        Raises:
            TaskError: There is no rollout, the arrays differ in length, or `base` is below 2.
        """
        if success.ndim != 1 or success.shape != modes.shape or not success.size or base < 2:
            raise TaskError(
                f"rollouts with successes of shape {success.shape}, modes of shape {modes.shape} and {base} modes of "
                "the task cannot be scored; give both (N,), N at least 1, and a task of at least 2 modes"
            )
        count, successes = len(success), int(success.sum())
        found, counts = np.unique(modes[success], return_counts=True)
        return cls(
            rollouts=count,
            successes=successes,
            success_rate=successes / count,
            success_interval=wilson_interval(successes, count),
            entropy=float(entropy_of_counts(counts, base)),
            entropy_interval=entropy_interval(counts, base),
            modes_found=int(((found >= 0) & (found < base)).sum()),
            modes={int(mode): int(number) for mode, number in zip(found, counts, strict=True)},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the score for JSON; the modes' numbers become texts there."""
        return {
            "rollouts": self.rollouts,
            "successes": self.successes,
            "success_rate": self.success_rate,
            "success_interval": list(self.success_interval),
            "entropy": self.entropy,
            "entropy_interval": list(self.entropy_interval),
            "modes_found": self.modes_found,
            "modes": {str(mode): number for mode, number in self.modes.items()},
        }
