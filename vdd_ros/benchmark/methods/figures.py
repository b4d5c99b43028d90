"""The figures of a benchmark, each of the trials of one task and backbone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdd_ros.benchmark.methods.matrix import ABLATED, METHODS, UPDATES
from vdd_ros.benchmark.methods.paper_rows import Row, shown_methods
from vdd_ros.benchmark.methods.summary import Group, Groups, Measure, SeedMean
from vdd_ros.benchmark.methods.tables import is_diffusion, teacher_of, whole
from vdd_ros.benchmark.methods.updates import UpdateRow
from vdd_ros.evaluation.plots import PERIOD, colour, log_ticks, style
from vdd_ros.files import replacing

BESIDE = 1.06
"""Factor on the axis from one policy to the next one beside it."""
MEASURES = ("success", "entropy")
ROW_HEIGHT = 0.8
"""Share of a row of the summary within which its methods lie, one below the other."""
PUBLISHED = "published"
SUMMARY_FIGURE = "benchmark_summary.png"
UPDATES_FIGURE = "benchmark_updates.png"
TITLES = {"success": "success rate", "entropy": "task entropy"}
FACTORS = {
    None: "learned gating,\na range of levels",
    "gating-uniform": "uniform gating",
    "noise-fixed": "one noise level",
}


@dataclass(frozen=True)
class Drawing:
    """A figure.

    Attributes:
        name: Its part of the file's name.
        applies: Whether some groups have data for it.
        panels: Number of panels.
        paint: Draws groups into a list of `panels` axes.
    """

    name: str
    applies: Callable[[Groups], bool]
    panels: int
    paint: Callable[[Groups, list[Any]], None]

    def file(self, task: str, backbone: str) -> str:
        """Return the name of its file."""
        return f"benchmark_{task}_{backbone}_{self.name}.png"


def draw(groups: Groups, folder: Path, task: str, backbone: str, heading: str) -> None:
    """Draw every figure that applies to some groups into a folder, as PNG.

    Args:
        groups: The groups.
        folder: The folder.
        task: Name of task and style in file names.
        backbone: Backbone of the groups.
        heading: Title of each figure.
    """
    plt = _pyplot()
    for drawing in DRAWINGS:
        if not drawing.applies(groups):
            continue
        size = (5.0 * drawing.panels + 2.5 * (drawing.panels == 1), 4.5)
        figure, axes = plt.subplots(1, drawing.panels, figsize=size, squeeze=False, layout="constrained")
        drawing.paint(groups, list(axes[0]))
        figure.suptitle(heading)
        with replacing(folder / drawing.file(task, backbone)) as aside:
            figure.savefig(aside, dpi=150, format="png")
        plt.close(figure)


def draw_summary(rows: list[Row], folder: Path) -> None:
    """Draw success and entropy of every method by row of the summary into a folder, as PNG; nothing without rows."""
    if not rows:
        return
    plt, methods = _pyplot(), shown_methods(rows)
    size = (13.0, 2.0 + 0.22 * len(rows) * max(len(methods), 3) ** 0.75)
    figure, axes = plt.subplots(1, 2, figsize=size, sharey=True, squeeze=False, layout="constrained")
    _rows(rows, methods, list(axes[0]))
    with replacing(folder / SUMMARY_FIGURE) as aside:
        figure.savefig(aside, dpi=150, format="png")
    plt.close(figure)


def draw_updates(rows: list[UpdateRow], folder: Path) -> None:
    """Draw success and entropy of each update by task into a folder, as PNG; nothing without rows."""
    if not rows:
        return
    plt, names = _pyplot(), list(UPDATES)
    figure, axes = plt.subplots(1, 2, figsize=(11.0, 4.5), sharey=True, layout="constrained")
    for panel, measure in zip(axes, MEASURES, strict=True):
        for number, row in enumerate(rows):
            figures = [_measure(row.found[name], measure) for name in names]
            heights = [place + 0.5 * ((number + 0.5) / len(rows) - 0.5) for place in range(len(names))]
            errors = list(zip(*map(_bars_pair, figures), strict=True))
            look = {**style(number), "linestyle": "none", "markersize": 4.5, "elinewidth": 0.8}
            panel.errorbar([one.mean for one in figures], heights, xerr=errors, **look, label=row.label)
        panel.set(xlabel=f"{TITLES[measure]}, 95 % interval", ylim=(len(names) - 0.5, -0.5))
        panel.grid(alpha=0.3)
    axes[0].set_yticks(range(len(names)), names)
    _legend_beside(list(axes))
    with replacing(folder / UPDATES_FIGURE) as aside:
        figure.savefig(aside, dpi=150, format="png")
    plt.close(figure)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _rows(rows: list[Row], methods: list[str], axes: list[Any]) -> None:
    """Success and entropy by row, every method a marker, at heights of its own within each row."""
    for panel, measure in zip(axes, MEASURES, strict=True):
        for number, method in enumerate(methods):
            found = [(place + _below(number, methods), row) for place, row in enumerate(rows) if method in row.found]
            figures = [_measure(row.found[method].measure(row.milestone), measure) for _, row in found]
            errors = list(zip(*map(_bars_pair, figures), strict=True))
            heights, means = [height for height, _ in found], [one.mean for one in figures]
            look = {**style(number), "linestyle": "none", "markersize": 4.5, "elinewidth": 0.8}
            panel.errorbar(means, heights, xerr=errors, **look, label=METHODS[method].label)
        for edge in range(len(rows) - 1):
            panel.axhline(edge + 0.5, color=PERIOD, linewidth=0.5)
        panel.set(xlabel=f"{TITLES[measure]}, 95 % interval", ylim=(len(rows) - 0.5, -0.5))
        panel.set_xlim(-0.02, max(1.02, panel.get_xlim()[1]))
        panel.grid(alpha=0.3, axis="x")
    _published_rows(rows, methods, axes[0])
    axes[0].set_yticks(range(len(rows)), [f"{row.label}, {row.backbone.upper()}" for row in rows])
    _legend_beside(axes)


def _published_rows(rows: list[Row], methods: list[str], panel: Any) -> None:
    """Published success rates, as rings around the places of their methods."""
    found = [
        (row.published[method].success, place + _below(number, methods))
        for place, row in enumerate(rows)
        for number, method in enumerate(methods)
        if method in row.found and method in row.published and not row.is_return
    ]
    if found:
        look = {"linestyle": "none", "marker": "o", "markersize": 8, "markerfacecolor": "none", "color": PERIOD}
        panel.plot(*zip(*found, strict=True), **look, label=PUBLISHED)


def _below(number: int, methods: list[str]) -> float:
    """Return how far a method lies below the middle of a row."""
    return ROW_HEIGHT * ((number + 0.5) / len(methods) - 0.5)


def _scatter(groups: Groups, axes: list[Any]) -> None:
    """Success against entropy, every method a point."""
    (panel,) = axes
    for number, found in enumerate(whole(groups)):
        bars = {"xerr": _bars(found.entropy), "yerr": _bars(found.success)}
        point = (found.entropy.mean, found.success.mean)
        panel.errorbar(*point, **bars, **style(number), linestyle="none", elinewidth=0.8, label=found.label)
    panel.set(xlabel=f"{TITLES['entropy']}, 95 % interval", ylabel=f"{TITLES['success']}, 95 % interval")
    panel.grid(alpha=0.3)
    panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")


def _times(groups: Groups, axes: list[Any]) -> None:
    """Inference time against steps, a line for each teacher, a point for each student."""
    from matplotlib.ticker import NullLocator

    (panel,) = axes
    timed = [found for found in whole(groups) if found.mean("inference_s_p50")]
    teachers = sorted({found["teacher"] for found in timed if is_diffusion(found)})
    for number, teacher in enumerate(teachers):
        line = sorted((f["steps"], _seconds(f)) for f in timed if is_diffusion(f) and f["teacher"] == teacher)
        panel.plot(*zip(*line, strict=True), **style(number), label=teacher.upper())
    students = [found for found in timed if not is_diffusion(found)]
    for number, found in enumerate(students, start=len(teachers)):
        # Side by side, since all take the same single step in about the same time.
        beside = found["steps"] * BESIDE ** (number - len(teachers) + 1)
        panel.plot(beside, _seconds(found), **style(number), linestyle="none", label=found.label)
    steps = sorted({found["steps"] for found in timed})
    panel.set(xscale="log", xlabel="steps (one-step policies side by side)", ylabel="inference, median")
    log_ticks(panel.yaxis, min(map(_seconds, timed)), max(map(_seconds, timed)), time=True)
    panel.set_xticks(steps, [str(number) for number in steps])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.grid(alpha=0.3)
    panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")


def _experts(groups: Groups, axes: list[Any]) -> None:
    """Success and entropy against the number of experts."""
    found = sorted(_by_experts(groups), key=lambda one: one["experts"])
    for panel, measure in zip(axes, MEASURES, strict=True):
        values = [_measure(one, measure) for one in found]
        experts = [one["experts"] for one in found]
        errors = list(zip(*map(_bars_pair, values), strict=True))
        panel.errorbar(
            experts, [value.mean for value in values], errors, marker="o", color=colour(0), label=METHODS[ABLATED].label
        )
        _teacher_line(panel, groups, measure)
        panel.set(xscale="log", xlabel="experts", ylabel=f"{TITLES[measure]}, 95 % interval")
        panel.set_xticks(experts, [str(number) for number in experts], minor=False)
        panel.set_xticks([], minor=True)
        panel.grid(alpha=0.3)
    _legend_below(axes)


def _factors(groups: Groups, axes: list[Any]) -> None:
    """Success and entropy with a uniform gating and with one noise level."""
    found = {name: groups[ABLATED, variant] for variant, name in FACTORS.items() if (ABLATED, variant) in groups}
    for panel, measure in zip(axes, MEASURES, strict=True):
        values = [_measure(one, measure) for one in found.values()]
        errors = list(zip(*map(_bars_pair, values), strict=True))
        panel.bar(list(found), [value.mean for value in values], yerr=errors, capsize=4, color=colour(0))
        _teacher_line(panel, groups, measure)
        panel.set(ylabel=f"{TITLES[measure]}, 95 % interval", ylim=(0, 1.05))
        panel.grid(alpha=0.3, axis="y")
    _legend_below(axes)


def _are_timed(groups: Groups) -> bool:
    """Tell whether there are times to draw, and a table of them, which needs a diffusion policy."""
    found = whole(groups)
    return any(map(is_diffusion, found)) and any(one.mean("inference_s_p50") for one in found)


FIGURES: dict[str, list[Drawing]] = {
    "Success and diversity": [Drawing("methods", lambda groups: len(whole(groups)) > 1, 1, _scatter)],
    "Inference time against steps": [Drawing("times", _are_timed, 1, _times)],
    "Ablations": [
        Drawing("experts", lambda groups: len(_by_experts(groups)) > 1, 2, _experts),
        Drawing("factors", lambda groups: any((ABLATED, name) in groups for name in FACTORS if name), 2, _factors),
    ],
}
"""Figures by the title of the table above them."""

DRAWINGS = [drawing for drawings in FIGURES.values() for drawing in drawings]


def _by_experts(groups: Groups) -> list[Group]:
    names = [(method, variant) for method, variant in groups if method == ABLATED]
    return [groups[name] for name in names if name[1] is None or name[1].startswith("experts-")]


def _teacher_line(panel: Any, groups: Groups, measure: str) -> None:
    if teacher := teacher_of(groups):
        panel.axhline(_measure(teacher, measure).mean, color=colour(1), linestyle="--", label=teacher.label)


def _legend_below(axes: list[Any]) -> None:
    """Add one legend for all panels, below them."""
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:
        axes[0].figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))


def _legend_beside(axes: list[Any]) -> None:
    """Add one legend for all panels, on the right; methods first, in their order."""
    handles, labels = axes[0].get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda number: labels[number] == PUBLISHED)
    given = ([handles[number] for number in order], [labels[number] for number in order])
    axes[-1].legend(*given, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")


def _measure(found: Group | Measure, measure: str) -> SeedMean:
    figure: SeedMean = getattr(found, measure)
    return figure


def _seconds(found: Group) -> float:
    return found.mean("inference_s_p50") or 0.0


def _bars_pair(figure: SeedMean) -> tuple[float, float]:
    return max(figure.mean - figure.interval[0], 0.0), max(figure.interval[1] - figure.mean, 0.0)


def _bars(figure: SeedMean) -> list[list[float]]:
    return [[side] for side in _bars_pair(figure)]
