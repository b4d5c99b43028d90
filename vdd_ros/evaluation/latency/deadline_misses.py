"""Missed deadlines of a node, and whether preemption by the host explains them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.latency import NodeLatency
from vdd_ros.host.monitor import Preemptions

Floats = NDArray[np.float64]

WARM_UP_TICKS = 20
SHARE = 0.5
"""Smallest share of a tick's excess time during which the host was away for it to count as the cause."""
SLACK_S = 0.002
"""Distance from a tick within which preemptions count: two periods of the host monitor, its detection delay."""
SILENCE_PERIODS = 2.5
"""Time between ticks, in periods, from which it counts as a silence; one tick may be missing when an episode begins."""


@dataclass(frozen=True)
class DeadlineMiss:
    """A tick that ended after its deadline, or the first one after ticks that did not act.

    Attributes:
        node: Full name.
        seq: Sequence number.
        due_s: Deadline of the tick, or of the first one that did not act, seconds since the epoch.
        taken_s: Time from `due_s` to the end of the tick.
        usual_s: Median of that time over all ticks of the node.
        away_s: Time in between for which the host preempted the node or the host monitor.
    """

    node: str
    seq: int
    due_s: float
    taken_s: float
    usual_s: float
    away_s: float

    @property
    def explained(self) -> bool:
        """Whether preemption accounts for at least half of the excess over the usual time."""
        return self.away_s >= SHARE * (self.taken_s - self.usual_s)


def judge_deadlines(latency: NodeLatency, preemptions: Sequence[Preemptions]) -> list[DeadlineMiss]:
    """Return the missed deadlines of a node after its first ticks.

    Args:
        latency: Records of the node.
        preemptions: Records of several monitors; the longest counts.
    """
    due, end = _times(latency)
    rows = np.flatnonzero(latency.column("deadline_missed") > 0)
    return [_miss(latency, int(row), float(due[row]), end, preemptions) for row in rows if row >= WARM_UP_TICKS]


def judge_silences(latency: NodeLatency, preemptions: Sequence[Preemptions]) -> list[DeadlineMiss]:
    """Return the gaps of more than one tick without an action of a node, after its first ticks.

    Such ticks leave no record, so `judge_deadlines` misses them.

    Args:
        latency: Records of the node.
        preemptions: As for `judge_deadlines`.
    """
    due, end = _times(latency)
    between = np.diff(due)
    period = float(np.median(between)) if len(between) else 0.0
    rows = 1 + np.flatnonzero(between > SILENCE_PERIODS * period)
    return [
        _miss(latency, int(row), float(due[row - 1]) + period, end, preemptions) for row in rows if row > WARM_UP_TICKS
    ]


def _times(latency: NodeLatency) -> tuple[Floats, Floats]:
    """Return the due times and the end times of the ticks, (n,) each."""
    due = latency.column("stamp_s") - latency.column("lateness_s")
    return due, latency.column("stamp_s") + latency.column("total_s")


def _miss(
    latency: NodeLatency, row: int, due_s: float, end_s: Floats, preemptions: Sequence[Preemptions]
) -> DeadlineMiss:
    usual = float(np.median(latency.column("lateness_s") + latency.column("total_s")))
    away = max(one.within(due_s - SLACK_S, float(end_s[row]) + SLACK_S) for one in preemptions)
    seq = int(latency.column("seq")[row])
    return DeadlineMiss(latency.node, seq, due_s, float(end_s[row]) - due_s, usual, away)
