"""Aligning from above."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from vdd_ros.tasks.aligning.sim import START, STARTS
from vdd_ros.tasks.scene import INK, Scene, SceneObject

LEFT, RIGHT, BOTTOM, TOP = 0.28, 0.72, -0.4, 0.47
"""Limits of the drawing in m."""
AREAS = (("box starts", "#d55e00"), ("targets", "#3a8f4d"))


def draw(ax: Axes) -> None:
    """Draw the areas in which the box starts and its targets lie, and the start of the rod."""
    for (name, colour), area in zip(AREAS, STARTS, strict=True):
        low, high = np.array(area[:2]).T
        outline = Rectangle((low[0], low[1]), *(high - low), fill=False, edgecolor=colour, zorder=1)
        outline.set(linewidth=0.8, linestyle=(0, (3, 2)))
        ax.add_patch(outline)
        ax.text(low[0], low[1], name, color=INK, va="bottom", fontsize=7)
    ax.plot(*START[:2], "o", color=INK, markersize=5, zorder=6)
    ax.annotate("start", START[:2], (7, -3), textcoords="offset points", color=INK, fontsize=9)
    ax.set(xlim=(LEFT, RIGHT), ylim=(BOTTOM, TOP), xlabel="x (m)", ylabel="y (m)")


OBJECTS = (SceneObject(("box_x", "box_y"), "#d55e00"), SceneObject(("target_x", "target_y"), "#3a8f4d"))
SCENE = Scene(("tcp_x", "tcp_y"), draw, objects=OBJECTS)
