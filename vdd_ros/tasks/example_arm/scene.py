"""The example arm's picture: its joint angles, and the point where the two ways part."""

from matplotlib.axes import Axes

from vdd_ros.tasks.example_arm.sim import HOME, MODE_NAMES
from vdd_ros.tasks.scene import INK, Scene

SHOULDER, ELBOW = (-1.0, 4.2), (-2.4, 2.4)
"""Limits of the drawing in rad."""


def draw(ax: Axes) -> None:
    """Draw the starts of both ways, and the line between them."""
    ax.axhline(0.0, color="#9aa0aa", linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
    for name, elbow in zip(MODE_NAMES, ELBOW, strict=True):
        ax.text(SHOULDER[0] + 0.1, 0.92 * elbow, name, color=INK, va="center", fontsize=9)
    ax.plot(*HOME, "o", color=INK, markersize=5, zorder=6)
    ax.annotate("home", HOME, (7, 4), textcoords="offset points", color=INK, fontsize=9)
    ax.set(xlim=SHOULDER, ylim=ELBOW, xlabel="shoulder (rad)", ylabel="elbow (rad)")


SCENE = Scene(("shoulder_joint_position", "elbow_joint_position"), draw)
