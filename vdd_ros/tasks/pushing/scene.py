"""Pushing from above."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from vdd_ros.tasks.pushing.sim import COLOURS, START, STARTS, TARGETS
from vdd_ros.tasks.scene import INK, Scene, SceneObject

LEFT, RIGHT, BOTTOM, TOP = 0.28, 0.77, -0.32, 0.42
"""Limits of the drawing in m."""
FILLS = {"red": "#d9534f", "green": "#4f9d5b"}
TARGET_HALF = 0.05


def draw(ax: Axes) -> None:
    """Draw the targets, the areas in which the cubes start, and the start of the rod."""
    for colour, (x, y), area in zip(COLOURS, TARGETS, STARTS, strict=True):
        corner, size = (x - TARGET_HALF, y - TARGET_HALF), 2 * TARGET_HALF
        ax.add_patch(Rectangle(corner, size, size, facecolor=FILLS[colour], alpha=0.25, zorder=1))
        ax.text(x, y, f"{colour} target", color=INK, ha="center", va="center", fontsize=8)
        low, high = np.array(area[:2]).T
        outline = Rectangle((low[0], low[1]), *(high - low), fill=False, edgecolor=FILLS[colour], zorder=1)
        outline.set(linewidth=0.8, linestyle=(0, (3, 2)))
        ax.add_patch(outline)
        ax.text(low[0], low[1], f"{colour} cube starts", color=INK, va="bottom", fontsize=7)
    ax.plot(*START, "o", color=INK, markersize=5, zorder=6)
    ax.annotate("start", START, (7, -3), textcoords="offset points", color=INK, fontsize=9)
    ax.set(xlim=(LEFT, RIGHT), ylim=(BOTTOM, TOP), xlabel="x (m)", ylabel="y (m)")


OBJECTS = tuple(SceneObject((f"{colour}_x", f"{colour}_y"), FILLS[colour]) for colour in COLOURS)
SCENE = Scene(("tcp_x", "tcp_y"), draw, objects=OBJECTS)
