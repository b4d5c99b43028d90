"""The figure of `vdd benchmark tasks`: the speed of each task against its goal."""

from pathlib import Path

from vdd_ros.benchmark.task_speed import TaskSpeeds
from vdd_ros.evaluation.plots import PERIOD, colour
from vdd_ros.files import replacing


def draw(path: Path, found: TaskSpeeds) -> None:
    """Draw a bar for each task, its whisker from the slowest to the fastest round, and its goal, into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import StrMethodFormatter

    speeds = found["tasks"]
    rows = range(len(speeds))
    figure, axes = plt.subplots(figsize=(7, 1.3 + 0.4 * len(speeds)), layout="constrained")
    medians = [one.median for one in speeds]
    below = [one.median - one.lowest for one in speeds]
    above = [one.highest - one.median for one in speeds]
    axes.barh(rows, medians, xerr=[below, above], height=0.6, color=colour(0), capsize=3, label="median and range")
    goals = [one.goal for one in speeds]
    axes.vlines(goals, [row - 0.4 for row in rows], [row + 0.4 for row in rows], color=PERIOD, lw=2, label="goal")
    axes.set_yticks(rows, [one.task.replace("_", " ") for one in speeds])
    axes.set(xlabel="control steps per second and core", ylim=(len(speeds) - 0.5, -0.5), xscale="log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(alpha=0.3, axis="x")
    figure.legend(loc="outside upper center", ncols=2)
    with replacing(path) as aside:
        figure.savefig(aside, dpi=150, format="png")
    plt.close(figure)
