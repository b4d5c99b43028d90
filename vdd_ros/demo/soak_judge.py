"""The checks of a soak: constant memory, records without gaps, no missed deadline that preemption does not explain."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.sequence import SequenceCheck
from vdd_ros.evaluation.latency.deadline_misses import DeadlineMiss
from vdd_ros.text import counted

Floats = NDArray[np.float64]

WARM_UP_S = 60.0
WINDOW_S = 60.0
MOST_GROWTH_MB = 1.0


@dataclass(frozen=True)
class Growth:
    """Growth of a process's resident memory.

    Attributes:
        name: Name of the node.
        before_mb: Median over the window after the warm-up, MB; NaN if the node ended during it.
        after_mb: Median over the last window, MB; NaN if the node ended before it.
    """

    name: str
    before_mb: float
    after_mb: float

    @property
    def growth_mb(self) -> float:
        """Growth in MB: `after_mb` - `before_mb`."""
        return self.after_mb - self.before_mb

    @property
    def leaks(self) -> bool:
        """Whether memory grew by more than `MOST_GROWTH_MB`."""
        return self.growth_mb > MOST_GROWTH_MB


def judge_memory(name: str, seconds: Floats, megabytes: Floats, warm_up_s: float = WARM_UP_S) -> Growth:
    """Compare resident memory (n,) at times (n,) just after the warm-up and at the end, over a minute each.

    If less than two minutes remain after the warm-up, each window is half of the rest. If the soak ended with the
    warm-up, the result is NaN.
    """
    window_s = min(WINDOW_S, (seconds[-1] - warm_up_s) / 2)
    early = (seconds >= warm_up_s) & (seconds <= warm_up_s + window_s)
    if not early.any():
        return Growth(name, math.nan, math.nan)
    late = seconds >= seconds[-1] - window_s
    return Growth(name, float(np.median(megabytes[early])), float(np.median(megabytes[late])))


def judge_record(node: str, sequence: SequenceCheck) -> str:
    """Return the faults of a node's sequence numbers in words; empty if they are complete from 0 on."""
    wrong = [text] if (text := sequence.describe()) else []
    if sequence.first != 0:
        wrong.append(f"the record begins with {sequence.first}")
    if sequence.restarts:
        wrong.append(f"numbers restarted {counted(sequence.restarts, 'time')}")
    return f"{node}: {'; '.join(wrong)}" if wrong else ""


def problems(growths: Sequence[Growth], records: Sequence[str], misses: Sequence[DeadlineMiss]) -> list[str]:
    """Return a text for each check that failed."""
    found = [
        f"{growth.name}: resident memory grew by {growth.growth_mb:.2f} MB, more than {MOST_GROWTH_MB:g}"
        for growth in growths
        if growth.leaks
    ]
    found += filter(None, records)
    for miss in misses:
        if not miss.explained:
            found.append(
                f"{miss.node}: tick {miss.seq} ended {1e3 * miss.taken_s:.1f} ms after it was due, usually "
                f"{1e3 * miss.usual_s:.1f}; of it the host was away for {1e3 * miss.away_s:.1f}"
            )
    return found
