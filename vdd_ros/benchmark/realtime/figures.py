"""The record of the benchmark at control rate, key by key."""

from typing import TypedDict

from vdd_ros.documents import JsonObject
from vdd_ros.host.facts import RuntimeVersions
from vdd_ros.host.realtime import HostFacts


class Percentiles(TypedDict):
    """Percentiles of times, in seconds.

    Attributes:
        count: Number of finite times, the base of the percentiles.
        unanswered: Number of NaN, left out.
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
    """Deadlines of a node.

    Attributes:
        ticks: Number of ticks recorded.
        missed, missed_by_a_period: Ticks that ended after the next tick was due, and more than a period after that.
        lost: Instants of the schedule without a tick.
        records_missing: Records that did not arrive.
        lateness_s, total_s: Lateness of the starts, and time from start to command, s.
    """

    ticks: int
    missed: int
    missed_by_a_period: int
    lost: int
    records_missing: int
    lateness_s: Percentiles
    total_s: Percentiles


class Blame(TypedDict):
    """Missed deadlines explained by the host.

    Attributes:
        missed_explained, missed_by_a_period_explained: Number of misses during which the host was away.
        misses: Each miss: the fields of `DeadlineMiss`, and `explained`.
    """

    missed_explained: int
    missed_by_a_period_explained: int
    misses: list[JsonObject]


class DriverPunctuality(TypedDict):
    """Punctuality of one way to tick.

    Attributes:
        lateness_s, work_s: Lateness of the starts, and durations of the work, s.
        missed: Ticks that ended after the next tick was due.
        cpu: Processor time as a share of one core.
    """

    lateness_s: Percentiles
    work_s: Percentiles
    missed: int
    cpu: float


class DriverFigures(DriverPunctuality):
    """One way to tick, at one rate and one load.

    Attributes:
        driver: `timer`, `events` or `thread`; see `vdd_ros.benchmark.realtime.drivers.Driven`.
        rate_hz: Ticks a second.
        busy: Number of processes that kept the cores busy.
    """

    driver: str
    rate_hz: float
    busy: int


class NetworkTime(TypedDict):
    """The time of one call.

    Attributes:
        p50: Median, s.
        interval: 95 % interval of the median, s.
    """

    p50: float
    interval: list[float]


class NetworkComparison(TypedDict):
    """A student against teachers of the same backbone.

    Attributes:
        seconds: Times of `student` and `teacher N` as policy files, and of `student torch` and `teacher N torch`.
        speedup: Number of sampling steps to the teacher's time divided by the student's, as policy files.
        speedup_torch: The same ratios in eager torch.
    """

    seconds: dict[str, NetworkTime]
    speedup: dict[str, float]
    speedup_torch: dict[str, float]


class TickFigures(TypedDict):
    """Whole ticks and their baseline.

    Attributes:
        tick_over_parts_p50: Ratio of their medians in each round.
        tick_p99_over_p50: 99th percentile of a tick divided by its median, in each round.
        tick_s, parts_s: Times of whole ticks and of the baseline, all rounds together, s.
    """

    tick_over_parts_p50: list[float]
    tick_p99_over_p50: list[float]
    tick_s: Percentiles
    parts_s: Percentiles


class ArrivalFigures(TypedDict):
    """Answers to observations, against those of a plain echo.

    Attributes:
        arrival_over_echo_p50: Median answer divided by the sum of the median echo and inference, in each round.
        answer_s, echo_s: Times from observation to command, all rounds together, s.
        inference_s: Times of the inference only, s.
    """

    arrival_over_echo_p50: list[float]
    answer_s: Percentiles
    echo_s: Percentiles
    inference_s: Percentiles


class SwapFigures(TypedDict):
    """A run with hot swaps.

    Attributes:
        asked, succeeded: Number of swaps.
        ticks: Number of ticks recorded meanwhile.
    """

    asked: int
    succeeded: int
    ticks: int


class RateFigures(Punctuality, total=False):
    """Deadlines of the node at one rate; the keys of `Blame` only for a run with a host monitor."""

    missed_explained: int
    missed_by_a_period_explained: int
    misses: list[JsonObject]


class RealtimeRecord(TypedDict, total=False):
    """The record of `vdd benchmark realtime`; parts that were not measured are missing.

    Attributes:
        made_by, at: Command, and time of its last run, ISO 8601 in UTC.
        machine, versions: Machine and packages of the last run.
        measured_at: Part to the time of its measurement, ISO 8601 in UTC.
        quick: Whether the figures are rough.
        networks: Backbone to its comparison.
        speedup_over_n_step: `speedup` of the first backbone.
        tick_over_parts_p50, tick_p99_over_p50: Medians over the rounds of `ticks`.
        ticks: Ticks and their baseline at 200 Hz.
        arrival_over_echo_p50: Median over the rounds of `arrivals`.
        arrivals: Answers and a plain echo at 100 Hz.
        drivers: Ways to tick; empty if none was measured.
        swap_ticks_lost: Ticks lost in the run with hot swaps.
        swaps: That run.
        rates: Rate in Hz, as text, to its figures.
        missed_200hz: Deadlines missed at 200 Hz by more than a period.
        fifo: Ticks, swaps and 200 Hz under SCHED_FIFO, by the same keys; None if the host refuses it.
    """

    made_by: str
    at: str
    machine: HostFacts
    versions: RuntimeVersions
    measured_at: dict[str, str]
    quick: bool
    networks: dict[str, NetworkComparison]
    speedup_over_n_step: dict[str, float]
    tick_over_parts_p50: float
    tick_p99_over_p50: float
    ticks: TickFigures
    arrival_over_echo_p50: float
    arrivals: ArrivalFigures
    drivers: list[DriverFigures]
    swap_ticks_lost: int
    swaps: SwapFigures
    rates: dict[str, RateFigures]
    missed_200hz: int
    fifo: "RealtimeRecord | None"
