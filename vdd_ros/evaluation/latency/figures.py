"""The figures of a report, as PNGs."""

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.latency import NodeLatency
from vdd_ros.evaluation.latency.agreement_figure import draw_agreement
from vdd_ros.evaluation.latency.repeats import NodeRepeats
from vdd_ros.evaluation.latency.report import BagReport, Report
from vdd_ros.evaluation.latency.summary import JITTER, SENSOR_TO_COMMAND, STAGES, jitter_of, period_of
from vdd_ros.evaluation.plots import (
    PERIOD,
    axis_duration,
    colour,
    distribution,
    draw_period,
    duration,
    log_ticks,
    near,
    time_limits,
)
from vdd_ros.files import replacing
from vdd_ros.text import printable

Floats = NDArray[np.float64]

MISS = "#a00000"
_DPI = 110


@dataclass(frozen=True)
class Drawing:
    """A figure: file name, caption and PNG."""

    name: str
    caption: str
    png: bytes


def draw_figures(report: Report) -> list[Drawing]:
    """Return the figures of a report, as PNGs: all of the first bag, the time course of the others, and the repeats."""
    drawings = []
    with _plotting() as plt:
        for number, bag in enumerate(report.bags, start=1):
            suffix = "" if number == 1 else f"_{number}"
            named = f" in {printable(bag.bag)}" if len(report.bags) > 1 else ""
            caption = (
                f"Inference and whole tick over the record{named}; crosses are missed deadlines, red bands are gaps"
            )
            drawings.append(Drawing(f"course{suffix}", caption, _png(plt, _course(plt, bag))))
            if number == 1:
                drawings += _of_first(plt, bag, named)
        if report.repeats:
            caption = "Medians of every bag, alone and together; a bar is the interval over the bags"
            drawings.append(Drawing("repeats", caption, _png(plt, _repeats(plt, report.repeats))))
    return drawings


def save_figures(folder: Path, drawings: Sequence[Drawing]) -> None:
    """Write each figure into a folder, which is created if necessary."""
    folder.mkdir(parents=True, exist_ok=True)
    for drawing in drawings:
        with replacing(folder / f"{drawing.name}.png") as aside:
            aside.write_bytes(drawing.png)


@contextmanager
def _plotting() -> Iterator[Any]:
    """Return pyplot without a display; names from a bag are never parsed as formulas."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    with matplotlib.rc_context({"text.parse_math": False, "axes.grid": True, "grid.alpha": 0.3, "font.size": 9}):
        yield plt


def _png(plt: Any, figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=_DPI, format="png")
    plt.close(figure)
    return buffer.getvalue()


def _of_first(plt: Any, bag: BagReport, named: str) -> list[Drawing]:
    drawings = [
        Drawing("stages", f"Fraction of ticks whose stage took less{named}", _png(plt, _stages(plt, bag))),
        Drawing(
            "jitter",
            f"How far the time from tick to tick is from a period{named}; dashed: what a thread that only sleeps saw "
            "when the node was configured, 99 %",
            _png(plt, _jitter(plt, bag)),
        ),
    ]
    for number, agreed in enumerate(bag.agreed, start=1):
        found = agreed.agreement
        caption = f"Actions of {printable(found.other)} beside those of {printable(found.student)}{named}"
        drawings.append(Drawing(f"agreement_{number}", caption, _png(plt, draw_agreement(plt, agreed))))
    return drawings


def _times(node: NodeLatency, stage: str) -> Floats:
    """Return the times (n,) of a stage, in seconds."""
    if stage == JITTER:
        return jitter_of(node)
    if stage == SENSOR_TO_COMMAND:
        return np.asarray(node.column("observation_age_s") + node.column("total_s"))
    return node.column(f"{stage}_s")


def _name_nodes(
    figure: Any, axes: Any, nodes: Sequence[NodeLatency], *, period: bool = False, floor: bool = False
) -> None:
    """Add a legend of the nodes' colours below a figure, including nodes without data, and of the lines."""
    lines = [axes.plot([], [], color=colour(index))[0] for index in range(len(nodes))]
    names = [printable(node.node) for node in nodes]
    if period:
        lines.append(axes.plot([], [], color=PERIOD, linestyle="-.")[0])
        names.append("control period, " + " and ".join(map(duration, _periods(nodes))))
    if floor:
        lines.append(axes.plot([], [], color="black", linestyle="--")[0])
        names.append("a thread that only sleeps, 99 %")
    figure.legend(lines, names, loc="outside lower center", ncols=4)


def _periods(nodes: Sequence[NodeLatency]) -> list[float]:
    """Return the periods of some nodes, in seconds, each once."""
    return sorted({period for node in nodes if 0 < (period := period_of(node)) < math.inf})


