"""Means of trials over seeds, with spread and intervals, and the paper's figures."""

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vdd_ros.benchmark.methods.matrix import METHODS, VARIANTS
from vdd_ros.benchmark.methods.results import MeanKey, Record
from vdd_ros.tasks import get_task, task_names
from vdd_ros.tasks.metrics import wilson_interval


@dataclass(frozen=True)
class SeedMean:
    """A mean over seeds.

    Attributes:
        mean: Mean over the seeds.
        spread: Standard deviation over the seeds; None for a single seed.
        interval: 95 % interval of the mean for these seeds, over the randomness of their rollouts.
    """

    mean: float
    spread: float | None
    interval: tuple[float, float]

    def __str__(self) -> str:
        """Return the text for a table."""
        spread = "" if self.spread is None else f" ± {self.spread:.3f}"
        return f"{self.mean:.3f}{spread} [{self.interval[0]:.3f}, {self.interval[1]:.3f}]"


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
    def success(self) -> SeedMean:
        """Success rate, with Wilson's interval of all rollouts together."""
        rollouts = sum(trial["rollouts"] for trial in self.trials)
        successes = sum(round(trial["success"] * trial["rollouts"]) for trial in self.trials)
        return self._figure("success", wilson_interval(successes, rollouts))

    @property
    def entropy(self) -> SeedMean:
        """Task entropy; the independent intervals of the seeds give that of their mean."""
        mean, count = statistics.mean(trial["entropy"] for trial in self.trials), len(self.trials)
        below, above = (
            math.hypot(*(trial["entropy_interval"][side] - trial["entropy"] for trial in self.trials)) / count
            for side in (0, 1)
        )
        return self._figure("entropy", (max(mean - below, 0.0), mean + above))

    def mean(self, key: MeanKey) -> float | None:
        """Return the mean of a number over the trials that have it, or None."""
        values = [value for trial in self.trials if (value := trial[key]) is not None]
        return statistics.mean(values) if values else None

    def _figure(self, key: Literal["success", "entropy"], interval: tuple[float, float]) -> SeedMean:
        values = [trial[key] for trial in self.trials]
        spread = statistics.stdev(values) if len(values) > 1 else None
        return SeedMean(statistics.mean(values), spread, interval)


Groups = dict[tuple[str, str | None], Group]
"""Groups by method and variant."""


def group(records: Iterable[Record], task: str, backbone: str) -> Groups:
    """Return the groups of a task and backbone, in the order of the tables."""
    found: dict[tuple[str, str | None], list[Record]] = {}
    for record in records:
        if (record["task"], record["backbone"]) == (task, backbone):
            found.setdefault((record["method"], record["variant"]), []).append(record)
    order = {name: number for number, name in enumerate([None, *METHODS, *VARIANTS])}
    ranked = sorted(found, key=lambda name: (order[name[0]], order[name[1]]))
    return {name: Group(tuple(sorted(found[name], key=lambda trial: trial["seed"]))) for name in ranked}


def settings_apart(records: Iterable[Record]) -> list[str]:
    """Return, in words, the conditions in which trials differ but should not; an empty list if there are none."""
    rows: list[Mapping[str, object]] = [*records]
    checks = {"rollouts": "rollouts", "inference_at": "runs of the inference times"}
    values = {name: {row[key] for row in rows} for key, name in checks.items()}
    return [f"{len(found)} different {name}" for name, found in values.items() if len(found) > 1]


def paper_success(task: str, method: str) -> str:
    """Return the published success rate for a table, or a dash."""
    published = get_task(task).published.get(method) if task in task_names() else None
    if published is None:
        return "–"
    spread = published.deviation
    return f"{published.success:.2f}" + (f" ± {spread:.2f}" if spread is not None else "")
