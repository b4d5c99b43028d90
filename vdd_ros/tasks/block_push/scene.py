"""Block Push from above."""

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from vdd_ros.tasks.block_push.sim import START, WORKSPACE
from vdd_ros.tasks.scene import INK, Scene, SceneObject

TARGET_HALF = 0.06
MARGIN = 0.03


def draw(ax: Axes) -> None:
    """Draw the workspace, the mean places of the targets, the area in which the blocks start, and the tool's start."""
    (left, right), (bottom, top) = WORKSPACE
    frame = Rectangle((left, bottom), right - left, top - bottom, fill=False, edgecolor="#9aa0aa", zorder=1)
    ax.add_patch(frame)
    for x in (0.28, 0.52):
        corner, size = (x - TARGET_HALF, 0.2 - TARGET_HALF), 2 * TARGET_HALF
        ax.add_patch(Rectangle(corner, size, size, facecolor="#dff1e1", edgecolor="#3a8f4d", zorder=1))
        ax.text(x, 0.2, "target", color="#2c6e3b", ha="center", va="center", fontsize=8)
    starts = Rectangle((0.3, -0.35), 0.2, 0.3, fill=False, edgecolor="#7d838e", zorder=1)
    starts.set(linewidth=0.8, linestyle=(0, (3, 2)))
    ax.add_patch(starts)
    ax.text(0.3, -0.35, "blocks start", color=INK, va="bottom", fontsize=7)
    ax.plot(*START, "o", color=INK, markersize=5, zorder=6)
    ax.annotate("start", START, (7, -3), textcoords="offset points", color=INK, fontsize=9)
    ax.set(xlim=(left - MARGIN, right + MARGIN), ylim=(bottom - MARGIN, top + MARGIN), xlabel="x (m)", ylabel="y (m)")


OBJECTS = (SceneObject(("block1_x", "block1_y"), "#d55e00"), SceneObject(("block2_x", "block2_y"), "#009e73"))
SCENE = Scene(("tool_x", "tool_y"), draw, objects=OBJECTS)
