"""A contact sheet of rollouts: a few successes of each mode and a few failures, side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vdd_ros.files import replacing
from vdd_ros.tasks.rollout import Rollouts
from vdd_ros.tasks.scene import INK, Scene
from vdd_ros.tasks.task import Task

COLUMNS = 6
MOST_MODES = 8
"""Modes that are shown, the most frequent ones first."""
FAILURES = "failures"
PATH = "#3b6ea8"
_CELL_INCHES = 1.7


def sheet_rows(task: Task, run: Rollouts) -> dict[str, list[int]]:
    """Return the episodes of each row by its title: the first successes of each frequent mode, then failures."""
    successes = np.flatnonzero(run.success)
    modes, counts = np.unique(run.modes[successes], return_counts=True)
    frequent = modes[np.argsort(-counts, kind="stable")][:MOST_MODES]
    rows = {
        f"{task.mode_name(int(mode))}: {int((run.modes[successes] == mode).sum())}": successes[
            run.modes[successes] == mode
        ][:COLUMNS].tolist()
        for mode in sorted(frequent.tolist())
    }
    failed = np.flatnonzero(~run.success)
    if failed.size:
        rows[f"{FAILURES}: {failed.size}"] = failed[:COLUMNS].tolist()
    return rows


def save_contact_sheet(file: Path, task: Task, run: Rollouts, *, title: str = "") -> None:
    """Write a PNG with a row for each mode and one for failures, whole or not at all.

    Each cell shows the path over the task and, if the scene names objects, theirs, with dots at the ends.

    Args:
        file: The PNG.
        task: The task.
        run: Its rollouts.
        title: Title of the sheet.

    Raises:
        TaskError: There is no picture of the task.
    """
    scene, rows = task.get_scene(), sheet_rows(task, run)
    names = [entry.name for entry in task.spec.observation]
    figure = Figure(figsize=(COLUMNS * _CELL_INCHES, max(len(rows), 1) * _CELL_INCHES * 1.25), layout="constrained")
    cells = figure.subplots(max(len(rows), 1), COLUMNS, squeeze=False)
    for line, (text, episodes) in zip(cells, rows.items(), strict=False):
        line[0].set_title(text, fontsize=8, color=INK, loc="left")
        for ax, episode in zip(line, episodes, strict=False):
            _draw(ax, scene, names, run.observations[episode, : run.lengths[episode] + 1])
    for ax in cells.flat:
        ax.set_axis_off()
    figure.suptitle(title, fontsize=9, color=INK)
    with replacing(file) as aside:
        figure.savefig(aside, dpi=130, format="png")


def _draw(ax: Axes, scene: Scene, names: Sequence[str], seen: np.ndarray) -> None:
    """Draw one episode, observations (T, obs_dim)."""
    scene.draw(ax)
    for text in ax.texts:
        text.set_visible(False)
    ax.set_aspect("equal")
    tracks = [(scene.position, PATH), *((thing.position, thing.colour) for thing in scene.objects)]
    for entries, colour in tracks:
        x, y = (seen[:, names.index(entry)] for entry in entries)
        ax.plot(x, y, color=colour, linewidth=0.9, zorder=4)
        ax.plot(x[-1], y[-1], "o", color=colour, markersize=3, zorder=7)
