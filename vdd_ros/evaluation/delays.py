"""Policies whose answers arrive later and later: success, diversity, and seams between the chunks, by the delay."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.documents import JsonObject, json_object
from vdd_ros.evaluation.chunk_seams import Distances, seams, second_differences
from vdd_ros.evaluation.entrant import (
    Entrant,
    Evaluated,
    compared_record,
    compared_tables,
    difference_record,
    differences,
    evaluate_entrants,
    prepared,
)
from vdd_ros.evaluation.plots import significant
from vdd_ros.evaluation.rollout_report import RolloutRecord, RolloutSettings
from vdd_ros.evaluation.score_table import difference_rows, pairing, with_interval
from vdd_ros.tasks import Task
from vdd_ros.tasks.base import Floats
from vdd_ros.tasks.rollout import FAILURE, TIME_LIMIT
from vdd_ros.workers import Workers

_ROW = "  {:>5}  {:<10}{:<22}  {:<22}  {:>8}{:>12}  {:>9}{:>10}  {:>9}{:>10}"


@dataclass(frozen=True)
class Delayed:
    """A policy at a delay.

    Attributes:
        delay: Control steps from a question to its answer.
        evaluated: What was found; its episodes are kept only where `evaluate_delays` says so.
        seam: Distances of the first action that is executed from a chunk to what was planned for that step before; None
            if nothing was planned, because the old chunk had ended.
        second_difference: Lengths of the second differences of the executed actions, over one control step; None if all
            episodes are shorter than three steps.
    """

    delay: int
    evaluated: Evaluated
    seam: Distances | None
    second_difference: Distances | None

    @classmethod
    def of(cls, evaluated: Evaluated, *, keep: bool) -> "Delayed":
        """Return what was found at the delay of its settings, with its episodes if they are to be kept."""
        runs, spec = list(evaluated.runs.values()), evaluated.entrant.policy.spec
        seam, bend = (
            Distances.of(vectors, spec.action, spec.statistics.action_std)
            for vectors in (seams(runs), second_differences(runs))
        )
        kept = evaluated if keep else replace(evaluated, runs={})
        return cls(evaluated.settings.delay or 0, kept, seam, bend)

    def record(self) -> JsonObject:
        """Return a JSON object: `prefix`, `pooled`, `per_seed`, `seam` and `second_difference`."""
        parts = {"seam": self.seam, "second_difference": self.second_difference}
        measured = {name: None if part is None else json_object(part) for name, part in parts.items()}
        return {"prefix": self.evaluated.settings.prefix, **self.evaluated.scores.to_dict(), **measured}


def evaluate_delays(
    entrants: Sequence[Entrant],
    task: Task,
    settings: RolloutSettings,
    delays: Sequence[int] | None,
    goals: DemonstrationSet | None,
    contexts: int | Floats | None,
    pool: Workers,
) -> list[list[Delayed]]:
    """Run the episodes of entrants at each delay; return what was found by delay, then by entrant.

    Only the first result keeps its episodes.

    Args:
        entrants: As `evaluate_entrants`, like all others.
        task: Their task.
        settings: Settings of the episodes; their `delay` is replaced.
        delays: Control steps from a question to its answer, different numbers; None: no delay, which reports and
            records do not mention.
        goals: Demonstrations whose last observations are the goals, or None.
        contexts: As `contexts_of_episodes` takes them.
        pool: Runs the episodes.

    Raises:
        ConfigurationError: As `evaluate_entrants`, for any delay, before anything runs.
    """
    all_settings = [settings] if delays is None else [replace(settings, delay=delay) for delay in delays]
    for one in all_settings:
        prepared(entrants, task, one, goals)
    found: list[list[Delayed]] = []
    for one in all_settings:
        row: list[Delayed] = []
        for evaluated in evaluate_entrants(entrants, task, one, goals, contexts, pool):
            row.append(Delayed.of(evaluated, keep=not found and not row))
        found.append(row)
    return found


def tables(found: Sequence[Sequence[Delayed]]) -> list[str]:
    """Return the tables of `vdd evaluate`: of the scores, or of what each delay changes."""
    if found[0][0].evaluated.settings.delay is None:
        alone = [one.evaluated for one in found[0]]
        return [*(text for one in alone for text in one.tables()), *compared_tables(alone)]
    by_entrant = list(zip(*found, strict=True))
    texts = [_table(rows) for rows in by_entrant]
    first, *others = by_entrant
    texts += [_against(first, rows) for rows in others]
    return texts + [text for rows in by_entrant if (text := _without_delay(rows))]


def _table(rows: Sequence[Delayed]) -> str:
    """Return what was found for a policy, one row per delay."""
    titles = ("delay", "prefix", "success", "task entropy", "failures", "time limits", "seam p50", "p95")
    lines = [rows[0].evaluated.tables()[0], _ROW.format(*titles, "bend p50", "p95")]
    for row in rows:
        pooled = row.evaluated.scores.pooled
        score = pooled.score
        lines.append(
            _ROW.format(
                row.delay,
                row.evaluated.settings.prefix,
                with_interval(score.success_rate, score.success_interval),
                with_interval(score.entropy, score.entropy_interval),
                pooled.ends.get(FAILURE, 0),
                pooled.ends.get(TIME_LIMIT, 0),
                *_percentiles(row.seam),
                *_percentiles(row.second_difference),
            )
        )
    unit = next((one.unit for row in rows for one in (row.seam, row.second_difference) if one is not None), "")
    lines += [
        f"  {score.rollouts} rollouts for each delay, which counts control steps; in brackets the 95 % interval",
        f"  seam ({unit}): from what was planned for a step to the next chunk's first action; –: nothing was planned",
        f"  bend ({unit}): second difference of the executed actions",
    ]
    return "\n".join(lines)


def _percentiles(found: Distances | None) -> tuple[str, str]:
    return ("–", "–") if found is None else (significant(found.p50), significant(found.p95))


def _changes(row: Delayed, other: Delayed) -> JsonObject:
    return difference_record(differences(row.evaluated.scores.pooled, other.evaluated.scores.pooled))


def _against(first: Sequence[Delayed], second: Sequence[Delayed]) -> str:
    """Return the differences between two policies, one row per delay."""
    lines = [f"{first[0].evaluated.entrant.name} − {second[0].evaluated.entrant.name}"]
    for row, other in zip(first, second, strict=True):
        found = differences(row.evaluated.scores.pooled, other.evaluated.scores.pooled)
        lines += difference_rows(found, f"delay {row.delay}: ")
    return "\n".join([*lines, pairing(found)])


def _without_delay(rows: Sequence[Delayed]) -> str:
    """Return the differences of each delay to none; empty if either was not measured."""
    base = next((row for row in rows if row.delay == 0), None)
    later = [row for row in rows if row.delay]
    if base is None or not later:
        return ""
    lines = [f"{base.evaluated.entrant.name}: later answers − answers without delay"]
    for row in later:
        found = differences(row.evaluated.scores.pooled, base.evaluated.scores.pooled)
        lines += difference_rows(found, f"delay {row.delay}: ")
    return "\n".join([*lines, pairing(found)])


def delays_record(found: Sequence[Sequence[Delayed]]) -> RolloutRecord:
    """Return the record of `vdd evaluate`: that of the first delay, and what was found at each of them.

    `delays` has an object per delay with `delay`, the keys of `Delayed.record` and, if that was measured,
    `difference_to_no_delay`; with a second policy also `against`, its object of the same keys, and `difference`.
    """
    record = compared_record([one.evaluated for one in found[0]])
    if found[0][0].evaluated.settings.delay is None:
        return record
    base = next((row for row in found if row[0].delay == 0), None)
    listed: list[JsonObject] = []
    for row in found:
        objects = [one.record() for one in row]
        if base is not None and row[0].delay:
            for content, one, still in zip(objects, row, base, strict=True):
                content["difference_to_no_delay"] = _changes(one, still)
        content = {"delay": row[0].delay, **objects[0]}
        for one, other in zip(row[1:], objects[1:], strict=True):
            content |= {"against": other, "difference": _changes(row[0], one)}
        listed.append(content)
    record["delays"] = listed
    return record
