"""The records of a loop's ticks: durations, decisions, experts."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from vdd_ros.control.active_policy import ActivePolicy
from vdd_ros.control.chunks import Step
from vdd_ros.control.counters import Counters
from vdd_ros.control.outputs import Outputs
from vdd_ros.control.timing import LatencyRecord, LatencyStatistics
from vdd_ros.policy.act import Act


class Moments(NamedTuple):
    """End times of a tick's stages, by the timer, in seconds; `period_s` and `lateness_s` are durations."""

    period_s: float
    lateness_s: float
    began: float
    assembled: float
    inferred: float
    published: float


class TickRecords:
    """Fills and sends the records of a loop's ticks.

    Args:
        outputs: Where records go.
        counters: Counters of the loop.
        statistics: Percentiles of the records.
        inputs: The inputs whose ages are recorded.
        period_s: Time between ticks.
        decisions: Whether decisions are sent.

    Attributes:
        expert: The expert that acted last; None before the first.
        bookkeeping_s: Duration of the last tick's work after its command, in seconds; measured by the loop.
    """

    def __init__(
        self,
        outputs: Outputs,
        counters: Counters,
        statistics: LatencyStatistics,
        inputs: Sequence[str],
        *,
        period_s: float,
        decisions: bool,
    ) -> None:
        self.expert: int | None = None
        self.bookkeeping_s = 0.0
        self._outputs = outputs
        self._counters = counters
        self._statistics = statistics
        self._period_s = period_s
        self._decisions = decisions
        self._record = LatencyRecord(inputs)

    def reset(self) -> None:
        """Restart the statistics, as at activation."""
        self._statistics.reset()
        self.bookkeeping_s = 0.0

    def add(self, active: ActivePolicy, step: Step | None, now_s: float, when: Moments, *, commanded: bool) -> None:
        """Send the records of a tick; its time is in seconds on the clock of the stamps."""
        record, counters = self._record, self._counters
        total_s = when.published - when.began
        missed = when.lateness_s + total_s > self._period_s
        alignment, place = active.observer.alignment, math.nan if step is None else step.place
        stages = (when.assembled - when.began, math.nan, when.published - when.inferred, total_s, self.bookkeeping_s)
        ages_s = alignment.ages_s(now_s)
        times = (now_s, when.period_s, when.lateness_s, alignment.oldest_s(ages_s), *stages)
        record.fill((counters.records, *times, missed, commanded, math.nan, place, alignment.skew_s, *ages_s))
        if step is not None and step.act is not None:
            self._note(active, step, step.act, now_s)
            inference_s = when.inferred - when.assembled
            record["inference_s"] = inference_s if math.isnan(step.inference_s) else step.inference_s
        self._outputs.latency(record)
        self._statistics.add(record)
        counters.records += 1
        counters.deadline_misses += missed

    def _note(self, active: ActivePolicy, step: Step, act: Act, now_s: float) -> None:
        """Record the policy's result."""
        self._counters.decisions += 1
        active.guards.check_limits(step.actions)
        if self._decisions and step.window is not None:
            decision = active.decision
            decision.fill(self._counters.records, now_s, act, step.actions[0], step.window, step.goal)
            self._outputs.decision(decision)
        if act.novelty is not None:
            self._record["novelty"] = act.novelty
        if act.expert is not None:
            self._outputs.expert(act.expert)
            self._counters.expert_switches += self.expert not in (None, act.expert)
            self.expert = act.expert
