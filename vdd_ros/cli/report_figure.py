"""The figure of a latency bag: how the inference and the whole tick of each node are distributed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vdd_ros.cli.report import LatencyReport
from vdd_ros.data.latency_bag import NodeLatency
from vdd_ros.files import replacing


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
        figure = _draw(plt, latencies, report)
        with replacing(path) as aside:
            figure.savefig(aside, dpi=150, format="png")
        plt.close(figure)


def _draw(plt: Any, latencies: Sequence[NodeLatency], report: LatencyReport) -> Any:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for index, (latency, node) in enumerate(zip(latencies, report.nodes, strict=True)):
        for label, style in (("inference", "-"), ("total", "--")):
            seconds = latency.column(f"{label}_s")[report.warmup :]
            micros = np.sort(seconds[np.isfinite(seconds)]) * 1e6
            fraction = np.arange(1, len(micros) + 1) / len(micros)
            what = "whole tick" if label == "total" else label
            median = node.stages[label].p50 * 1e6
            name = f"{node.node.lstrip('/')}: {what}, median {median:.3g} µs"
            axes.step(micros, fraction, style, where="post", color=f"C{index}", label=name)
    axes.set(xscale="log", xlabel="time (µs)", ylabel="fraction of ticks below", ylim=(0, 1.01), title=_title(report))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda micros, _: f"{micros:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _title(report: LatencyReport) -> str:
    found = report.comparison
    factor = f"Inference in {found.steps} passes takes {found.ratio:.1f} times as long as in one\n" if found else ""
    ticks = " and ".join(f"{node.ticks}" for node in report.nodes)
    machines = {str(m.get("cpu")) for node in report.nodes if isinstance(m := node.info.get("machine"), dict)}
    return f"{factor}{ticks} ticks on {', '.join(sorted(machines)) or 'a machine that was not recorded'}"
