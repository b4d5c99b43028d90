"""The figure of `vdd benchmark data`: messages a second, and memory."""

from pathlib import Path
from typing import Any

from vdd_ros.benchmark.data.loops import CONVERSION
from vdd_ros.benchmark.data.suite import DataRecord
from vdd_ros.evaluation.plots import colour, log_ticks
from vdd_ros.files import replacing

MOST_BYTES = 300e6
"""The goal for the memory of a conversion."""


def save_figure(path: Path, found: DataRecord) -> None:
    """Draw the rate and the memory of each way as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = [(one.loop, one.rate, one.peak_bytes) for one in found["readings"]]
    if (forge := found["forge"]) is not None:
        rows.append((f"forge-robotics {forge.version}", forge.rate, forge.peak_bytes))
    names, rates, peaks = zip(*rows[::-1], strict=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    colours = [colour(int(name == CONVERSION)) for name in names]
    _bars(left, names, [rate / 1e3 for rate in rates], colours, "thousand messages a second")
    _bars(right, names, [peak / 1e6 for peak in peaks], colours, "greatest memory (MB)")
    right.axvline(MOST_BYTES / 1e6, color="0.5", linestyle=":")
    smaller = found["smaller_peak_bytes"] / 1e6
    right.plot(smaller, names.index(CONVERSION), "k|", markersize=14, label=f"{found['smaller_messages']:,} messages")
    log_ticks(right.xaxis, 10, 3 * max(max(peaks) / 1e6, MOST_BYTES / 1e6))
    right.legend(loc="upper right")
    figure.suptitle(f"A bag of {found['messages']:,} messages, {found['bag_bytes'] / 1e6:.0f} MB")
    with replacing(path) as aside:
        figure.savefig(aside, format="png", dpi=120)
    plt.close(figure)


def _bars(axes: Any, names: tuple[str, ...], values: list[float], colours: list[str], label: str) -> None:
    bars = axes.barh(names, values, color=colours)
    axes.bar_label(bars, fmt="%.0f", padding=3)
    axes.set_xlabel(label)
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
