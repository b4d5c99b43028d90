"""The comparison of VDD's updates over tasks: how experts learn, from which actions the gating does, and weights."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from vdd_ros.benchmark.methods.matrix import ABLATED, SOURCES, UPDATES
from vdd_ros.benchmark.methods.paper_rows import Row, paper_rows
from vdd_ros.benchmark.methods.results import Record
from vdd_ros.benchmark.methods.summary import Measure, group
from vdd_ros.text import counted


@dataclass(frozen=True)
class UpdateRow:
    """A task, or a milestone of it, on which every update was measured.

    Attributes:
        label: Its name.
        found: Success and entropy by update, a name in `UPDATES`.
        teacher: Those of the teacher; None if they were not measured.
    """

    label: str
    found: dict[str, Measure]
    teacher: Measure | None


def update_rows(records: Iterable[Record]) -> list[UpdateRow]:
    """Return the tasks and milestones on which all updates were measured, in the order of the summary."""
    records = list(records)
    found = [_row(records, row) for row in paper_rows(records)]
    return [row for row in found if len(row.found) == len(UPDATES)]


def _row(records: list[Record], row: Row) -> UpdateRow:
    groups = group(records, row.task, row.backbone, row.style)
    measured = {name: one for name in UPDATES if (one := groups.get((ABLATED, name))) is not None}
    fits = {name: one for name, one in measured.items() if row.milestone is None or row.milestone in one.milestones}
    teacher = row.found.get(SOURCES[ABLATED].teacher or "")
    return UpdateRow(
        f"{row.label}, {row.backbone.upper()}",
        {name: one.measure(row.milestone) for name, one in fits.items()},
        None if teacher is None else teacher.measure(row.milestone),
    )


def updates_summary(rows: Iterable[UpdateRow]) -> list[list[str]]:
    """Return the cells of the comparison, heads first: success and entropy by task, and their means over tasks."""
    rows = list(rows)
    heads = ["update", "gating learns from", "uniform weight", *(row.label for row in rows), "mean", "seeds"]
    cells = [heads]
    for name, settings in UPDATES.items():
        measures = [row.found[name] for row in rows]
        seeds = sorted({len(one.outcomes) for one in measures})
        cells.append(
            [
                settings["update"],
                settings["gating_on"],
                f"{settings['uniform_weight']:g}",
                *map(_cell, measures),
                _mean(measures),
                " or ".join(map(str, seeds)),
            ]
        )
    if rows and all(row.teacher is not None for row in rows):
        teachers = [row.teacher for row in rows if row.teacher is not None]
        cells.append(["*teacher*", "", "", *map(_cell, teachers), _mean(teachers), "1"])
    return cells if rows else [heads]


def describe(rows: Iterable[UpdateRow]) -> str:
    """Return a sentence for above the table."""
    return (
        f"Success / task entropy of VDD from BESO by update, on {counted(len(list(rows)), 'row')} of the summary; "
        "*uniform weight* is the uniform share of the experts' weights in their loss."
    )


def _cell(measure: Measure) -> str:
    return f"{measure.success.mean:.3f} / {measure.entropy.mean:.3f}"


def _mean(measures: list[Measure]) -> str:
    success = statistics.mean(one.success.mean for one in measures)
    return f"{success:.3f} / {statistics.mean(one.entropy.mean for one in measures):.3f}"
