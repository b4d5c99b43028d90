"""The figures of a report, as PNGs."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.cli.latency_report.agreement_figure import draw_agreement
from vdd_ros.cli.latency_report.build import BagReport, Report
from vdd_ros.cli.latency_report.repeats import NodeRepeats
from vdd_ros.cli.report import JITTER, SENSOR_TO_COMMAND, STAGES, jitter_of
from vdd_ros.data.latency_bag import NodeLatency
from vdd_ros.files import replacing

Floats = NDArray[np.float64]

MISS = "tab:red"
_DPI = 110


@dataclass(frozen=True)
class Drawing:
    """A figure: the name of its file, what it shows, and the PNG."""

    name: str
    caption: str
    png: bytes


def draw_figures(report: Report) -> list[Drawing]:
    """Draw the first bag in full, the course of every other one, and the repeats."""
    drawings = []
    with _plotting() as plt:
        for number, bag in enumerate(report.bags, start=1):
            suffix = "" if number == 1 else f"_{number}"
            named = f" in {bag.bag}" if len(report.bags) > 1 else ""
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
    """Write each figure into a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for drawing in drawings:
        with replacing(folder / f"{drawing.name}.png") as aside:
            aside.write_bytes(drawing.png)


@contextmanager
def _plotting() -> Iterator[Any]:
    """Give pyplot without a screen; names out of a bag are never read as formulas."""
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
        caption = f"Actions of {found.other} beside those of {found.student}{named}"
        drawings.append(Drawing(f"agreement_{number}", caption, _png(plt, draw_agreement(plt, agreed))))
    return drawings


def _times(node: NodeLatency, stage: str) -> Floats:
    """Return the times (n,) of a stage, in seconds."""
    if stage == JITTER:
        return jitter_of(node)
    if stage == SENSOR_TO_COMMAND:
        return np.asarray(node.column("observation_age_s") + node.column("total_s"))
    return node.column(f"{stage}_s")


def _step(axes: Any, seconds: Floats, **style: Any) -> None:
    """Draw the distribution function of times, in microseconds."""
    micros = np.sort(seconds[np.isfinite(seconds) & (seconds > 0)]) * 1e6
    if len(micros):
        axes.step(micros, np.arange(1, len(micros) + 1) / len(micros), where="post", **style)


def _name_nodes(figure: Any, axes: Any, nodes: Sequence[NodeLatency]) -> None:
    """Say below a figure which colour is which node, also where nothing of it could be drawn."""
    lines = [axes.plot([], [], color=f"C{index}")[0] for index in range(len(nodes))]
    figure.legend(lines, [node.node for node in nodes], loc="outside lower center", ncols=4)


def _plain_ticks(axis: Any) -> None:
    """Write 0.1, 1, 10 at a logarithmic axis, which otherwise writes formulas."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _stages(plt: Any, bag: BagReport) -> Any:
    shown = (*STAGES, SENSOR_TO_COMMAND)
    figure, grid = plt.subplots(2, 4, figsize=(11, 5), layout="constrained", sharey=True)
    for axes, stage in zip(grid.flat, shown, strict=True):
        for index, node in enumerate(bag.nodes):
            _step(axes, _times(node, stage)[bag.latency.warmup :], color=f"C{index}")
        axes.set(xscale="log", title=stage, xlabel="µs", ylim=(0, 1.01))
        _plain_ticks(axes.xaxis)
    _name_nodes(figure, grid[0, 0], bag.nodes)
    return figure


def _course(plt: Any, bag: BagReport) -> Any:
    count = len(bag.nodes)
    figure, grid = plt.subplots(
        count, figsize=(11, 2.2 * count + 0.6), layout="constrained", sharex=True, squeeze=False
    )
    start = min(float(node.column("stamp_s")[0]) for node in bag.nodes)
    for axes, node in zip(grid[:, 0], bag.nodes, strict=True):
        at, total = node.column("stamp_s") - start, node.column("total_s") * 1e3
        axes.plot(at, total, ".", markersize=2, color="C0", label="whole tick")
        axes.plot(at, node.column("inference_s") * 1e3, ".", markersize=2, color="C1", label="inference")
        missed = node.column("deadline_missed") > 0
        axes.plot(at[missed], total[missed], "x", color=MISS, label="deadline missed")
        numbers = node.column("seq")
        for before in np.flatnonzero(np.diff(numbers) > 1):
            axes.axvspan(at[before], at[before + 1], color=MISS, alpha=0.3)
        axes.set(yscale="log", ylabel="ms", title=node.node)
        _plain_ticks(axes.yaxis)
    grid[0, 0].legend(loc="upper right", ncols=3)
    grid[-1, 0].set_xlabel("time (s)")
    return figure


def _jitter(plt: Any, bag: BagReport) -> Any:
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for index, node in enumerate(bag.nodes):
        _step(axes, jitter_of(node)[bag.latency.warmup :], color=f"C{index}")
        floor = node.info.get("jitter_floor")
        floor_s = floor.get("p99_s") if isinstance(floor, dict) else None
        if isinstance(floor_s, float) and floor_s > 0:
            axes.axvline(floor_s * 1e6, color=f"C{index}", linestyle="--")
    axes.set(xscale="log", xlabel="distance from a period (µs)", ylabel="fraction of ticks below", ylim=(0, 1.01))
    _plain_ticks(axes.xaxis)
    _name_nodes(figure, axes, bag.nodes)
    return figure


def _repeats(plt: Any, repeats: Sequence[NodeRepeats]) -> Any:
    shown = ("inference", "total", SENSOR_TO_COMMAND)
    figure, grid = plt.subplots(
        1, len(shown), figsize=(11, 0.4 * len(repeats) + 1.2), layout="constrained", sharey=True
    )
    for axes, stage in zip(grid, shown, strict=True):
        for row, found in enumerate(repeats):
            value = found.stages[stage]["p50"]
            if value.interval is not None:
                axes.plot(np.array(value.interval) * 1e6, [row, row], color="C0", linewidth=3, alpha=0.5)
            axes.plot(value.median * 1e6, row, "o", color="C0")
        axes.set(title=f"{stage}, median", xlabel="µs", ylim=(len(repeats) - 0.5, -0.5))
    grid[0].set_yticks(range(len(repeats)), [f"{found.node} {found.condition}" for found in repeats])
    return figure
