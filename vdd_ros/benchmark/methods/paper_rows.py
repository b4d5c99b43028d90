"""The summary of a benchmark: one row for each task, milestone, style and backbone, as in the paper's table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from vdd_ros.benchmark.methods.data_names import place, title
from vdd_ros.benchmark.methods.matrix import METHODS
from vdd_ros.benchmark.methods.results import Record
from vdd_ros.benchmark.methods.summary import Group, group, published_figures
from vdd_ros.tasks import get_task, task_names
from vdd_ros.tasks.task import Published

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Row:
    """A row of the summary.

    Attributes:
        task, style, backbone: Those of its trials.
        milestone: Name of the milestone; None for the task as a whole.
        found: Its trials by method.
        published: Published figures by method.
    """

    task: str
    style: str | None
    backbone: str
    milestone: str | None
    found: Mapping[str, Group]
    published: Mapping[str, Published]

    @property
    def label(self) -> str:
        """Its name for tables and figures, without the backbone."""
        whole = title(self.task, self.style)
        if self.milestone is None:
            return whole
        known = get_task(self.task).milestones if self.task in task_names() else ()
        row = next((one.row for one in known if one.name == self.milestone), "")
        return (title(row, self.style)) if row else f"{whole}: {self.milestone}"

    @property
    def is_return(self) -> bool:
        """Whether its published figures are mean returns, so that ours stand beside them."""
        return any(one.measure == "return" for one in self.published.values())

    @property
    def trained_s(self) -> float | None:
        """Time in which its models were trained, one after another, each once, s; None if one was not timed."""
        trials = [trial for one in self.found.values() for trial in one.trials]
        teachers = {trial["teacher"]: trial["train_s"] for trial in trials if trial["teacher"] is not None}
        own = [trial for trial in trials if METHODS[trial["method"]].steps is None]
        others = [trial["train_s"] if trial["teacher"] is None else trial["distil_s"] for trial in own]
        times = [*teachers.values(), *others]
        return None if None in times else sum(time for time in times if time is not None)

    def cell(self, method: str) -> str:
        """Return success, or return, and entropy of a method; a dash if it was not measured."""
        if (one := self.found.get(method)) is None:
            return "–"
        measure = one.measure(self.milestone)
        returns = one.mean("returns") if self.is_return else None
        rate = measure.success.mean if returns is None else returns
        return f"{rate:.3f} / {measure.entropy.mean:.3f}"


def paper_rows(records: Iterable[Record]) -> list[Row]:
    """Return the rows of trials: the paper's tasks first, in its order, each with its milestones below it."""
    records = list(records)
    rows = []
    for task, style, backbone in sections(records):
        groups = group(records, task, backbone, style)
        whole = {method: one for (method, variant), one in groups.items() if variant is None}
        names = dict.fromkeys(name for one in whole.values() for name in one.milestones)
        for milestone in (None, *names):
            found = {method: one for method, one in whole.items() if milestone is None or milestone in one.milestones}
            rows.append(Row(task, style, backbone, milestone, found, published_figures(task, milestone)))
    order = {name: number for number, name in enumerate(dict.fromkeys(row.milestone for row in rows))}
    return sorted(
        (row for row in rows if row.found),
        key=lambda row: (place(row.task), order[row.milestone], row.style or "", row.backbone),
    )


def sections(records: Iterable[Record]) -> list[tuple[str, str | None, str]]:
    """Return task, style and backbone of some trials, each combination once: the paper's tasks first, in its order."""
    found = {(record["task"], record.get("style"), record["backbone"]) for record in records}
    return sorted(found, key=lambda part: (place(part[0]), part[1] or "", part[2]))


def shown_methods(rows: Iterable[Row]) -> list[str]:
    """Return the methods with published figures for some row, in the order of tables; all if there are none."""
    rows = list(rows)
    measured = {method for row in rows for method in row.found}
    published = {method for row in rows for method in row.published} & measured
    return [method for method in METHODS if method in (published or measured)]


def summary_table(rows: Iterable[Row]) -> list[list[str]]:
    """Return the cells of the summary, heads first: success and entropy of methods, and published figures below.

    The last column is `Row.trained_s` in hours.
    """
    rows = list(rows)
    methods, notes = shown_methods(rows), footnotes(rows)
    cells = [["row", "backbone", *(METHODS[method].label for method in methods), "training, h"]]
    for _, part in groupby(rows, key=lambda row: (row.task, row.milestone)):
        same = list(part)
        cells += [[row.label, row.backbone.upper(), *map(row.cell, methods), _hours(row)] for row in same]
        if published := same[0].published:
            unit, mark = ", return" if same[0].is_return else "", notes.get(same[0].task, ("",))[0]
            figures = (str(published.get(method, "–")) for method in methods)
            cells.append([f"*published{unit}*{mark}", "", *figures, ""])
    return cells


def _hours(row: Row) -> str:
    """Return the hours of training; none for milestones, whose models are those of the task."""
    if row.milestone is not None:
        return ""
    return "–" if row.trained_s is None else f"{row.trained_s / 3600:.1f}"


def footnotes(rows: Iterable[Row]) -> dict[str, tuple[str, str]]:
    """Return a mark and a sentence for each task whose published figures have another setting than ours."""
    tasks = dict.fromkeys(row.task for row in rows)
    notes = {task: get_task(task).published_note for task in tasks if task in task_names()}
    found = [(task, f"{title(task)}: {note}.") for task, note in notes.items() if note]
    return {task: (_mark(number), text) for number, (task, text) in enumerate(found, start=1)}


def _mark(number: int) -> str:
    return str(number).translate(SUPERSCRIPTS)
