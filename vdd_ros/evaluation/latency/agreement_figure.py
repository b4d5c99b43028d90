"""The figure of two policies: differences and distances of their actions, and log densities."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.evaluation.latency.agreement import Agreed
from vdd_ros.evaluation.plots import colour, distribution
from vdd_ros.text import printable

Floats = NDArray[np.float64]

_BINS = 40


def draw_agreement(plt: Any, agreed: Agreed) -> Any:
    """Draw differences of the actions, distributions of the distances and, with the policy file, of log densities."""
    found, pairs, same = agreed.agreement, agreed.pairs, agreed.same
    wide = min(max(pairs.other.shape[1] / 3, 1), 3)  # many entries need room
    figure, grid = plt.subplots(1, 3 if same else 2, figsize=(11, 3.6 * wide**0.5), layout="constrained")
    unit = f" ({printable(found.unit)})" if found.unit else ""
    student, other = printable(found.student), printable(found.other)
    _differences(grid[0], pairs.other - pairs.student, pairs.names, unit)
    _distances(grid[1], "as both acted", pairs.other - pairs.student)
    if same:
        _distances(grid[1], "at the same observation", same.other - same.own)
        _distances(grid[1], f"two draws of {student}", same.again - same.own)
    grid[1].set(xlabel=f"distance{unit}", ylabel="fraction below", ylim=(0, 1.01))
    grid[1].legend(loc="lower right", fontsize=8)
    _few_ticks(grid[1].xaxis)
    if same:
        log_probs = {
            other: same.log_prob_other,
            student: same.log_prob_own,
            "draws from the mixture": same.log_prob_draws,
        }
        finite = [values[np.isfinite(values)] for values in log_probs.values()]
        together = np.concatenate(finite)
        edges = np.histogram_bin_edges(together, _BINS) if len(together) else np.array([0.0, 1.0])
        for index, (label, values) in enumerate(zip(log_probs, finite, strict=True)):
            line = ("-", "--", ":")[index]
            grid[2].hist(values, bins=edges, histtype="step", label=label, color=colour(index), linestyle=line)
        grid[2].set(xlabel=f"log density of {student} (nats)", ylabel="observations")
        grid[2].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8, ncols=3)
    return figure


def _differences(axes: Any, difference: Floats, names: tuple[str, ...], unit: str) -> None:
    """Draw the differences of two entries against one another, a histogram of one, a box for each of more."""
    names = tuple(map(printable, names))
    if difference.shape[1] == 1:
        axes.hist(difference[:, 0], bins=_BINS, color=colour(0))
        axes.set(xlabel=f"difference of {names[0]}{unit}", ylabel="decisions")
    elif difference.shape[1] == 2:
        axes.plot(difference[:, 0], difference[:, 1], ".", markersize=3, alpha=0.5, color=colour(0))
        axes.set(xlabel=f"difference of {names[0]}{unit}", ylabel=f"difference of {names[1]}{unit}")
        _few_ticks(axes.yaxis)
    else:
        places = np.arange(len(names))[::-1]
        axes.boxplot(
            difference, positions=places, orientation="horizontal", whis=(5, 95), showfliers=False, manage_ticks=False
        )
        axes.axvline(0, color="black", linewidth=0.6)
        axes.set_yticks(places, names)
        axes.set(xlabel=f"difference{unit}; whiskers from 5 to 95 %", ylim=(-0.7, len(names) - 0.3))
    _few_ticks(axes.xaxis)


def _few_ticks(axis: Any) -> None:
    """Leave room between the numbers of an axis."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(4))


def _distances(axes: Any, label: str, difference: Floats) -> None:
    index = len(axes.lines)
    line = ("-", "--", ":")[index % 3]
    distribution(axes, np.linalg.norm(difference, axis=1), label=label, color=colour(index), linestyle=line)
