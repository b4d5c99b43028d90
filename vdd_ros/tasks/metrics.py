"""Success rate and task entropy of rollouts, with 95 % intervals."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.documents import JsonObject, json_object
from vdd_ros.errors import TaskError
from vdd_ros.tasks.base import Bools, Floats, Ints
from vdd_ros.tasks.entropy import BOOTSTRAP_SAMPLES, Interval, entropy_estimate, entropy_interval, entropy_of_counts

NORMAL_975 = 1.959963984540054


def wilson_interval(successes: float, count: float) -> Interval:
    """Return Wilson's 95 % interval of a success rate.

    Args:
        successes: Number of successes, 0 to `count`.
        count: Number of trials, at least 1, or the effective number of dependent ones.
    """
    rate, z2 = successes / count, NORMAL_975**2
    centre = (rate + z2 / (2 * count)) / (1 + z2 / count)
    half = NORMAL_975 / (1 + z2 / count) * math.sqrt(rate * (1 - rate) / count + z2 / (4 * count**2))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def success_interval(success: Bools, contexts: Ints) -> Interval:
    """Return the 95 % interval of a success rate over new contexts.

    Rollouts from one context resemble each other. Wilson's interval is therefore that of the effective number of
    rollouts: their number by the ratio of the rate's variance over contexts to that of independent rollouts, if the
    ratio is above 1 (Kish's design effect). With a single context it is Wilson's own.

    Args:
        success: (N,) whether each rollout succeeded.
        contexts: (N,) its context.
    """
    group = np.unique(contexts, return_inverse=True)[1]
    return counts_interval(np.bincount(group, weights=success), np.bincount(group))


def counts_interval(successes: NDArray[Any], rollouts: NDArray[Any]) -> Interval:
    """Return the interval of `success_interval` from the successes and rollouts of each context, (C,) each."""
    count, rate = float(rollouts.sum()), float(successes.sum() / rollouts.sum())
    independent = rate * (1 - rate) / count
    if len(rollouts) == 1 or independent == 0:
        return wilson_interval(float(successes.sum()), count)
    excess = successes - rate * rollouts
    variance = len(rollouts) / (len(rollouts) - 1) * float((excess**2).sum()) / count**2
    effective = count / max(variance / independent, 1.0)
    return wilson_interval(rate * effective, effective)


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
        success_interval: Its 95 % interval (Wilson; with several contexts that of `success_interval`).
        contexts: Number of different contexts that the rollouts started from.
        entropy: Task entropy (D3IL): entropy of the modes of the successful rollouts, to the base of the task's number
            of modes; the mean over contexts, where one without a success counts as 0; 0 for a task of one mode.
        entropy_interval: Its 95 % interval (bootstrap; with several contexts over these).
        entropy_estimate: The same entropy, nearly unbiased: comparable at different numbers of rollouts.
        modes_found: Number of the task's modes with at least one success.
        modes: Mode to its number of successful rollouts. A code above the task's 0, 1, ... is an incomplete mode; it
            counts in the entropy like any other, as in D3IL, but not in `modes_found`. A negative code is no mode and
            counts in neither.
        returns: Mean return of all rollouts; None if the task has no reward.
        returns_interval: Its 95 % interval (bootstrap), or None.
        partial_success: Mean share of the goal that the rollouts achieved; None if the task has none.
        partial_success_interval: Its 95 % interval (bootstrap), or None.
        by_context: Successes and rollouts of each context, in the order in which these first occur.
        entropy_by_context: Task entropy of each context, in the same order.
    """

    rollouts: int
    successes: int
    success_rate: float
    success_interval: Interval
    contexts: int
    entropy: float
    entropy_interval: Interval
    entropy_estimate: float
    modes_found: int
    modes: dict[int, int]
    returns: float | None = None
    returns_interval: Interval | None = None
    partial_success: float | None = None
    partial_success_interval: Interval | None = None
    by_context: tuple[tuple[int, int], ...] = ()
    entropy_by_context: tuple[float, ...] = ()

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
        starts, first, group = np.unique(groups, return_index=True, return_inverse=True)
        counts = np.zeros((len(starts), len(found)), dtype=np.int64)  # (C, K)
        np.add.at(counts, (group[success], place), 1)
        modal, order = counts[:, found >= 0], np.argsort(first)
        entropies = entropy_of_counts(modal, base)
        totals = zip(counts.sum(axis=1)[order].tolist(), np.bincount(group)[order].tolist(), strict=True)
        return cls(
            rollouts=count,
            successes=successes,
            success_rate=successes / count,
            success_interval=success_interval(success, groups),
            contexts=len(starts),
            entropy=float(entropies.mean()),
            entropy_interval=entropy_interval(modal, base),
            entropy_estimate=float(entropy_estimate(modal, base).mean()),
            modes_found=int(((found >= 0) & (found < base)).sum()),
            modes={int(mode): int(number) for mode, number in zip(found, counts.sum(axis=0), strict=True)},
            returns=None if returns is None else float(returns.mean()),
            returns_interval=None if returns is None else mean_interval(returns),
            partial_success=None if partial is None else float(partial.mean()),
            partial_success_interval=None if partial is None else mean_interval(partial),
            by_context=tuple(totals),
            entropy_by_context=tuple(entropies[order].tolist()),
        )

    def to_dict(self) -> JsonObject:
        """Return the score as a JSON object: its attributes by name, the keys of `modes` as text."""
        content = json_object(self)
        content["modes"] = {str(mode): number for mode, number in self.modes.items()}
        return content
