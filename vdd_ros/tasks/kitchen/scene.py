"""The kitchen from above: its elements, and the way of the kettle, the only object whose place is observed."""

from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle

from vdd_ros.tasks.kitchen.sim import GOALS, START
from vdd_ros.tasks.scene import INK, Scene

LEFT, RIGHT, BOTTOM, TOP = -1.25, 0.45, -0.2, 1.15
"""Limits of the drawing in m."""
OVEN = (-0.502, 0.113, 1.0, 1.25)
"""Left, front, width and depth of the oven in m."""
HANDLES = (
    (-0.256, 0.64, "knobs of the burners, one above the other"),
    (-0.368, 0.616, "light switch"),
    (-0.108, 0.607, "slide cabinet"),
    (-0.526, 0.583, "hinge cabinet"),
    (-0.642, 0.493, "microwave"),
)
"""x and y in m of what the hand touches."""
KETTLE_RADIUS = 0.122


def draw(ax: Axes) -> None:
    """Draw the robot's base, the oven, the handles, and the kettle's start and goal."""
    left, front, width, depth = OVEN
    ax.add_patch(Rectangle((left, front), width, depth, facecolor="#eef0f3", edgecolor="#9aa0aa", zorder=1))
    ax.add_patch(Circle((0.0, 0.0), 0.12, facecolor="#c9ccd2", edgecolor="none", zorder=2))
    ax.text(0.0, 0.0, "robot", color=INK, ha="center", va="center", fontsize=8)
    goal_x, goal_y = GOALS[-1][1][:2]
    ax.add_patch(Circle((goal_x, goal_y), KETTLE_RADIUS, facecolor="#dff1e1", edgecolor="#3a8f4d", zorder=2))
    start = Circle((START[23], START[24]), KETTLE_RADIUS, fill=False, edgecolor="#7d838e", zorder=2)
    start.set(linewidth=0.8, linestyle=(0, (3, 2)))
    ax.add_patch(start)
    ax.text(START[23], START[24] - 0.08, "kettle", color=INK, ha="center", fontsize=7)
    for x, y, name in HANDLES:
        ax.plot(x, y, "s", color=INK, markersize=3, zorder=6)
        side = "left" if x > -0.3 else "right"
        ax.text(x + (0.02 if side == "left" else -0.02), y, name, color=INK, ha=side, va="center", fontsize=6)
    ax.set(xlim=(LEFT, RIGHT), ylim=(BOTTOM, TOP), xlabel="x (m)", ylabel="y (m)")


SCENE = Scene(("kettle_x", "kettle_y"), draw)
