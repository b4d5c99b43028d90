"""Figures of trajectories over a task seen from above."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from vdd_ros.errors import TaskError
from vdd_ros.files import replacing
from vdd_ros.tasks.base import Bools, Floats, Ints, TaskSpec
from vdd_ros.tasks.palette import palette
from vdd_ros.tasks.registry import get_task
from vdd_ros.tasks.scene import INK

LEGEND_LIMIT = 26
RARE = 0.01
"""Share of the pieces below which numbers share one colour, as they are hardly visible."""
LABELS_FROM = 8
"""Number of colours from which lines are labelled too, as the colours are hard to distinguish."""
LABEL_GRID = 24
GREY = (0.6, 0.6, 0.6)
PLAIN = "#3b6ea8"


def position_columns(spec: TaskSpec) -> tuple[int, ...]:
    """Return the columns of the observation that `plot_trajectories` draws."""
    names = [entry.name for entry in spec.observation]
    return tuple(names.index(name) for name in get_task(spec.name).get_scene().position)


def plot_trajectories(
    ax: Axes,
    task_name: str,
    paths: Sequence[Floats],
    colours: Sequence[Ints] | None = None,
    *,
    label: str = "expert",
    names: Sequence[str] = (),
    success: Bools | None = None,
) -> None:
    """Draw paths over their task; a path that ends short of the goal gets a cross there.

    Args:
        ax: Where to draw.
        task_name: Name of the task.
        paths: Positions of each episode, (T, 2) in m.
        colours: A number for each position, (T,), that gives the line from there its colour, such as the expert that
            acted. None: one colour for all.
        label: Meaning of the numbers, for the legend, which also shows their shares; no legend for more than 26
            different numbers. Rare numbers are grey. From eight numbers on, they are written at their lines.
        names: Names of the numbers from 0 on, for the legend, in place of label and number.
        success: (N,) whether each path reached the goal; None: as its last position tells, if it does.

    Raises:
        TaskError: There is no picture of this task, or paths and colours do not fit each other.
    """
    if colours is not None and [len(colour) for colour in colours] != [len(path) for path in paths]:
        raise TaskError("paths and colours differ in length; give one number for each position of each path")
    view = get_task(task_name).get_scene()
    view.draw(ax)
    ax.set_aspect("equal")
    ax.set_facecolor("#fbfbfc")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8, color="#9aa0aa")
    style = {"linewidths": 0.9, "alpha": float(np.clip(60 / max(len(paths), 1), 0.35, 0.9)), "zorder": 4}
    handles: list[Line2D] = []
    if colours is None:
        ax.add_collection(LineCollection([np.asarray(path) for path in paths], colors=PLAIN, **style))
    else:
        numbers = np.concatenate([np.zeros(0, dtype=np.int64), *(colour[:-1] for colour in colours)])
        segments = [segment for path in paths for segment in np.stack([path[:-1], path[1:]], axis=1)]  # each (2, 2)
        named = _Numbers.of(numbers)
        ax.add_collection(LineCollection(segments, colors=named.colours[named.place], **style))
        if len(named.names) <= LEGEND_LIMIT:
            handles = named.handles(label, names)
        if LABELS_FROM <= len(named.names) <= LEGEND_LIMIT:
            _number_lines(ax, np.array(segments)[:, 0], named)
    ends = np.array([path[-1] for path in paths if len(path)]).reshape(-1, 2)
    if success is not None:
        failed = ends[~success[[len(path) > 0 for path in paths]]]
    else:
        failed = ends[:0] if view.reached is None else ends[~view.reached(ends)]
    if len(failed):
        crosses = ax.scatter(failed[:, 0], failed[:, 1], s=22, color=INK, marker="x", linewidths=1.1, zorder=7)
        crosses.set_label(f"failed ({len(failed)})")
        handles.append(crosses)  # type: ignore[arg-type]
    if handles:
        columns = 1 + (len(handles) > LEGEND_LIMIT // 2)
        ax.legend(
            handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8, ncols=columns
        )


@dataclass(frozen=True)
class _Numbers:
    """Numbers of pieces of lines, the most frequent one first; rare ones together come last, without a name.

    Attributes:
        names: The numbers; None for the rare ones.
        shares: Their shares of the pieces.
        colours: (k, 3) their colours.
        place: (N,) index of each piece's number.
        rare: Number of rare ones.
    """

    names: list[int | None]
    shares: list[float]
    colours: Floats
    place: Ints
    rare: int

    @classmethod
    def of(cls, numbers: Ints) -> "_Numbers":
        used, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        rank = np.empty(len(used), dtype=np.int64)
        rank[order] = np.arange(len(used))
        shares = counts[order] / max(len(numbers), 1)
        common = int((shares >= RARE).sum())
        if common >= len(used) - 1:  # a single one keeps its name
            return cls(used[order].tolist(), shares.tolist(), palette(len(used)), rank[place], 0)
        names = [*used[order][:common].tolist(), None]
        shown = [*shares[:common].tolist(), float(shares[common:].sum())]
        colours = np.concatenate([palette(common), [GREY]])
        return cls(names, shown, colours, np.minimum(rank[place], common), len(used) - common)

    def handles(self, label: str, names: Sequence[str]) -> list[Line2D]:
        """Return the entries of the legend."""
        known = dict(enumerate(names))
        texts = [f"{self.rare} others" if name is None else known.get(name, f"{label} {name}") for name in self.names]
        return [
            Line2D([], [], color=tuple(colour), linewidth=2, label=f"{text}: {100 * share:.1f} %")
            for text, share, colour in zip(texts, self.shares, self.colours, strict=True)
        ]


def _number_lines(ax: Axes, starts: Floats, named: _Numbers) -> None:
    """Write each number where most lines have it, apart from the other numbers; omit numbers that prevail nowhere.

    Args:
        ax: Where to draw.
        starts: (N, 2) of the pieces of all lines, in m.
        named: Their numbers.
    """
    low, high = starts.min(axis=0), starts.max(axis=0)
    cells = ((starts - low) / np.maximum(high - low, 1e-9) * (LABEL_GRID - 1)).astype(np.int64) @ [LABEL_GRID, 1]
    counts = np.zeros((len(named.names), LABEL_GRID**2), dtype=np.int64)
    np.add.at(counts, (named.place, cells), 1)
    prevails = (counts == counts.max(axis=0)) & (counts > 0)
    written = [starts[0]]
    for index, name in enumerate(named.names):
        own = np.flatnonzero(prevails[index])
        if name is None or not len(own):
            continue
        dense = own[4 * counts[index, own] >= counts[index, own].max()]
        centres = np.array([starts[(named.place == index) & (cells == cell)].mean(axis=0) for cell in dense])
        nearest = [min(float(np.linalg.norm(centre - other)) for other in written) for centre in centres]
        at = centres[int(np.argmax(nearest))]
        written.append(at)
        text = ax.text(
            float(at[0]),
            float(at[1]),
            str(name),
            color=tuple(named.colours[index]),
            fontsize=8,
            ha="center",
            va="center",
            zorder=8,
        )
        text.set(fontweight="bold", path_effects=[withStroke(linewidth=2.5, foreground="white")])


def save_trajectories(
    file: Path,
    task_name: str,
    paths: Sequence[Floats],
    colours: Sequence[Ints] | None = None,
    *,
    label: str = "expert",
    names: Sequence[str] = (),
    success: Bools | None = None,
    title: str = "",
) -> None:
    """Write a PNG of paths, whole or not at all; the arguments are those of `plot_trajectories`."""
    figure = Figure(figsize=(6.2, 6.2), layout="constrained")
    ax = figure.add_subplot()
    plot_trajectories(ax, task_name, paths, colours, label=label, names=names, success=success)
    if legend := ax.get_legend():
        figure.set_size_inches(4.9 + 1.9 * (1 + (len(legend.get_texts()) > LEGEND_LIMIT // 2)), 6.2)
    ax.set_title(title, fontsize=10, color=INK)
    with replacing(file) as aside:
        figure.savefig(aside, dpi=160, format="png")


def draw_frame(task_name: str, path: Floats) -> NDArray[np.uint8]:
    """Return an image (480, 400, 3) of a path (T, 2) that is not finished yet."""
    figure = Figure(figsize=(4.0, 4.8), dpi=100, layout="constrained")
    canvas, ax, view = FigureCanvasAgg(figure), figure.add_subplot(), get_task(task_name).get_scene()
    view.draw(ax)
    ax.set_aspect("equal")
    ax.plot(*path.T, color=PLAIN, linewidth=1.2, zorder=4)
    ax.plot(*path[-1], "o", color=PLAIN, markersize=6, zorder=7)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
