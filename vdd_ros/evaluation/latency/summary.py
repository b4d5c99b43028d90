"""Summary of a latency bag in numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.latency import NodeLatency
from vdd_ros.control.timing import AGE
from vdd_ros.documents import JsonObject, json_object, to_json
from vdd_ros.errors import ConfigurationError, RecordingError
from vdd_ros.evaluation.latency.policies import method_of
from vdd_ros.text import printable

Floats = NDArray[np.float64]

WARMUP_TICKS = 20
STAGES = ("lateness", "observation_age", "assemble", "inference", "publish", "bookkeeping", "total")
OVERHEAD = "not inference"
JITTER = "jitter"
SENSOR_TO_COMMAND = "sensor to command"
SKEW = "skew_s"


@dataclass(frozen=True)
class StageSummary:
    """Percentiles of the time of one stage, in seconds.

    Attributes:
        count: Ticks measured.
        p50: Median.
        p50_interval: 95 % confidence interval of the median, from order statistics; it takes the ticks as independent.
        p95: 95th percentile.
        p99: 99th percentile.
    """

    count: int
    p50: float
    p50_interval: tuple[float, float]
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Floats) -> "StageSummary":
        """Summarise times (n,), ignoring NaN; all NaN if no time was measured."""
        measured = np.sort(seconds[np.isfinite(seconds)])
        if not len(measured):
            return cls(0, math.nan, (math.nan, math.nan), math.nan, math.nan)
        p50, p95, p99 = (float(value) for value in np.percentile(measured, [50, 95, 99]))
        return cls(len(measured), p50, median_interval(measured), p95, p99)


@dataclass(frozen=True)
class NodeReport:
    """Summary of one node.

    Attributes:
        node: Full name.
        info: Description that it published.
        ticks: Ticks in the bag, warm-up included.
        deadline_misses: Ticks after the warm-up that ended after their period.
        commanded: Ticks after the warm-up whose command was published.
        gaps: Gaps in records or decisions, in words; empty without any.
        missing: Number of missing records.
        stages: Stage to its times; `not inference` is the whole tick minus the inference, `jitter` the deviation of the
            time between ticks from a period, `sensor to command` the time from the stamp of the oldest input's newest
            value to the command. If recorded, `skew of inputs` is the time between the stamps of a tick's inputs, and
            `age of NAME` the age of an input.
        switch_rate: Changes of the expert within episodes, per decision; None without experts.
        counters: Nonzero counters of its last diagnostics; None if the bag has none.
    """

    node: str
    info: JsonObject
    ticks: int
    deadline_misses: int
    commanded: int
    gaps: str
    missing: int
    stages: dict[str, StageSummary]
    switch_rate: float | None = None
    counters: dict[str, int] | None = None

    @property
    def passes(self) -> int | None:
        """Network passes per inference: the sampling steps of a diffusion policy, otherwise 1; None if unknown."""
        if method_of(self.info) is None:
            return None
        steps = self.info.get("sampling_steps")
        return steps if isinstance(steps, int) and steps > 0 else 1


@dataclass(frozen=True)
class Comparison:
    """The median inference of the slower sampler over that of the one-pass policy.

    Attributes:
        student: Node with one pass.
        teacher: Node with several passes.
        steps: Its number of passes, the bound of the ratio.
        ratio: Teacher's median over student's.
        interval: Interval of the ratio: contains it if both medians lie in their intervals.
        student_overhead_s: Median of the student's tick without its inference.
    """

    student: str
    teacher: str
    steps: int
    ratio: float
    interval: tuple[float, float]
    student_overhead_s: float


@dataclass(frozen=True)
class LatencyReport:
    """Summary of a latency bag: its nodes, their comparisons, and the number of first ticks left out."""

    nodes: list[NodeReport]
    comparisons: list[Comparison]
    warmup: int

    @property
    def comparison(self) -> Comparison | None:
        """The only comparison; None if there is none, or several."""
        return self.comparisons[0] if len(self.comparisons) == 1 else None

    @property
    def gaps(self) -> list[str]:
        """A text for each node whose records are incomplete."""
        return [f"{node.node}: {node.gaps}" for node in self.nodes if node.gaps]

    def to_dict(self) -> JsonObject:
        """Return a JSON object: the attributes, and `comparison`; null for unmeasured values."""
        return {**json_object(self), "comparison": to_json(self.comparison)}


def median_interval(ordered: Floats) -> tuple[float, float]:
    """Return a distribution-free 95 % confidence interval of the median.

    The number of values below the median is binomial (n, 1/2); its normal approximation gives the ranks.

    Args:
        ordered: (n,) values in ascending order, n at least 1.
    """
    n = len(ordered)
    low = max(round(n / 2 - 1.96 * math.sqrt(n) / 2) - 1, 0)
    high = n - 1 - low
    return float(ordered[low]), float(ordered[high])


def report_latency(latencies: Sequence[NodeLatency], warmup: int = WARMUP_TICKS) -> LatencyReport:
    """Summarise the nodes of a latency bag, leaving out the first `warmup` ticks of each.

    Raises:
        ConfigurationError: If `warmup` is negative.
        RecordingError: If a label is missing or a node has no tick after the warm-up.
    """
    if warmup < 0:
        raise ConfigurationError(f"--warmup is {warmup}; it must be 0 or more")
    nodes = [_report_node(latency, warmup) for latency in latencies]
    return LatencyReport(nodes, compare(nodes), warmup)


def _report_node(latency: NodeLatency, warmup: int) -> NodeReport:
    count = len(latency.values)
    if count <= warmup:
        raise RecordingError(
            f"{latency.node} has {count} ticks, of which the first {warmup} count as warm-up; record longer or lower "
            "--warmup"
        )
    times = {stage: latency.column(f"{stage}_s")[warmup:] for stage in STAGES}
    times[OVERHEAD] = times["total"] - times["inference"] + np.nan_to_num(times["bookkeeping"])
    times[JITTER] = jitter_of(latency)[warmup:]
    times[SENSOR_TO_COMMAND] = times["observation_age"] + times["total"]
    times |= {stage: latency.column(label)[warmup:] for label, stage in _alignment_of(latency.labels).items()}
    return NodeReport(
        node=latency.node,
        info=latency.info,
        ticks=count,
        deadline_misses=int(np.nansum(latency.column("deadline_missed")[warmup:])),
        commanded=int(np.nansum(latency.column("commanded")[warmup:])),
        gaps=latency.describe_gaps(),
        missing=latency.sequence.missing,
        stages={stage: StageSummary.of(seconds) for stage, seconds in times.items()},
        switch_rate=latency.switch_rate,
        counters=latency.counters,
    )


def _alignment_of(labels: Sequence[str]) -> dict[str, str]:
    """Return the stages of the labels about time alignment; older records have none."""
    ages = {label: f"age of {printable(label.removeprefix(AGE))}" for label in labels if label.startswith(AGE)}
    return ({SKEW: "skew of inputs"} if SKEW in labels else {}) | ages


def jitter_of(latency: NodeLatency) -> Floats:
    """Return the deviation of each tick interval from the period, (n,) in seconds."""
    periods = latency.column("period_s")
    return np.asarray(np.abs(periods - period_of(latency)))


def period_of(latency: NodeLatency) -> float:
    """Return the period in seconds: from the node's rate, otherwise the median interval; NaN without either."""
    rate_hz = latency.info.get("rate_hz")
    if isinstance(rate_hz, int | float) and rate_hz > 0:
        return 1.0 / rate_hz
    periods = latency.column("period_s")
    measured = periods[np.isfinite(periods)]
    return float(np.median(measured)) if len(measured) else math.nan


def compare(nodes: Sequence[NodeReport]) -> list[Comparison]:
    """Compare each one-pass policy with each one of several passes."""
    students = [node for node in nodes if node.passes == 1]
    teachers = [node for node in nodes if (node.passes or 1) > 1]
    return [_compare(student, teacher) for student in students for teacher in teachers]


def _compare(student: NodeReport, teacher: NodeReport) -> Comparison:
    fast, slow = student.stages["inference"], teacher.stages["inference"]
    return Comparison(
        student=student.node,
        teacher=teacher.node,
        steps=teacher.passes or 1,
        ratio=slow.p50 / fast.p50,
        interval=(slow.p50_interval[0] / fast.p50_interval[1], slow.p50_interval[1] / fast.p50_interval[0]),
        student_overhead_s=student.stages[OVERHEAD].p50,
    )
