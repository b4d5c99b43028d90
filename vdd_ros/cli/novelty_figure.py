"""The figure of `vdd novelty`: what known and new observations score, and how far is far enough to be noticed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vdd_ros.cli.novelty_probes import Floats, Found
from vdd_ros.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KNOWN, NEW = "#3b6ea8", "#c8452f"
SHARES = (5, 25, 50, 75, 95)


def save_figure(path: Path, found: Sequence[Found], novelties: Sequence[Floats], bound: float, name: str) -> None:
    """Draw a box a probe (5, 25, 50, 75, 95 %) with its share outside, and the detection of displacements, into a PNG.

    Args:
        path: File to write.
        found: What was found about each probe.
        novelties: Their novelty, (N,) each, nats.
        bound: Of the policy file.
        name: Of the policy file.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (boxes, curves) = plt.subplots(1, 2, figsize=(13, 6), width_ratios=[1.7, 1], layout="constrained")
    statistics = []
    for novelty in novelties:
        low, first, median, third, high = np.percentile(novelty, SHARES)
        statistics.append({"whislo": low, "q1": first, "med": median, "q3": third, "whishi": high})
    places = np.arange(len(found))[::-1]
    for one, place, box in zip(found, places, statistics, strict=True):
        colour = NEW if one.outside else KNOWN
        boxes.bxp(
            [box], positions=[place], orientation="horizontal", showfliers=False, widths=0.6,
            boxprops={"color": colour}, medianprops={"color": colour}, whiskerprops={"color": colour},
            capprops={"color": colour}, manage_ticks=False,
        )  # fmt: skip
    boxes.set_xscale("symlog", linthresh=10)
    boxes.axvline(bound, color="black", linestyle=":", label=f"bound, {bound:.3g} nats")
    boxes.set_yticks(places, [f"{one.name}: {100 * one.beyond:.2f} % outside" for one in found])
    boxes.set(xlabel="novelty (nats); boxes from 5 to 95 %", title="known (blue) and never demonstrated (red)")
    boxes.legend(loc="upper right")
    _draw_curves(curves, found)
    figure.suptitle(f"Novelty of {name}")
    with replacing(path) as aside:
        figure.savefig(aside, dpi=120, format="png")
    plt.close(figure)


def _draw_curves(axes: "Axes", found: Sequence[Found]) -> None:
    curves: dict[str, list[tuple[float, float]]] = {}
    for one in found:
        if one.distance is not None:
            curves.setdefault(one.name.partition(" ")[0], []).append((one.distance, 100 * one.beyond))
    for name, points in curves.items():
        axes.plot(*zip(*points, strict=True), "o-", label=f"{name} displaced")
    axes.set(xlabel="displacement (unit of the observation)", ylabel="noticed (% of observations)", ylim=(0, 101))
    axes.set_title("displaced in a random direction")
    axes.grid(alpha=0.3)
    axes.legend()
