"""The figure of a training run: what its TensorBoard files hold, over the steps."""

import math
from dataclasses import dataclass
from pathlib import Path

from vdd_ros.evaluation.plots import colour, log_ticks
from vdd_ros.files import replacing
from vdd_ros.text import printable

TENSORBOARD_FOLDER = "tensorboard"


@dataclass(frozen=True)
class Curve:
    """A scalar over the steps; both lists have the same length, at least 1."""

    steps: list[int]
    values: list[float]


Curves = dict[str, Curve]


def read_curves(folder: Path) -> Curves:
    """Read the scalars of the run in a checkpoint folder, through every interruption of it."""
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    events = EventAccumulator(str(folder / TENSORBOARD_FOLDER), size_guidance={SCALARS: 0})
    events.Reload()
    return {
        name: Curve([event.step for event in events.Scalars(name)], [event.value for event in events.Scalars(name)])
        for name in events.Tags()[SCALARS]
    }


def save_figure(path: Path, curves: Curves, title: str) -> None:
    """Draw one panel for each curve into a PNG; a logarithmic axis where all values are positive and span decades."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(
        len(curves), 1, figsize=(8, 1 + 2 * len(curves)), sharex=True, squeeze=False, layout="constrained"
    )
    for (name, curve), axes in zip(curves.items(), panels[:, 0], strict=True):
        finite = [value for value in curve.values if math.isfinite(value)]
        axes.plot(curve.steps, curve.values, linewidth=1.0, marker="." if len(finite) == 1 else "", color=colour(0))
        axes.set(ylabel=printable(name.replace("_", " ")))
        if finite and 0 < 10 * min(finite) < max(finite):
            log_ticks(axes.yaxis, min(finite), max(finite), most=5)
        axes.grid(alpha=0.3)
    panels[-1, 0].set_xlabel("step")
    figure.suptitle(title)
    with replacing(path) as aside:
        figure.savefig(aside, dpi=150, format="png")
    plt.close(figure)
