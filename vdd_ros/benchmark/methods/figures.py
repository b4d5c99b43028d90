"""The figures of a benchmark, each of the trials of one task and backbone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdd_ros.benchmark.methods.matrix import ABLATED, METHODS
from vdd_ros.benchmark.methods.summary import Group, Groups, SeedMean
from vdd_ros.benchmark.methods.tables import is_diffusion, teacher_of, whole
from vdd_ros.evaluation.plots import colour, log_ticks, style
from vdd_ros.files import replacing

BESIDE = 1.06
"""Factor on the axis from one policy to the next one beside it."""
MEASURES = ("success", "entropy")
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


def draw(groups: Groups, folder: Path, task: str, backbone: str) -> None:
    """Draw every figure that applies to some groups into a folder, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    for drawing in DRAWINGS:
        if not drawing.applies(groups):
            continue
        size = (5.0 * drawing.panels + 2.5 * (drawing.panels == 1), 4.5)
        figure, axes = plt.subplots(1, drawing.panels, figsize=size, squeeze=False, layout="constrained")
        drawing.paint(groups, list(axes[0]))
        figure.suptitle(f"{task.capitalize()}, {backbone.upper()} backbone")
        with replacing(folder / drawing.file(task, backbone)) as aside:
            figure.savefig(aside, dpi=150, format="png")
        plt.close(figure)


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


FIGURES: dict[str, list[Drawing]] = {
    "Success and diversity": [Drawing("methods", lambda groups: len(whole(groups)) > 1, 1, _scatter)],
    "Inference time against steps": [
        Drawing("times", lambda groups: any(one.mean("inference_s_p50") for one in whole(groups)), 1, _times)
    ],
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


def _measure(found: Group, measure: str) -> SeedMean:
    figure: SeedMean = getattr(found, measure)
    return figure


def _seconds(found: Group) -> float:
    return found.mean("inference_s_p50") or 0.0


def _bars_pair(figure: SeedMean) -> tuple[float, float]:
    return max(figure.mean - figure.interval[0], 0.0), max(figure.interval[1] - figure.mean, 0.0)


def _bars(figure: SeedMean) -> list[list[float]]:
    return [[side] for side in _bars_pair(figure)]
