"""Health, counters and percentiles of a policy node for `/diagnostics`."""

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from vdd_ros.control.loop import PolicyLoop
from vdd_ros.control.observer import GOAL
from vdd_ros.control.timing import LatencyStatistics
from vdd_ros.text import printable

ONLY_IN_INFO = ("parameters", "versions", "providers", "ros")
"""Keys of `~/policy_info` that `/diagnostics` does not repeat every second."""
LONGEST = 1000
"""Length limit of a text in `/diagnostics`, which may come from a file or the network."""
STAGES = (
    *("lateness_s", "observation_age_s", "assemble_s", "inference_s", "publish_s", "total_s", "bookkeeping_s"),
    "skew_s",
)


class Health:
    """Judges a loop once per second: only problems new since the last call count.

    Args:
        loop: The loop.
        overdue_s: Returns the running time of an overdue tick in seconds; 0 if none is overdue.
        explain: Explains why inputs have no value, given those of which unusable messages arrive.
    """

    def __init__(
        self,
        loop: PolicyLoop,
        overdue_s: Callable[[], float] = lambda: 0.0,
        explain: Callable[[Sequence[str], Collection[str]], str] = lambda _, __: "",
    ) -> None:
        self._loop = loop
        self._explain = explain
        self._overdue_s = overdue_s
        self._before: dict[str, int] = {}
        self._unusable: dict[str, int] = {}
        self._now_s = -math.inf

    def judge(self, now_s: float) -> tuple[bytes, str]:
        """Return the level and the message of an active node."""
        episodes, new = self._loop.episodes, self._new_since()
        comes = self._unusable_since(new)
        if episodes.running:
            return self._judge(now_s, new, comes)
        level = DiagnosticStatus.ERROR if episodes.failed else DiagnosticStatus.OK
        return level, f"{episodes.phase.value}, nothing is commanded: {episodes.reason}"

    def _judge(self, now_s: float, new: dict[str, int], comes: Collection[str]) -> tuple[bytes, str]:
        """Return the level and the message of a running node, from the increase of each counter.

        Args:
            now_s: Time in seconds.
            new: The increase of each counter.
            comes: Inputs of which unusable messages have arrived.
        """
        loop = self._loop
        refused = new["refused_messages"] + new["refused_goals"]
        before_s, self._now_s = self._now_s, now_s
        if overdue_s := self._overdue_s():
            return DiagnosticStatus.ERROR, f"a tick has been running for {overdue_s:.1f} s; nothing is commanded"
        if now_s == before_s:
            return DiagnosticStatus.STALE, "simulated time does not advance, so nothing ticks: is /clock published?"
        if loop.observer.missing():
            missing = loop.observer.missing()
            why = self._around(missing, comes) + self._why(refused) + self._others(missing, new["other_joints"])
            return DiagnosticStatus.WARN, f"waiting for {', '.join(missing)}" + why
        if stale := loop.observer.stale(now_s):
            why = self._around(stale, comes) + self._why(refused) + self._others(stale, new["other_joints"])
            return DiagnosticStatus.STALE, f"stale: {', '.join(stale)}; nothing is commanded" + why
        if distrust := self._distrust(now_s):
            return DiagnosticStatus.ERROR, f"nothing is commanded: {distrust}"
        frozen = loop.commander.following.frozen
        waits = new["waiting"] if new["waiting"] == new["ticks"] else 0  # one or two ticks at the start are normal
        last = loop.swap.last_refused
        problems = (
            (
                "ticks so far, all without a first result or, with start_gate: window, without a full window",
                waits,
                "",
            ),
            ("commands that waited for the robot", new["waited"], f", more than max_error from {self._waited()}"),
            ("inputs that did not change although commands did", len(frozen), f", {', '.join(frozen)}"),
            ("ticks that commanded nothing", new["skewed"], f", {self._skew()}"),
            ("actions outside the limits in the policy file", new["outside_limits"], ""),
            ("non-finite actions, dropped", new["refused_actions"], ""),
            ("commands dropped since the robot is more than a step outside its range", new["unreachable"], ""),
            ("first commands dropped, too far from the measured position", new["first_refused"], ""),
            ("late actions, dropped", new["overruns"], ""),
            ("ticks still running past their time limit", new["hangs"], ""),
            ("failed calls of loss_service", new["failed_calls"], ""),
            ("failed goals of an action", new["failed_goals"], ""),
            ("out-of-distribution observations", new["novel"], ""),
            ("refused messages", refused, self._why(refused)),
            ("missed deadlines", new["deadline_misses"], ""),
            ("backward clock jumps", new["clock_jumps"], ""),
            ("refused policy files", new["refused_policies"], f"; the previous one stays active: {last}"),
        )
        found = [f"{problem}: {count}{detail}" for problem, count, detail in problems if count]
        return (DiagnosticStatus.WARN, "; ".join(found)) if found else (DiagnosticStatus.OK, "running")

    def _new_since(self) -> dict[str, int]:
        """Return the increase of each counter since the last call."""
        limits = self._loop.commander.limits
        now = asdict(self._loop.counters) | {"refused_actions": limits.refused, "unreachable": limits.unreachable}
        now["waited"] = int(limits.waited.sum())
        before, self._before = self._before, now
        return {name: value - before.get(name, 0) for name, value in now.items()}

    def _skew(self) -> str:
        """Describe the time between the stamps of the inputs."""
        alignment = self._loop.observer.alignment
        if alignment.last is None:
            return ""
        oldest, newest, skew_s = alignment.last
        limit_s = alignment.max_skew_s
        return f"the stamp of {oldest} was {skew_s:.3f} s before that of {newest}, and max_skew_s is {limit_s:g}"

    def _distrust(self, now_s: float) -> str:
        """Return why the robot's messages are not trusted; empty if they are."""
        observer, commander = self._loop.observer, self._loop.commander
        if observer.alignment.skew_s > observer.alignment.max_skew_s:
            return self._skew()
        if doubted := observer.doubted(now_s, starting=commander.starting):
            return f"messages contradict each other: {', '.join(doubted)}; last refused: {observer.last_refusal}"
        return commander.blocked or commander.obstacle

    def _waited(self) -> str:
        """Return the names of the command numbers that have waited."""
        limits, labels = self._loop.commander.limits, self._loop.commander.channel.labels
        return ", ".join(label for label, count in zip(labels, limits.waited, strict=True) if count)

    def _why(self, refused: int) -> str:
        return f"; last refused: {self._loop.observer.last_refusal}" if refused else ""

    def _unusable_since(self, new: Mapping[str, int]) -> set[str]:
        """Return the inputs of which unusable messages have arrived since the last call."""
        now, before = dict(self._loop.observer.unusable), self._unusable
        self._unusable = now
        found = {name: max(0, count - before.get(name, 0)) for name, count in now.items()}
        comes = {name for name, count in found.items() if count} | ({GOAL} if new["refused_goals"] else set())
        undecoded = new["refused_messages"] + new["other_joints"] > sum(found.values())  # of whichever input
        return comes | set(now) if undecoded else comes

    def _around(self, inputs: Sequence[str], comes: Collection[str]) -> str:
        why = self._explain(inputs, comes)
        return f": {why}" if why else ""

    def _others(self, inputs: Iterable[str], new: int) -> str:
        others = self._loop.observer.others(inputs) if new else ""
        return f"; {others}" if others else ""


