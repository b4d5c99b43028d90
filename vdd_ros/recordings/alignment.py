"""Time alignment of the inputs and commands of a recording."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

QUANTILE = 0.95


@dataclass(frozen=True)
class Spread:
    """Distribution of a time, in seconds: median, 95 % quantile and maximum; NaN without values."""

    median: float
    most: float
    max: float

    @classmethod
    def of(cls, times_s: ArrayLike) -> "Spread":
        """Return the distribution of (n,) times, ignoring non-finite ones."""
        values = np.asarray(times_s, np.float64)
        values = values[np.isfinite(values)]
        if not values.size:
            return cls(math.nan, math.nan, math.nan)
        return cls(float(np.median(values)), float(np.quantile(values, QUANTILE)), float(values.max()))

    @classmethod
    def worst(cls, parts: "Iterable[Spread]") -> "Spread":
        """Return the maximum of each value over some distributions."""
        found = list(parts)
        return cls(*(_greatest([getattr(one, name) for one in found]) for name in ("median", "most", "max")))


@dataclass(frozen=True)
class TopicAlignment:
    """Alignment of one input or command with the ticks of an episode.

    Attributes:
        messages: Messages during the episode.
        rate_hz: Messages per second; NaN for fewer than two.
        time_s: Age of an input's value at a tick; delay of a command after its tick.
        repeats: Ticks with the same message as the previous tick.
        drops: Usable messages that no tick uses, because a newer one arrived before the next tick.
        refused: Refused messages.
        refusals: The first reason for a refusal; empty without one.
        unstamped: Messages without a stamp, dated by their arrival.
    """

    messages: int
    rate_hz: float
    time_s: Spread
    repeats: int
    drops: int
    refused: int
    refusals: str = ""
    unstamped: int = 0

    @classmethod
    def total(cls, parts: "Sequence[TopicAlignment]") -> "TopicAlignment":
        """Return the alignment over several episodes: sums, the lowest rate, the worst times."""
        rates = [part.rate_hz for part in parts if math.isfinite(part.rate_hz)]
        sums = {
            name: sum(getattr(part, name) for part in parts)
            for name in ("messages", "repeats", "drops", "refused", "unstamped")
        }
        return cls(
            rate_hz=min(rates, default=math.nan),
            time_s=Spread.worst(part.time_s for part in parts),
            refusals=next((part.refusals for part in parts if part.refusals), ""),
            **sums,
        )


@dataclass(frozen=True)
class Alignment:
    """Alignment of an episode, or of several.

    Attributes:
        spread_s: Time between the oldest and the newest value of an observation.
        inputs: Each input, by name.
        commands: Each command, by name.
    """

    spread_s: Spread
    inputs: dict[str, TopicAlignment]
    commands: dict[str, TopicAlignment]

    def without_counts(self) -> "Alignment":
        """Return a copy without message counts, for parts of an episode whose messages another part counts."""
        nothing = {"messages": 0, "refused": 0, "refusals": "", "unstamped": 0}
        inputs, commands = (
            {name: replace(one, **nothing) for name, one in found.items()}  # type: ignore[arg-type]
            for found in (self.inputs, self.commands)
        )
        return Alignment(self.spread_s, inputs, commands)

    @classmethod
    def total(cls, parts: "Sequence[Alignment]") -> "Alignment":
        """Return the alignment over several episodes, at least one."""
        return cls(
            Spread.worst(part.spread_s for part in parts),
            {name: TopicAlignment.total([part.inputs[name] for part in parts]) for name in parts[0].inputs},
            {name: TopicAlignment.total([part.commands[name] for part in parts]) for name in parts[0].commands},
        )


def repeats_and_drops(numbers: NDArray[np.int64]) -> tuple[int, int]:
    """Return how many of (n,) ticks repeat the previous message, and how many messages in between no tick uses.

    Args:
        numbers: Consecutive number of each tick's message.
    """
    steps = np.diff(numbers)
    return int(np.count_nonzero(steps == 0)), int(np.maximum(steps - 1, 0).sum())


def _greatest(values: list[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return max(finite, default=math.nan)
