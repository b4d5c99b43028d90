"""The figure of two policies: where their actions differ, how far, and how likely the student finds the other's."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.cli.latency_report.agreement import Agreed

Floats = NDArray[np.float64]

_BINS = 40


def draw_agreement(plt: Any, agreed: Agreed) -> Any:
    """Draw differences of the actions, distributions of the distances and, with the policy file, of log densities."""
    found, pairs, same = agreed.agreement, agreed.pairs, agreed.same
    figure, grid = plt.subplots(1, 3 if same else 2, figsize=(11, 3.6), layout="constrained")
    unit = f" ({found.unit})" if found.unit else ""
    _differences(grid[0], pairs.other - pairs.student, pairs.names, unit)
    _distances(grid[1], "as both acted", pairs.other - pairs.student)
    if same:
        _distances(grid[1], "at the same observation", same.other - same.own)
        _distances(grid[1], f"two draws of {found.student}", same.again - same.own)
    grid[1].set(xlabel=f"distance{unit}", ylabel="fraction below", ylim=(0, 1.01))
    grid[1].legend(loc="lower right")
    if same:
        log_probs = {
            f"{found.other}": same.log_prob_other,
            f"{found.student}": same.log_prob_own,
            "draws from the mixture": same.log_prob_draws,
        }
        finite = [values[np.isfinite(values)] for values in log_probs.values()]
        together = np.concatenate(finite)
        edges = np.histogram_bin_edges(together, _BINS) if len(together) else np.array([0.0, 1.0])
        for label, values in zip(log_probs, finite, strict=True):
            grid[2].hist(values, bins=edges, histtype="step", label=label)
        grid[2].set(xlabel=f"log density of {found.student} (nats)", ylabel="observations")
        grid[2].legend(loc="upper left")
    return figure


def _differences(axes: Any, difference: Floats, names: tuple[str, ...], unit: str) -> None:
    """Draw the differences of the first two entries against one another, or a histogram of the only one."""
    if difference.shape[1] == 1:
        axes.hist(difference[:, 0], bins=_BINS)
        axes.set(xlabel=f"difference of {names[0]}{unit}", ylabel="decisions")
        return
    axes.plot(difference[:, 0], difference[:, 1], ".", markersize=3, alpha=0.5)
    axes.set(xlabel=f"difference of {names[0]}{unit}", ylabel=f"difference of {names[1]}{unit}")


def _distances(axes: Any, label: str, difference: Floats) -> None:
    distance = np.sort(np.linalg.norm(difference, axis=1))
    if len(distance):
        axes.step(distance, np.arange(1, len(distance) + 1) / len(distance), where="post", label=label)
