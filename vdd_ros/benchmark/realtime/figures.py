"""What the record of the benchmark at control rate holds, key by key."""

from typing import Any, TypedDict


class Percentiles(TypedDict):
    """Percentiles of times, in seconds.

    Keys:
        count: Times that were measured.
        unanswered: Times that are NaN, and left out.
        p50, p95, p99, p99_9, max: Percentiles and maximum, s.
    """

    count: int
    unanswered: int
    p50: float
    p95: float
    p99: float
    p99_9: float
    max: float


class Punctuality(TypedDict):
    """How a node kept its deadlines.

    Keys:
        ticks: Ticks that were recorded.
        missed, missed_by_a_period: Ticks that ended after the next was due, and after the one behind that.
        lost: Instants of the schedule without a tick.
        records_missing: Records that did not arrive.
        lateness_s, total_s: Of the starts, and durations from start to command, s.
    """

    ticks: int
    missed: int
    missed_by_a_period: int
    lost: int
    records_missing: int
    lateness_s: Percentiles
    total_s: Percentiles


class Blame(TypedDict):
    """Which missed deadlines the host explains.

    Keys:
        missed_explained, missed_by_a_period_explained: Misses during which the host was away.
        misses: Each miss, the fields of a `DeadlineMiss` and whether it is `explained`.
    """

    missed_explained: int
    missed_by_a_period_explained: int
    misses: list[dict[str, Any]]


class DriverPunctuality(TypedDict):
    """How punctually one way to tick woke.

    Keys:
        lateness_s, work_s: Of the starts, and durations of the work, s.
        missed: Ticks that ended after the next was due.
        cpu: Share of a core.
    """

    lateness_s: Percentiles
    work_s: Percentiles
    missed: int
    cpu: float
