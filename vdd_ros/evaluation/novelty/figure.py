"""The figure of `vdd novelty`: novelty of each probe, and detection by displacement."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vdd_ros.evaluation.novelty.probes import Floats, Found
from vdd_ros.evaluation.plots import compact, significant, style
from vdd_ros.files import replacing
from vdd_ros.tasks.palette import SAFE
from vdd_ros.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KNOWN, NEW = SAFE[0], SAFE[1]
SHARES = (5, 25, 50, 75, 95)


def save_figure(path: Path, found: Sequence[Found], novelties: Sequence[Floats], bound: float, name: str) -> None:
    """Draw one box per probe (5, 25, 50, 75, 95 %) with its share beyond the bound, and the detection of displacements.

    Args:
        path: File to write.
        found: Result of each probe.
        novelties: Their novelty, (N,) each, nats.
        bound: Bound of the policy file.
        name: Name of the policy file.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import Patch
    from matplotlib.ticker import FuncFormatter

    figure, (boxes, curves) = plt.subplots(1, 2, figsize=(13, 6), width_ratios=[1.7, 1], layout="constrained")
    statistics = []
    for novelty in novelties:
        low, first, median, third, high = np.percentile(novelty, SHARES)
        statistics.append({"whislo": low, "q1": first, "med": median, "q3": third, "whishi": high})
    places = np.arange(len(found))[::-1]
    for one, place, box in zip(found, places, statistics, strict=True):
        colour = NEW if one.outside else KNOWN
        filled = {
            "edgecolor": colour,
            "facecolor": "white" if one.outside else colour,
            "alpha": 1.0 if one.outside else 0.4,
        }
        boxes.bxp(
            [box], positions=[place], orientation="horizontal", showfliers=False, widths=0.6, patch_artist=True,
            boxprops=filled, medianprops={"color": "black"}, whiskerprops={"color": colour},
            capprops={"color": colour}, manage_ticks=False,
        )  # fmt: skip
    boxes.set_xscale("symlog", linthresh=10)
    boxes.xaxis.set_major_formatter(FuncFormatter(lambda nats, _: compact(nats)))
    boxes.grid(alpha=0.3, axis="x")
    boxes.axvline(bound, color="black", linestyle=":", label=f"bound, {significant(bound)} nats")
    boxes.set_yticks(places, [f"{printable(one.name)}: {significant(100 * one.beyond)} % outside" for one in found])
    boxes.set(xlabel="novelty (nats); boxes hold half, whiskers go from 5 to 95 %")
    known = Patch(facecolor=KNOWN, alpha=0.4, label="known")
    new = Patch(facecolor="white", edgecolor=NEW, label="never demonstrated")
    line = boxes.get_lines()[-1]
    boxes.legend(handles=[known, new, line], loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    _draw_curves(curves, found)
    figure.suptitle(f"Novelty of {printable(name)}")
    with replacing(path) as aside:
        figure.savefig(aside, dpi=120, format="png")
    plt.close(figure)


def _draw_curves(axes: "Axes", found: Sequence[Found]) -> None:
    curves: dict[str, list[tuple[float, float]]] = {}
    for one in found:
        if one.distance is not None:
            curves.setdefault(one.name.partition(" ")[0], []).append((one.distance, 100 * one.beyond))
    for number, (name, points) in enumerate(curves.items()):
        axes.plot(*zip(*points, strict=True), label=f"{printable(name)} displaced", **style(number))
    axes.set(xlabel="displacement (unit of the observation)", ylabel="noticed (% of observations)", ylim=(0, 101))
    axes.set_title("displaced in a random direction")
    axes.grid(alpha=0.3)
    if curves:
        axes.legend()
