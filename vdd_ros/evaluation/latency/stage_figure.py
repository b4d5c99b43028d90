"""The figure of a latency bag: distributions of each node's inference and whole tick."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vdd_ros.bags.latency import NodeLatency
from vdd_ros.evaluation.latency.summary import LatencyReport, period_of
from vdd_ros.evaluation.plots import colour, distribution, draw_period, duration, log_ticks, time_limits
from vdd_ros.files import replacing
from vdd_ros.text import printable


def save_figure(path: Path, latencies: Sequence[NodeLatency], report: LatencyReport) -> None:
    """Draw the distribution functions of each node's inference (solid) and whole tick (dashed) into a PNG.

    Args:
        path: File to write.
        latencies: The nodes.
        report: Their report, with the nodes in the same order.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    with matplotlib.rc_context({"text.parse_math": False}):
        figure = draw(plt, latencies, report)
        with replacing(path) as aside:
            figure.savefig(aside, dpi=150, format="png")
        plt.close(figure)


def draw(plt: Any, latencies: Sequence[NodeLatency], report: LatencyReport) -> Any:
    """Return the figure; the arguments are those of `save_figure`."""
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    periods = {period for latency in latencies if 0 < (period := period_of(latency)) < math.inf}
    samples = []
    for index, (latency, node) in enumerate(zip(latencies, report.nodes, strict=True)):
        for label, line in (("inference", "-"), ("total", "--")):
            seconds = latency.column(f"{label}_s")[report.warmup :]
            samples.append(seconds)
            what = "whole tick" if label == "total" else label
            name = f"{printable(node.node.lstrip('/'))}: {what}, median {duration(node.stages[label].p50)}"
            distribution(axes, seconds, linestyle=line, color=colour(index), label=name)
    for period_s in sorted(periods):
        draw_period(axes, period_s)
    if limits := time_limits(samples, sorted(periods)):
        log_ticks(axes.xaxis, *limits, time=True)
    axes.set(xlabel="time", ylabel="fraction of ticks below", ylim=(0, 1.01), title=_title(report))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _title(report: LatencyReport) -> str:
    found = report.comparison
    factor = f"Inference in {found.steps} passes takes {found.ratio:.1f} times as long as in one\n" if found else ""
    ticks = " and ".join(f"{node.ticks}" for node in report.nodes)
    machines = {printable(m.get("cpu")) for node in report.nodes if isinstance(m := node.info.get("machine"), dict)}
    return f"{factor}{ticks} ticks on {', '.join(sorted(machines)) or 'a machine that was not recorded'}"
