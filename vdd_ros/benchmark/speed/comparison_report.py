"""The record and the figure of `vdd benchmark speed --against`: times of whole trainings, and their ratios."""

from dataclasses import asdict
from pathlib import Path

from vdd_ros.benchmark.speed.comparison import Comparison, ComparisonRecord, SideFigures
from vdd_ros.documents import write_json
from vdd_ros.evaluation.plots import PERIOD, colour, log_ticks
from vdd_ros.files import replacing

RECORD_FILE, FIGURE_FILE = "speed_against.json", "speed_against.png"
_APART = 0.12
"""Vertical distance of both checkouts from the middle of their row."""


def keep(record: ComparisonRecord, folder: Path | None, file: Path | None) -> None:
    """Write record and figure of a comparison into a folder, and the record into a file, where they are given."""
    if file is not None:
        write_json(file, asdict(record))
    if folder is not None:
        write_json(folder / RECORD_FILE, asdict(record))
        draw(folder / FIGURE_FILE, record)


def draw(path: Path, record: ComparisonRecord) -> None:
    """Draw the times of whole trainings of both checkouts, and their ratios beside the goals, into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    cases = record.cases
    rows = [
        (case, is_busy) for case in cases for is_busy in (False, True) if not is_busy or case.busy_ratio is not None
    ]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 1.6 + 0.5 * len(rows)), sharey=True, layout="constrained")
    seconds: list[float] = []
    for label, side, offset, shade in (("other", "other", -_APART, PERIOD), ("this", "this", _APART, colour(0))):
        times = [_time(getattr(case, side), is_busy) for case, is_busy in rows]
        left.plot(times, [row + offset for row in range(len(rows))], "o", color=shade, label=label)
        seconds += times
    log_ticks(left.xaxis, min(seconds), max(seconds), time=True, most=6)
    left.set(xlabel="time of a whole training", ylim=(len(rows) - 0.5, -0.5))
    beside = f", beside {record.comparison.get('busy')} busy"
    left.set_yticks(range(len(rows)), [f"{case.title}{beside if is_busy else ''}" for case, is_busy in rows])
    ratios, goals = zip(*(_ratio(case, is_busy) for case, is_busy in rows), strict=True)
    right.plot(ratios, range(len(rows)), "o", color=colour(0))
    right.plot(goals, range(len(rows)), "|", color=PERIOD, markersize=14, label="goal")
    right.set(xlabel="ratio of the times", xlim=(0.0, 1.1 * max(*ratios, *goals)))
    for axes in (left, right):
        axes.grid(alpha=0.3, axis="x")
    figure.legend(loc="outside upper center", ncols=3)
    with replacing(path) as aside:
        figure.savefig(aside, dpi=150, format="png")
    plt.close(figure)


def _time(side: SideFigures, is_busy: bool) -> float:
    return (side.busy_whole_s or 0.0) if is_busy else side.whole_s


def _ratio(case: Comparison, is_busy: bool) -> tuple[float, float]:
    """Return a ratio and its goal."""
    return (case.busy_ratio or 0.0, case.busy_goal or 0.0) if is_busy else (case.ratio, case.goal)
