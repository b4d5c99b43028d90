"""The figure of `vdd benchmark pass`: times of a pass side by side, and their ratios."""

from pathlib import Path

from vdd_ros.benchmark.pass_times import PassRecord
from vdd_ros.evaluation.plots import PERIOD, colour, log_ticks
from vdd_ros.files import replacing

_APART = 0.12
"""Vertical distance of both files of a pair from the middle of their row."""


def draw(path: Path, record: PassRecord) -> None:
    """Draw the time of a pass of both files of each pair, and the ratio of their times, into a PNG; bars: 95 %."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    pairs = record["comparisons"]
    height = 1.6 + 0.5 * len(pairs)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, height), sharey=True, layout="constrained")
    for label, passes, offset, shade in (
        ("against", [pair.against for pair in pairs], -_APART, PERIOD),
        ("policy", [pair.policy for pair in pairs], _APART, colour(0)),
    ):
        middle, rows = [one.pass_s for one in passes], [row + offset for row in range(len(pairs))]
        low, high = zip(*(one.pass_s_interval for one in passes), strict=True)
        left.errorbar(middle, rows, xerr=_bars(middle, low, high), fmt="o", color=shade, capsize=3, label=label)
    ends = [end for pair in pairs for one in (pair.policy, pair.against) for end in one.pass_s_interval]
    log_ticks(left.xaxis, min(ends), max(ends), time=True, most=6)
    left.set(xlabel="time of a pass", ylim=(len(pairs) - 0.5, -0.5))
    left.set_yticks(range(len(pairs)), [_label(pair.policy.file, pair.against.file) for pair in pairs])
    ratios = [pair.ratio for pair in pairs]
    low, high = zip(*(pair.ratio_interval for pair in pairs), strict=True)
    right.errorbar(ratios, range(len(pairs)), xerr=_bars(ratios, low, high), fmt="o", color=colour(0), capsize=3)
    right.axvline(1, color=PERIOD, linestyle="-.", linewidth=1.2)
    right.set(xlabel="ratio of the times", xlim=(min(0.0, *low), 1.1 * max(1.0, *high)))
    for axes in (left, right):
        axes.grid(alpha=0.3, axis="x")
    figure.legend(loc="outside upper center", ncols=2)
    with replacing(path) as aside:
        figure.savefig(aside, dpi=150, format="png")
    plt.close(figure)


def _bars(middle: list[float], low: tuple[float, ...], high: tuple[float, ...]) -> list[list[float]]:
    below = [max(one - bound, 0.0) for one, bound in zip(middle, low, strict=True)]
    return [below, [max(bound - one, 0.0) for one, bound in zip(middle, high, strict=True)]]


def _label(policy: str, against: str) -> str:
    names = [name.removesuffix(".onnx").replace("_", " ") for name in dict.fromkeys((policy, against))]
    return "\nagainst ".join(names)
