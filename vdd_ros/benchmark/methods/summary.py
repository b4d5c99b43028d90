"""Means of trials over seeds, with spread and intervals, differences to teachers, and the paper's figures."""

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vdd_ros.benchmark.methods.matrix import METHODS, VARIANTS
from vdd_ros.benchmark.methods.results import MeanKey, Outcome, Record
from vdd_ros.evaluation.differences import Difference, success_difference
from vdd_ros.tasks import get_task, task_names
from vdd_ros.tasks.base import Floats, Ints
from vdd_ros.tasks.metrics import counts_interval, mean_interval
from vdd_ros.tasks.task import Published


@dataclass(frozen=True)
class SeedMean:
    """A mean over seeds.

    Attributes:
        mean: Mean over the seeds.
        spread: Standard deviation over the seeds; None for a single seed.
        interval: 95 % interval of the mean for these seeds, over the randomness of their rollouts and contexts.
    """

    mean: float
    spread: float | None
    interval: tuple[float, float]

    @classmethod
    def of(cls, values: list[float], interval: tuple[float, float]) -> "SeedMean":
        """Return the mean of values, one for each seed."""
        return cls(statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None, interval)

    def __str__(self) -> str:
        """Return the text for a table."""
        spread = "" if self.spread is None else f" ± {self.spread:.3f}"
        return f"{self.mean:.3f}{spread} [{self.interval[0]:.3f}, {self.interval[1]:.3f}]"


@dataclass(frozen=True)
class Measure:
    """How often a task, or a milestone of it, was achieved over seeds, and in how many ways.

    Attributes:
        outcomes: The outcome of each seed.
        rollouts: Number of rollouts of each seed.
        contexts: Hash of the contexts that all seeds started from; None if they all started alike, or differ.
    """

    outcomes: tuple[Outcome, ...]
    rollouts: tuple[int, ...]
    contexts: str | None

    @property
    def counts(self) -> Ints:
        """Successes and rollouts, (C, 2), of all seeds together: by context, or in a single row."""
        listed = [one.get("by_context") for one in self.outcomes]
        if self.contexts is not None and len({len(one or ()) for one in listed}) == 1 and listed[0]:
            return np.array(listed, dtype=np.int64).sum(axis=0)
        successes = [round(one["success"] * count) for one, count in zip(self.outcomes, self.rollouts, strict=True)]
        return np.array([[sum(successes), sum(self.rollouts)]], dtype=np.int64)

    @property
    def success(self) -> SeedMean:
        """Success rate, with the interval of all rollouts together."""
        successes, rollouts = self.counts.T
        return SeedMean.of([one["success"] for one in self.outcomes], counts_interval(successes, rollouts))

    @property
    def entropy(self) -> SeedMean:
        """Task entropy; its interval is over contexts, which the seeds share, or joins those of independent seeds."""
        values = [one["entropy"] for one in self.outcomes]
        if (by_context := self._entropies()) is not None:
            return SeedMean.of(values, mean_interval(by_context))
        mean, count = statistics.mean(values), len(values)
        below, above = (
            math.hypot(*(one["entropy_interval"][side] - one["entropy"] for one in self.outcomes)) / count
            for side in (0, 1)
        )
        return SeedMean.of(values, (max(mean - below, 0.0), mean + above))

    def _entropies(self) -> Floats | None:
        """Return the mean entropy over seeds from each of several contexts, (C,); None if they are unknown."""
        listed = [one.get("entropy_by_context") or [] for one in self.outcomes]
        if self.contexts is None or len({len(one) for one in listed}) > 1 or len(listed[0]) < 2:
            return None
        return np.mean(listed, axis=0)

    def less(self, other: "Measure") -> Difference | None:
        """Return the difference of the success rates; None if the rollouts started from other contexts."""
        first, second = self.counts, other.counts
        if self.contexts != other.contexts or len(first) != len(second):
            return None
        return success_difference(first, second)


