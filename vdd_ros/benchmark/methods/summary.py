"""What trials say together: means over seeds with their spread and intervals, beside the paper's figures."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vdd_ros.benchmark.methods.matrix import METHODS, VARIANTS
from vdd_ros.benchmark.methods.results import Record
from vdd_ros.tasks import get_task, task_names
from vdd_ros.tasks.metrics import wilson_interval


@dataclass(frozen=True)
class SeedMean:
    """A mean over seeds.

    Attributes:
        mean: Of the seeds.
        spread: Standard deviation over the seeds; None for a single one.
        interval: 95 % interval of the mean for these very seeds: the rollouts are what is random in it.
    """

    mean: float
    spread: float | None
    interval: tuple[float, float]

    def __str__(self) -> str:
        """Return it for a table."""
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
        """Return what the trials have in common under a key."""
        return self.trials[0][key]

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
        """Success rate; Wilson's interval of all rollouts together."""
        rollouts = sum(trial["rollouts"] for trial in self.trials)
        successes = sum(round(trial["success"] * trial["rollouts"]) for trial in self.trials)
        return self._figure("success", wilson_interval(successes, rollouts))

    @property
    def entropy(self) -> SeedMean:
        """Task entropy; the seeds' independent intervals make that of their mean."""
        mean, count = statistics.mean(trial["entropy"] for trial in self.trials), len(self.trials)
        below, above = (
            math.hypot(*(trial["entropy_interval"][side] - trial["entropy"] for trial in self.trials)) / count
            for side in (0, 1)
        )
        return self._figure("entropy", (max(mean - below, 0.0), mean + above))

    def mean(self, key: str) -> float | None:
        """Return the mean of a number over the trials that have it; None if none has."""
        values = [trial[key] for trial in self.trials if trial[key] is not None]
        return statistics.mean(values) if values else None

    def _figure(self, key: str, interval: tuple[float, float]) -> SeedMean:
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
    """Return what differs over trials that should have it in common, in words; empty if nothing does."""
    checks = {"rollouts": "rollouts", "inference_at": "runs of the inference times"}
    values = {name: {record[key] for record in records} for key, name in checks.items()}
    return [f"{len(found)} different {name}" for name, found in values.items() if len(found) > 1]


def paper_success(task: str, method: str) -> str:
    """Return the published success for a table, a dash where there is none."""
    published = get_task(task).published.get(method) if task in task_names() else None
    if published is None:
        return "–"
    spread = published.deviation
    return f"{published.success:.2f}" + (f" ± {spread:.2f}" if spread is not None else "")
