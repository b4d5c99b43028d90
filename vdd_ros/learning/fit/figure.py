"""The figure of a training run: its TensorBoard scalars over the steps."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """Read the scalars of the run in a checkpoint folder, across interruptions.

    Event files are read one by one in the order of their creation; events of a file from the first step of the next
    file on are dropped. TensorBoard sorts files by name, which is ambiguous within one second, and would then drop the
    later events.
    """
    curves: dict[str, list[tuple[int, float]]] = {}
    for scalars in sorted((_scalars(file) for file in (folder / TENSORBOARD_FOLDER).glob("events*")), key=_began):
        for name, events in scalars.items():
            earlier = [point for point in curves.get(name, []) if point[0] < events[0].step]
            curves[name] = earlier + [(event.step, event.value) for event in events]
    return {
        name: Curve([step for step, _ in points], [value for _, value in points]) for name, points in curves.items()
    }


def wall_times(folder: Path) -> dict[int, float]:
    """Return when each logged step of the run in a checkpoint folder ended, in seconds since 1970, by step."""
    times: dict[int, float] = {}
    for file in (folder / TENSORBOARD_FOLDER).glob("events*"):
        for events in _scalars(file).values():
            times |= {event.step: event.wall_time for event in events}
    return dict(sorted(times.items()))


def _scalars(file: Path) -> dict[str, list[Any]]:
    """Return the scalar events of one file by name; each list has at least one."""
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    events = EventAccumulator(str(file), size_guidance={SCALARS: 0})
    events.Reload()
    return {name: events.Scalars(name) for name in events.Tags()[SCALARS]}


def _began(scalars: dict[str, list[Any]]) -> float:
    return min((events[0].wall_time for events in scalars.values()), default=-math.inf)


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