@dataclass(frozen=True)
class Group:
    """The trials of one method and variant that differ only in their seed.

    Attributes:
        trials: At least one.
    """

    trials: tuple[Record, ...]

    def __getitem__(self, key: str) -> Any:
        """Return the value of a key that all trials share."""
        shared: Mapping[str, Any] = self.trials[0]
        return shared[key]

    @property
    def method(self) -> str:
        """Name of the method."""
        return str(self["method"])

    @property
    def label(self) -> str:
        """Name for tables and figures."""
        return METHODS[self.method].label

    @property
    def milestones(self) -> list[str]:
        """Names of the milestones that all trials have."""
        each = [trial.get("milestones", {}) for trial in self.trials]
        return [name for name in each[0] if all(name in one for one in each)]

    def measure(self, milestone: str | None = None) -> Measure:
        """Return success and entropy of the task, or of a milestone."""
        each = [trial if milestone is None else trial.get("milestones", {})[milestone] for trial in self.trials]
        starts = {trial.get("contexts_sha256") for trial in self.trials}
        rollouts = tuple(trial["rollouts"] for trial in self.trials)
        return Measure(tuple(each), rollouts, starts.pop() if len(starts) == 1 else None)

    @property
    def success(self) -> SeedMean:
        """Success rate of the task."""
        return self.measure().success

    @property
    def entropy(self) -> SeedMean:
        """Task entropy."""
        return self.measure().entropy

    def mean(self, key: MeanKey) -> float | None:
        """Return the mean of a number over the trials that have it, or None."""
        rows: list[Mapping[str, Any]] = [*self.trials]
        values = [float(row[key]) for row in rows if row.get(key) is not None]
        return statistics.mean(values) if values else None


Groups = dict[tuple[str, str | None], Group]
"""Groups by method and variant."""


def group(records: Iterable[Record], task: str, backbone: str, style: str | None = None) -> Groups:
    """Return the groups of a task, style and backbone, in the order of the tables."""
    found: dict[tuple[str, str | None], list[Record]] = {}
    for record in records:
        if (record["task"], record["backbone"], record.get("style")) == (task, backbone, style):
            found.setdefault((record["method"], record["variant"]), []).append(record)
    order = {name: number for number, name in enumerate([None, *METHODS, *VARIANTS])}
    ranked = sorted(found, key=lambda name: (order[name[0]], order[name[1]]))
    return {name: Group(tuple(sorted(found[name], key=lambda trial: trial["seed"]))) for name in ranked}


def teacher_gap(found: Group, groups: Groups, milestone: str | None = None) -> Difference | None:
    """Return how much more often a student succeeds than its teacher; None without a teacher to compare it with."""
    teacher = groups.get((found["teacher"] or "", None))
    if METHODS[found.method].steps is not None or teacher is None:
        return None
    if milestone is not None and milestone not in teacher.milestones:
        return None
    return found.measure(milestone).less(teacher.measure(milestone))


def settings_apart(records: Iterable[Record]) -> list[str]:
    """Return, in words, the conditions in which trials that are compared differ but should not.

    Args:
        records: Trials of one task, style and backbone.
    """
    rows: list[Mapping[str, object]] = [*records]
    checks = {
        "rollouts": "rollouts",
        "contexts_sha256": "sets of contexts",
        "data_sha256": "sets of demonstrations",
        "inference_at": "runs of the inference times",
    }
    values = {name: {row[key] for row in rows if key in row} for key, name in checks.items()}
    return [f"{len(found)} different {name}" for name, found in values.items() if len(found) > 1]


def published_figures(task: str, milestone: str | None = None) -> Mapping[str, Published]:
    """Return the published figures of a task or a milestone by method; none for a task that is not registered."""
    if task not in task_names():
        return {}
    if milestone is None:
        return get_task(task).published
    return next((one.published for one in get_task(task).milestones if one.name == milestone), {})


def paper_success(task: str, method: str, milestone: str | None = None) -> str:
    """Return the published figure for a table, or a dash."""
    figure = published_figures(task, milestone).get(method)
    return "–" if figure is None else f"{figure} (return)" if figure.measure == "return" else str(figure)
