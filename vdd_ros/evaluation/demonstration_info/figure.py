"""The figure of a demonstration set: each entry over time, one line per episode, with suspicious data."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.evaluation.demonstration_info.report import DemonstrationInfo
from vdd_ros.features import Feature
from vdd_ros.files import replacing
from vdd_ros.text import counted, printable

MOST_ENTRIES = 24
MOST_EPISODES = 100
_COLUMNS = 4
_LINE, _MARK = "#0072B2", "#D55E00"


def save_figure(path: Path, demonstrations: DemonstrationSet, info: DemonstrationInfo) -> None:
    """Draw at most `MOST_ENTRIES` entries and `MOST_EPISODES` episodes into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    with matplotlib.rc_context({"text.parse_math": False}):
        figure = draw(plt, demonstrations, info)
        with replacing(path) as aside:
            figure.savefig(aside, dpi=150, format="png")
        plt.close(figure)


def draw(plt: Any, demonstrations: DemonstrationSet, info: DemonstrationInfo) -> Any:
    """Return the figure; the arguments are those of `save_figure`."""
    header = demonstrations.header
    entries = [(feature, demonstrations.observation[:, place]) for place, feature in enumerate(header.vector)]
    entries += [(feature, demonstrations.action[:, place]) for place, feature in enumerate(header.action)]
    shown = entries[:MOST_ENTRIES]
    rows = -(-len(shown) // _COLUMNS)
    figure, axes = plt.subplots(rows, _COLUMNS, figsize=(13, 0.6 + 2 * rows), layout="constrained", squeeze=False)
    for place, axis in enumerate(axes.flat):
        if place >= len(shown):
            axis.set_axis_off()
            continue
        feature, values = shown[place]
        _draw_entry(axis, feature, values, demonstrations, info)
        kind = "action" if place >= len(header.vector) else "observation"
        axis.set_title(f"{kind}: {printable(feature.name, 30)}", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("s", fontsize=8)
    figure.suptitle(_title(info, len(entries)), fontsize=10)
    return figure


def _draw_entry(
    axis: Any, feature: Feature, values: NDArray[np.float64], demonstrations: DemonstrationSet, info: DemonstrationInfo
) -> None:
    episodes = demonstrations.episodes()
    for pairs in episodes[:MOST_EPISODES]:
        times = np.arange(pairs.stop - pairs.start) / info.rate_hz
        axis.plot(times, values[pairs], color=_LINE, linewidth=0.7, alpha=0.4)
    marked = [one for one in info.suspicions if one.what.startswith(f"{feature.name} ")]
    axis.plot(
        [one.step / info.rate_hz for one in marked],
        [values[episodes[one.episode].start + one.step] for one in marked],
        "o",
        color=_MARK,
        markersize=3,
    )
    axis.set_ylabel(printable(feature.unit, 10), fontsize=8)
    axis.tick_params(labelsize=7)
    axis.grid(alpha=0.3)


def _title(info: DemonstrationInfo, entries: int) -> str:
    left = f"; {entries - MOST_ENTRIES} more entries are not shown" if entries > MOST_ENTRIES else ""
    few = f", the first {MOST_EPISODES} shown" if info.episodes > MOST_EPISODES else ""
    episodes, pairs = counted(info.episodes, "episode"), counted(info.pairs, "pair")
    return f"{printable(info.task)}: {episodes}{few}, {pairs} at {info.rate_hz:g} Hz{left}"