def loop_values(loop: PolicyLoop, statistics: LatencyStatistics) -> dict[str, int | float | str]:
    """Return counters, rates, and percentiles as texts in milliseconds."""
    values: dict[str, int | float | str] = asdict(loop.counters)
    limits, labels = loop.commander.limits, loop.commander.channel.labels
    values |= {"refused_actions": limits.refused, "unreachable": limits.unreachable}
    values["expert_switch_rate"] = loop.counters.expert_switches / max(1, loop.counters.decisions - 1)
    values["last_refused_policy"] = loop.swap.last_refused
    for index, label in enumerate(labels):
        values[f"limited_range.{label}"] = int(limits.out_of_range[index])
        values[f"limited_step.{label}"] = int(limits.too_far[index])
        values[f"limited_error.{label}"] = int(limits.waited[index])
    for name, count in loop.commander.following.times_frozen.items():
        values[f"frozen.{name}"] = count
    for name, count in loop.observer.contradictions.items():
        values[f"contradictions.{name}"] = count
    for name, count in loop.observer.too_fast.items():
        values[f"too_fast.{name}"] = count
    for name, count in loop.observer.times_stale.items():
        values[f"stale.{name}"] = count
    for stage in STAGES:
        found = statistics.percentiles(stage)
        name = stage.removesuffix("_s")
        values |= {f"{name}_p{p}_ms": f"{1e3 * getattr(found, f'p{p}'):.4f}" for p in (50, 95, 99)}
        values["statistics_count"] = found.count
    return values


def key_values(values: Mapping[str, object]) -> list[KeyValue]:
    """Return values for diagnostics: non-text as JSON, long texts clipped."""
    return [
        KeyValue(
            key=printable(key),
            value=printable(value, LONGEST) if isinstance(value, str) else json.dumps(value, default=int),
        )
        for key, value in values.items()
    ]
