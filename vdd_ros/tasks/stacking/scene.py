"""Stacking from above."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from vdd_ros.tasks.scene import INK, Scene, SceneObject
from vdd_ros.tasks.stacking.sim import BOXES, STARTS, TARGET

LEFT, RIGHT, BOTTOM, TOP = 0.25, 0.7, -0.32, 0.32
"""Limits of the drawing in m."""
FILLS = {"red": "#d9534f", "green": "#4f9d5b", "blue": "#3b6ea8"}
TARGET_HALF = 0.05


def draw(ax: Axes) -> None:
    """Draw the target, and the areas in which the boxes start."""
    corner, size = (TARGET[0] - TARGET_HALF, TARGET[1] - TARGET_HALF), 2 * TARGET_HALF
    ax.add_patch(Rectangle(corner, size, size, facecolor="#dff1e1", edgecolor="#3a8f4d", zorder=1))
    ax.text(*TARGET, "target", color=INK, ha="center", va="center", fontsize=8)
    for box, area in zip(BOXES, STARTS, strict=True):
        low, high = np.array(area).T
        outline = Rectangle((low[0], low[1]), *(high - low), fill=False, edgecolor=FILLS[box], zorder=1)
        outline.set(linewidth=0.8, linestyle=(0, (3, 2)))
        ax.add_patch(outline)
        ax.text(low[0], low[1], f"{box} box starts", color=INK, va="bottom", fontsize=7)
    ax.set(xlim=(LEFT, RIGHT), ylim=(BOTTOM, TOP), xlabel="x (m)", ylabel="y (m)")


OBJECTS = tuple(SceneObject((f"{box}_x", f"{box}_y"), FILLS[box]) for box in BOXES)
SCENE = Scene(("red_x", "red_y"), draw, objects=OBJECTS)