def _stages(plt: Any, bag: BagReport) -> Any:
    shown = (*STAGES, SENSOR_TO_COMMAND)
    figure, grid = plt.subplots(2, 4, figsize=(11, 5), layout="constrained", sharey=True)
    drawn = False
    for axes, stage in zip(grid.flat, shown, strict=True):
        samples = [_times(node, stage)[bag.latency.warmup :] for node in bag.nodes]
        for index, seconds in enumerate(samples):
            distribution(axes, seconds[seconds > 0], color=colour(index))
        beside = [period_s for period_s in _periods(bag.nodes) if near(period_s, samples)]
        for period_s in beside:
            draw_period(axes, period_s, label=False)
        drawn |= bool(beside)
        axes.set(title=stage.replace("_", " "), xlabel="time", ylim=(0, 1.01))
        if limits := time_limits(samples, beside):
            log_ticks(axes.xaxis, *limits, time=True, most=4)
            axes.tick_params(axis="x", labelsize=8)
    for axes in grid[:, 0]:
        axes.set_ylabel("fraction of ticks below")
    _name_nodes(figure, grid[0, 0], bag.nodes, period=drawn)
    return figure


def _course(plt: Any, bag: BagReport) -> Any:
    count = len(bag.nodes)
    figure, grid = plt.subplots(
        count, figsize=(11, 2.2 * count + 0.6), layout="constrained", sharex=True, squeeze=False
    )
    start = min(float(node.column("stamp_s")[0]) for node in bag.nodes)
    shown: dict[str, Any] = {}
    for axes, node in zip(grid[:, 0], bag.nodes, strict=True):
        at, total, inference = node.column("stamp_s") - start, node.column("total_s"), node.column("inference_s")
        shown["whole tick"] = axes.plot(at, total, "o", markersize=3, markerfacecolor="none", color=colour(0))[0]
        shown["inference"] = axes.plot(at, inference, ".", markersize=2, color=colour(1))[0]
        missed = node.column("deadline_missed") > 0
        if missed.any():
            shown["deadline missed"] = axes.plot(at[missed], total[missed], "x", color=MISS)[0]
        numbers = node.column("seq")
        for before in np.flatnonzero(np.diff(numbers) > 1):
            shown["gap"] = axes.axvspan(at[before], at[before + 1], color=MISS, alpha=0.3)
        periods = _periods([node])
        for period_s in periods:
            shown[f"control period, {duration(period_s)}"] = draw_period(axes, period_s, along="y", label=False)
        axes.set(ylabel="time taken", title=printable(node.node))
        if limits := time_limits([total, inference], periods):
            log_ticks(axes.yaxis, *limits, time=True)
    figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=5)
    grid[-1, 0].set_xlabel("time since the first tick (s)")
    return figure


def _jitter(plt: Any, bag: BagReport) -> Any:
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    samples, floors = [jitter_of(node)[bag.latency.warmup :] for node in bag.nodes], []
    for index, (node, seconds) in enumerate(zip(bag.nodes, samples, strict=True)):
        distribution(axes, seconds[seconds > 0], color=colour(index))
        floor = node.info.get("jitter_floor")
        floor_s = floor.get("p99_s") if isinstance(floor, dict) else None
        if isinstance(floor_s, float) and floor_s > 0 and near(floor_s, samples):
            axes.axvline(floor_s, color=colour(index), linestyle="--")
            floors.append(floor_s)
    axes.set(xlabel="distance from a period", ylabel="fraction of ticks below", ylim=(0, 1.01))
    if limits := time_limits(samples, floors):
        log_ticks(axes.xaxis, *limits, time=True)
    _name_nodes(figure, axes, bag.nodes, floor=bool(floors))
    return figure


def _repeats(plt: Any, repeats: Sequence[NodeRepeats]) -> Any:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    shown = ("inference", "total", SENSOR_TO_COMMAND)
    figure, grid = plt.subplots(
        1, len(shown), figsize=(11, 0.4 * len(repeats) + 1.2), layout="constrained", sharey=True
    )
    for axes, stage in zip(grid, shown, strict=True):
        for row, found in enumerate(repeats):
            value = found.stages[stage]["p50"]
            if value.interval is not None:
                axes.plot(value.interval, [row, row], color=colour(0), linewidth=3, alpha=0.5)
            axes.plot(value.median, row, "o", color=colour(0))
        axes.set(title=f"{stage}, median", xlabel="time", ylim=(len(repeats) - 0.5, -0.5))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: axis_duration(seconds)))
    grid[0].set_yticks(range(len(repeats)), [f"{printable(found.node)} {found.condition}" for found in repeats])
    return figure
