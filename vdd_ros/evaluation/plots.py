"""Common parts of figures: numbers and times as text, logarithmic axes, colours, the control period."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from vdd_ros.tasks.palette import SAFE

Floats = NDArray[np.float64]

THIN = "\u202f"
"""A narrow space that does not break, between a number and its unit."""
PERIOD = "#555555"
MARKERS = "osD^vP*X<>"
FAR = 10.0
"""Largest ratio of a period to the longest of some times for it to be drawn beside them."""
TAIL = 0.01
"""Share of the shortest times that an axis may omit: the shortest of thousands would extend it by decades."""

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def significant(value: float, digits: int = 3) -> str:
    """Return a number with `digits` significant digits and no exponent; a dash unless it is finite."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    return f"{round(value, digits - 1 - exponent):.{max(digits - 1 - exponent, 0)}f}"


def compact(value: float, digits: int = 3) -> str:
    """Return a number as `significant` does, without trailing zeros."""
    text = significant(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(seconds: float, digits: int = 3) -> str:
    """Return a time in seconds with a suitable unit, such as 1.20 ms."""
    return _duration(seconds, digits, significant)


def axis_duration(seconds: float) -> str:
    """Return a time as `duration` does, without trailing zeros."""
    return _duration(seconds, 3, compact)


def _duration(seconds: float, digits: int, form: Any) -> str:
    if not math.isfinite(seconds):
        return "–"
    if seconds == 0:
        return f"0{THIN}s"
    rounded = float(f"{abs(seconds):.{digits - 1}e}")
    scale, unit = next(((scale, unit) for scale, unit in _UNITS if rounded >= scale * (1 - 1e-12)), _UNITS[-1])
    return f"{form(seconds / scale, digits)}{THIN}{unit}"


class PointStyle(TypedDict):
    """Keyword arguments of matplotlib's `plot`."""

    color: str
    marker: str


def style(index: int) -> PointStyle:
    """Return colour and marker of the index-th series; the first 70 pairs differ."""
    return {"color": SAFE[index % len(SAFE)], "marker": MARKERS[(index + index // 70) % len(MARKERS)]}


def colour(index: int) -> str:
    """Return the colour of the index-th series."""
    return SAFE[index % len(SAFE)]


def log_ticks(axis: Any, low: float, high: float, *, time: bool = False, most: int = 8) -> None:
    """Make an axis logarithmic from `low` to `high` (positive), with ticks without exponents.

    Args:
        axis: An axis of matplotlib axes.
        low: Lower limit.
        high: Upper limit.
        time: Whether the numbers are seconds, labelled with units.
        most: Largest number of ticks.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ratio = max(high / low, 1.2)
    room = ratio**0.04
    low, high = low / room, low * ratio * room
    axes = axis.axes
    if axis is axes.xaxis:
        axes.set(xscale="log", xlim=(low, high))
    else:
        axes.set(yscale="log", ylim=(low, high))
    axis.set_major_locator(FixedLocator(_log_places(low, high, most)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: axis_duration(value) if time else compact(value)))


def _log_places(low: float, high: float, most: int) -> list[float]:
    """Return the positions of axis ticks: at least four, if possible."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = list(range(10, 100))
    for multiples in ([10], [10, 30], [10, 20, 50], [10, 15, 20, 30, 50, 70], fine[::5], fine):
        places = [m * 10.0 ** (k - 1) for k in decades for m in multiples if low <= m * 10.0 ** (k - 1) <= high]
        if len(places) >= 4:
            return places[:: math.ceil(len(places) / most)]
    return [low, high]


def time_limits(samples: Iterable[Floats], extra: Sequence[float] = ()) -> tuple[float, float] | None:
    """Return the limits of an axis of times in seconds: all samples except the lowest hundredth of each.

    Args:
        samples: (n,) times each; only finite, positive ones count.
        extra: Further times that must be inside.

    Returns:
        None without a sample.
    """
    positive = [values for sample in samples if len(values := sample[np.isfinite(sample) & (sample > 0)])]
    if not positive:
        return None
    low = min([float(np.quantile(values, TAIL)) for values in positive] + list(extra))
    return low, max([float(values.max()) for values in positive] + list(extra))


def near(period_s: float, samples: Iterable[Floats]) -> bool:
    """Return whether a period is close enough to times (n,) to share their axis."""
    found = time_limits(samples)
    return found is not None and math.isfinite(period_s) and found[0] <= period_s <= FAR * found[1]


def draw_period(axes: Any, period_s: float, *, along: str = "x", label: bool = True) -> Any:
    """Draw the control period into an axis of times in seconds, and return the line.

    Args:
        axes: The matplotlib axes.
        period_s: The period, seconds.
        along: The axis of times, `x` or `y`.
        label: Whether the legend names it.
    """
    line = axes.axvline if along == "x" else axes.axhline
    text = {"label": f"control period, {duration(period_s)}"} if label else {}
    return line(period_s, color=PERIOD, linestyle="-.", linewidth=1.2, gid="period", **text)


def distribution(axes: Any, seconds: Floats, **style: Any) -> None:
    """Draw the distribution function of the finite ones of numbers (n,)."""
    ordered = np.sort(seconds[np.isfinite(seconds)])
    if len(ordered):
        axes.step(ordered, np.arange(1, len(ordered) + 1) / len(ordered), where="post", **style)
