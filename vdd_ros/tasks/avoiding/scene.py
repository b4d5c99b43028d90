"""Avoiding from above."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from vdd_ros.tasks.avoiding.sim import CYLINDERS, GOAL_Y, ROD_RADIUS, START
from vdd_ros.tasks.base import Bools, Floats
from vdd_ros.tasks.scene import INK, Scene

LEFT, RIGHT, BOTTOM, TOP = 0.2, 0.8, -0.315, 0.405
"""Limits of the drawing in m."""


def draw(ax: Axes) -> None:
    """Draw the cylinders, with the contour that the centre of the rod must not cross, the start and the goal."""
    ax.axhspan(GOAL_Y, TOP, color="#dff1e1", zorder=0)
    ax.axhline(GOAL_Y, color="#3a8f4d", linewidth=1.2, zorder=1)
    ax.text(RIGHT - 0.01, (GOAL_Y + TOP) / 2, "goal", color="#2c6e3b", ha="right", va="center", fontsize=9)
    for x, y, radius in CYLINDERS:
        ax.add_patch(Circle((x, y), radius, facecolor="#b9bec7", edgecolor="#7d838e", linewidth=0.8, zorder=3))
        contour = Circle((x, y), radius + ROD_RADIUS, fill=False, edgecolor="#9aa0aa", zorder=3)
        contour.set(linewidth=0.6, linestyle=(0, (3, 2)))
        ax.add_patch(contour)
    ax.plot(*START, "o", color=INK, markersize=5, zorder=6)
    ax.annotate("start", START, (7, -3), textcoords="offset points", color=INK, fontsize=9)
    ax.set(xlim=(LEFT, RIGHT), ylim=(BOTTOM, TOP), xlabel="x (m)", ylabel="y (m)")


def reached(ends: Floats) -> Bools:
    """Return which last positions, (N, 2) in m, lie beyond the goal line."""
    return np.asarray(ends[:, 1] > GOAL_Y)


SCENE = Scene(("tcp_x", "tcp_y"), draw, reached)
