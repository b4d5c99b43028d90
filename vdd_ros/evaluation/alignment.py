"""Time alignment of a robot's inputs: ages, gaps, repeats and the spread between them, at the ticks of a policy."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.recordings.alignment import Spread, repeats_and_drops

Floats = NDArray[np.float64]


class InputTimes(NamedTuple):
    """The values of one input: (n,) times in seconds, of their content and of their receipt."""

    dated_s: Floats
    received_s: Floats
    max_age_s: float


@dataclass(frozen=True)
class Cadence:
    """Rate and regularity of an input.

    Attributes:
        rate_hz: From the median time between two values; 0 with fewer than two.
        longest_gap_s: Between two values; 0 with fewer than two.
        gaps: Times between two values above the input's `max_age_s`.
        jitter_s: From the 5 % to the 95 % quantile of the times between two values.
    """

    rate_hz: float
    longest_gap_s: float
    gaps: int
    jitter_s: float


@dataclass(frozen=True)
class Alignment:
    """Inputs at ticks at which each has a value.

    Attributes:
        ticks: Number of ticks.
        ages_s: Age of the newest value by input.
        stale: Share of ticks with an input older than its `max_age_s`, by input.
        repeats: Share of ticks without a newer value than at the previous tick, by input.
        skipped: Share of values that no tick sees, because a newer one arrived, by input.
        spread_s: Time between the oldest and the newest input of a tick, without inputs with `when_stale: keep`.
    """

    ticks: int
    ages_s: dict[str, Spread]
    stale: dict[str, float]
    repeats: dict[str, float]
    skipped: dict[str, float]
    spread_s: Spread


def cadence(times: InputTimes) -> Cadence:
    """Return the cadence of an input from its times of receipt."""
    gaps = np.diff(times.received_s)
    if not len(gaps):
        return Cadence(0.0, 0.0, 0, 0.0)
    median = float(np.median(gaps))
    low, high = np.percentile(gaps, (5, 95))
    late = int((gaps > times.max_age_s).sum())
    return Cadence(1 / median if median > 0 else np.inf, float(gaps.max()), late, float(high - low))


def ticks_of(inputs: Sequence[InputTimes], rate_hz: float) -> Floats:
    """Return the times of the ticks from the first at which every input has arrived; none if one never arrives."""
    if not inputs or not all(len(times.received_s) for times in inputs):
        return np.empty(0)
    first = max(times.received_s[0] for times in inputs)
    last = max(times.received_s[-1] for times in inputs)
    return np.asarray(first + np.arange(int((last - first) * rate_hz) + 1) / rate_hz)


def newest_at(received_s: Floats, ticks: Floats) -> NDArray[np.int64]:
    """Return the index of the newest value at each tick, -1 before the first."""
    return np.searchsorted(received_s, ticks, side="right") - 1


def following_at(received_s: Floats, ticks: Floats, longest_s: float) -> NDArray[np.int64]:
    """Return the index of the first value after each tick, -1 if none follows within `longest_s`."""
    found = np.searchsorted(received_s, ticks, side="right")
    late = np.append(received_s, np.inf)[found] - ticks > longest_s
    return np.where(late, -1, found)


def align(inputs: Mapping[str, InputTimes], rate_hz: float, kept: Collection[str] = ()) -> Alignment | None:
    """Return the alignment of inputs at ticks, or None if no tick has a value of each.

    Ticks begin when every input has arrived and end with the last receipt of any. Each sees the newest value that it
    has received, as a node does: a value is as old as its date or its receipt, whichever is earlier.

    Args:
        inputs: By name, sorted by time of receipt.
        rate_hz: Of the ticks.
        kept: Inputs with `when_stale: keep`, which do not count as spread.
    """
    ticks = ticks_of(list(inputs.values()), rate_hz)
    if not len(ticks):
        return None
    places = {name: newest_at(times.received_s, ticks) for name, times in inputs.items()}
    since = {name: np.minimum(times.dated_s, times.received_s)[places[name]] for name, times in inputs.items()}
    ages = {name: ticks - begun for name, begun in since.items()}
    counts = {name: repeats_and_drops(place) for name, place in places.items()}
    rows = np.stack([begun for name, begun in since.items() if name not in kept])
    return Alignment(
        ticks=len(ticks),
        ages_s={name: Spread.of(age) for name, age in ages.items()},
        stale={name: _share(age > inputs[name].max_age_s) for name, age in ages.items()},
        repeats={name: repeats / max(len(ticks) - 1, 1) for name, (repeats, _) in counts.items()},
        skipped={name: drops / max(int(places[name][-1] - places[name][0]), 1) for name, (_, drops) in counts.items()},
        spread_s=Spread.of(rows.max(0) - rows.min(0)),
    )


def _share(found: NDArray[np.bool_]) -> float:
    return float(found.mean()) if len(found) else 0.0
