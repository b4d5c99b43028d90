"""The figure of `vdd evaluate --delay-figure`: success, task entropy and seams over the delay."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vdd_ros.evaluation.delays import Delayed
from vdd_ros.evaluation.plots import style
from vdd_ros.files import replacing
from vdd_ros.tasks.entropy import Interval
from vdd_ros.text import printable


def draw_delays(path: Path | None, found: Sequence[Sequence[Delayed]]) -> None:
    """Draw success and task entropy with their 95 % intervals, and the median and 95th percentile of the seams.

    Args:
        path: The PNG to write; None: it was not asked for.
        found: As from `evaluate_delays`.
    """
    if path is None:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (success, entropy, seam) = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    for index, rows in enumerate(zip(*found, strict=True)):
        ordered = sorted(rows, key=lambda row: row.delay)
        _draw(success, entropy, seam, ordered, index)
    success.set(ylabel="success rate", ylim=(-0.03, 1.03))
    entropy.set(ylabel="task entropy", ylim=(-0.03, 1.03))
    units = {row.seam.unit for rows in found for row in rows if row.seam is not None}
    seam.set(ylabel=f"seam ({', '.join(sorted(units))})" if units else "seam: no chunk met a planned action")
    seam.set_ylim(bottom=0)
    for axes in (success, entropy, seam):
        axes.set(xlabel="delay of an answer (control steps)", xticks=sorted({row[0].delay for row in found}))
        axes.grid(alpha=0.3)
    handles, labels = success.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    with replacing(path) as aside:
        figure.savefig(aside, dpi=150, format="png")
    plt.close(figure)


def _draw(success: Any, entropy: Any, seam: Any, rows: Sequence[Delayed], index: int) -> None:
    """Draw a policy's rows into the three axes."""
    delays, first, look = [row.delay for row in rows], rows[0].evaluated, style(index)
    label = f"{printable(first.entrant.name)}, prefix {first.settings.prefix}"
    scores = [row.evaluated.scores.pooled.score for row in rows]
    for axes, values, intervals in (
        (success, [one.success_rate for one in scores], [one.success_interval for one in scores]),
        (entropy, [one.entropy for one in scores], [one.entropy_interval for one in scores]),
    ):
        axes.errorbar(delays, values, yerr=_bars(values, intervals), capsize=3, label=label, **look)
    for part, line in (("p50", "-"), ("p95", ":")):
        values = [np.nan if row.seam is None else getattr(row.seam, part) for row in rows]
        seam.plot(delays, values, linestyle=line, label=part if not index else None, **look)
    seam.legend()


def _bars(values: Sequence[float], intervals: Sequence[Interval]) -> list[list[float]]:
    below = [max(value - low, 0.0) for value, (low, _) in zip(values, intervals, strict=True)]
    return [below, [max(high - value, 0.0) for value, (_, high) in zip(values, intervals, strict=True)]]
