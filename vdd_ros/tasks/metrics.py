"""Success rate and task entropy of rollouts, with 95 % intervals."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.documents import JsonObject, json_object
from vdd_ros.errors import TaskError
from vdd_ros.tasks.base import Bools, Floats, Ints

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
        counts: (..., K) count of each of K modes.
        base: Number of modes of the task; uniform frequencies over `base` modes give 1.

    Returns:
        (...,) entropies; 0 without any count, and for a task with a single mode.
    """
    if base == 1:
        return np.zeros(counts.shape[:-1])
    total = np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    share = counts / total
    logarithm = np.log(share, out=np.zeros(share.shape), where=share > 0)
    return np.abs(share * logarithm).sum(axis=-1) / math.log(base)


def entropy_interval(counts: Ints, base: int, seed: int = 0) -> Interval:
    """Return a bootstrap 95 % interval of the mean entropy of an equal number of new rollouts.

    The entropy of relative frequencies is biased towards low values, and a bootstrap sample is biased once more. The
    interval is therefore the spread of the bootstrap entropies about their own mean, laid about the measured entropy;
    it concerns an equal number of rollouts, not the entropy of infinitely many. Rollouts are resampled within their
    context: the contexts are fixed.

    Args:
        counts: (K,) count of each mode; or (C, K), a row for each context, whose entropies are averaged.
        base: Number of modes of the task.
        seed: Seed of the resampling.
    """
    rows = np.atleast_2d(counts)
    rows = rows[rows.sum(axis=1) > 0]
    if not len(rows):
        return 0.0, 0.0
    contexts = 1 if counts.ndim == 1 else len(counts)
    measured = float(entropy_of_counts(counts, base).mean())
    random = np.random.default_rng(seed)
    entropies = np.zeros(BOOTSTRAP_SAMPLES)
    for row in rows:
        samples = random.multinomial(row.sum(), row / row.sum(), size=BOOTSTRAP_SAMPLES)
        entropies += entropy_of_counts(samples, base) / contexts
    low, high = measured + np.percentile(entropies, [2.5, 97.5]) - entropies.mean()
    return max(float(low), 0.0), min(float(high), max(measured, 1.0))


def mean_interval(values: NDArray[np.floating], seed: int = 0) -> Interval:
    """Return a bootstrap 95 % interval of the mean of values, (N,), N at least 1."""
    random = np.random.default_rng(seed)
    weights = random.multinomial(len(values), np.full(len(values), 1 / len(values)), size=BOOTSTRAP_SAMPLES)
    low, high = np.percentile(weights @ values / len(values), [2.5, 97.5])
    return float(low), float(high)


def number_contexts(contexts: NDArray[np.floating]) -> Ints:
    """Number the different contexts: (N, c) -> (N,) numbers from 0; equal rows share a number."""
    if contexts.shape[1] == 0:
        return np.zeros(len(contexts), dtype=np.int64)
    return np.unique(contexts, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


@dataclass(frozen=True)
class Score:
    """Score of the rollouts of one policy in one task.

    Attributes:
        rollouts: Number of rollouts.
        successes: Number of successful rollouts.
        success_rate: `successes` / `rollouts`.
        success_interval: Its 95 % interval (Wilson).
        contexts: Number of different contexts that the rollouts started from.
        entropy: Task entropy (D3IL): entropy of the modes of the successful rollouts, to the base of the task's number
            of modes; the mean over contexts, where one without a success counts as 0; 0 for a task of one mode.
        entropy_interval: Its 95 % interval (bootstrap).
        modes_found: Number of the task's modes with at least one success.
        modes: Mode to its number of successful rollouts. A code outside the task's 0, 1, ... is an incomplete mode;
            it counts in the entropy like any other, as in D3IL, but not in `modes_found`.
        returns: Mean return of all rollouts; None if the task has no reward.
        returns_interval: Its 95 % interval (bootstrap), or None.
        partial_success: Mean share of the goal that the rollouts achieved; None if the task has none.
        partial_success_interval: Its 95 % interval (bootstrap), or None.
    """

    rollouts: int
    successes: int
    success_rate: float
    success_interval: Interval
    contexts: int
    entropy: float
    entropy_interval: Interval
    modes_found: int
    modes: dict[int, int]
    returns: float | None = None
    returns_interval: Interval | None = None
    partial_success: float | None = None
    partial_success_interval: Interval | None = None

    @classmethod
    def of(
        cls,
        success: Bools,
        modes: Ints,
        base: int,
        *,
        contexts: Ints | None = None,
        returns: Floats | None = None,
        partial: Floats | None = None,
    ) -> "Score":
        """Score rollouts.

        Args:
            success: (N,) whether each succeeded.
            modes: (N,) mode of each; ignored for failures.
            base: Number of modes of the task, at least 1.
            contexts: (N,) context of each, numbered as by `number_contexts`; None: all started alike.
            returns: (N,) return of each, or None.
            partial: (N,) share of the goal that each achieved, 0 to 1, or None.

        Raises:
            TaskError: There is no rollout, the arrays differ in length, a value is not finite, or `base` is below 1.
        """
        if success.ndim != 1 or success.shape != modes.shape or not success.size or base < 1:
            raise TaskError(
                f"rollouts with successes of shape {success.shape}, modes of shape {modes.shape} and {base} modes of "
                "the task cannot be scored; give both (N,), N at least 1, and a task of at least 1 mode"
            )
        groups = np.zeros(len(success), dtype=np.int64) if contexts is None else contexts
        for name, values in (("contexts", groups), ("returns", returns), ("partial", partial)):
            if values is not None and (values.shape != success.shape or not np.isfinite(values).all()):
                raise TaskError(
                    f"rollouts with {name} of shape {values.shape} cannot be scored; give finite numbers "
                    f"({len(success)},)"
                )
        count, successes = len(success), int(success.sum())
        found, place = np.unique(modes[success], return_inverse=True)
        starts, group = np.unique(groups, return_inverse=True)
        counts = np.zeros((len(starts), len(found)), dtype=np.int64)  # (C, K)
        np.add.at(counts, (group[success], place), 1)
        return cls(
            rollouts=count,
            successes=successes,
            success_rate=successes / count,
            success_interval=wilson_interval(successes, count),
            contexts=len(starts),
            entropy=float(entropy_of_counts(counts, base).mean()),
            entropy_interval=entropy_interval(counts, base),
            modes_found=int(((found >= 0) & (found < base)).sum()),
            modes={int(mode): int(number) for mode, number in zip(found, counts.sum(axis=0), strict=True)},
            returns=None if returns is None else float(returns.mean()),
            returns_interval=None if returns is None else mean_interval(returns),
            partial_success=None if partial is None else float(partial.mean()),
            partial_success_interval=None if partial is None else mean_interval(partial),
        )

    def to_dict(self) -> JsonObject:
        """Return the score as a JSON object: its attributes by name, the keys of `modes` as text."""
        content = json_object(self)
        content["modes"] = {str(mode): number for mode, number in self.modes.items()}
        return content
