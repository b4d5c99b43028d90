"""Runs the demo for minutes or hours; judges memory, records and deadlines."""

import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np

from vdd_ros.bags.latency import NodeLatency, read_latency_bag
from vdd_ros.console import show
from vdd_ros.demo.demo import Demo
from vdd_ros.demo.result_folder import REPORT, result_folder
from vdd_ros.demo.run import Run, execute
from vdd_ros.demo.soak_judge import WARM_UP_S, Floats, Growth, judge_memory, judge_record, problems
from vdd_ros.documents import Json, JsonObject, json_object, to_json, write_json
from vdd_ros.errors import ProcessError, RecordingError, VddError
from vdd_ros.evaluation.latency.deadline_misses import DeadlineMiss, judge_deadlines, judge_silences
from vdd_ros.host.monitor import HostMonitor, Preemptions
from vdd_ros.host.realtime import HostFacts, host_facts
from vdd_ros.progress import progress
from vdd_ros.running.node_processes import NodeProcesses
from vdd_ros.running.signals import interruptible_once

MADE_BY = "vdd soak"
ROBOT = "sim_robot"
SAMPLE_S = 1.0
POLL_S = 0.1
EPISODES_A_SECOND = 1.0
"""More than possible: an episode of Avoiding takes three seconds."""


class _Outcome(TypedDict, total=False):
    reason: str
    problems: list[str]
    memory: list[JsonObject]
    ticks: dict[str, int]
    misses: list[JsonObject]
    host_away: dict[str, Json]


class SoakReport(_Outcome):
    """Content of `report.json` of a soak.

    Attributes:
        made_by: The command.
        status: `passed`, `failed` or `interrupted`.
        seconds: Planned duration.
        host: Facts of the host.
        reason: Why the soak failed; absent unless a node or the record failed. The fields below are absent then.
        problems: A text for each check that failed.
        memory: For each node the attributes of `Growth`, and `growth_mb`.
        ticks: Node to its number of ticks.
        misses: The attributes of each `DeadlineMiss`, and `explained`; null if the host monitor failed.
        host_away: `wakes` of the host monitor, and for the monitor and each node `times`, `longest_s` and `sum_s` of
            the preemptions.
    """

    made_by: str
    status: str
    seconds: float
    host: HostFacts


class _Sums(TypedDict):
    times: int
    longest_s: float
    sum_s: float


def soak(demo: Demo, seconds: float, warm_up_s: float = WARM_UP_S) -> SoakReport:
    """Run the nodes of a demo for a while, judge them, print the table and write `report.json` and `soak.png`.

    Args:
        demo: The demo; episodes follow one another until the time is over.
        seconds: Duration.
        warm_up_s: Memory must not grow after this time, seconds.

    Returns:
        The content of `report.json`.

    Raises:
        ConfigurationError: The folder holds anything other than results of this command.
        VddError: A node does not start, or there is no record.
    """
    report: SoakReport = {"made_by": MADE_BY, "status": "interrupted", "seconds": seconds, "host": host_facts()}
    with result_folder(demo.out, MADE_BY):
        try:
            with interruptible_once():
                seen = _observe(demo, seconds)
                _judge(demo, seen, warm_up_s, report)
        except VddError as error:
            report["status"], report["reason"] = "failed", str(error)
            raise
        finally:
            write_json(demo.out / REPORT, report)
    return report


@dataclass(frozen=True)
class Seen:
    """Observations of the running nodes from outside.

    Attributes:
        began_s: Time of the first sample of memory, seconds since the epoch.
        seconds: (n,) times of the samples, since the first.
        megabytes: Node to its resident memory, (n,) in MB.
        monitor: The host monitor.
        ended: Why a node or the host monitor failed; empty if none did.
    """

    began_s: float
    seconds: Floats
    megabytes: dict[str, Floats]
    monitor: HostMonitor
    ended: str


def _observe(demo: Demo, seconds: float) -> Seen:
    """Run the nodes and sample the memory of each once a second."""
    times: list[float] = []
    memory: dict[str, list[float]] = {}
    monitors: list[HostMonitor] = []

    def watch(nodes: NodeProcesses, _run: Run) -> None:
        began = time.monotonic()
        monitor = HostMonitor(demo.out / "host_monitor.npz", {name: nodes.pids[name] for name in (*demo.files, ROBOT)})
        monitors.append(monitor)
        with monitor, progress(round(seconds), "soak", "second") as bar:
            while (now := time.monotonic() - began) < seconds:
                monitor.check()
                if nodes.ended(ROBOT):
                    raise ProcessError("the simulated robot ended before the soak did; raise its episodes")
                if now >= len(times) * SAMPLE_S:
                    times.append(now)
                    for name, pid in nodes.pids.items():
                        memory.setdefault(name, []).append(resident_mb(pid))
                    bar.update(int(now) - bar.n)
                time.sleep(POLL_S)
        nodes.stop(ROBOT)

    episodes = int(EPISODES_A_SECOND * seconds * demo.speed) + 10
    ended, began_s = "", time.time()
    try:
        execute(Run("soak", demo.out / "bag", demo.out / "log", demo.files, episodes, demo.seed, demo.speed), watch)
    except ProcessError as error:
        if not times:
            raise
        ended = str(error)
    return Seen(began_s, np.array(times), {n: np.array(m) for n, m in memory.items()}, monitors[0], ended)


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process in MB (2**20 bytes), as the kernel counts it; NaN if it has ended.

    Adding up its pages (smaps_rollup) would block the process for milliseconds.
    """
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    except OSError:
        return float("nan")
    return pages * resource.getpagesize() / 2**20 or float("nan")


def _judge(demo: Demo, seen: Seen, warm_up_s: float, report: SoakReport) -> None:
    """Fill the report, draw the figure, print the table."""
    from vdd_ros.demo.soak_figure import save_figure

    try:
        latencies = read_latency_bag(demo.out / "bag")
    except RecordingError as error:
        raise (ProcessError(f"{seen.ended}\n{error}") if seen.ended else error) from None
    growths = [judge_memory(name, seen.seconds, values, warm_up_s) for name, values in seen.megabytes.items()]
    records = [judge_record(node.node, node.sequence) for node in latencies]
    misses = [miss for node in latencies for miss in _misses(node, seen.monitor)]
    blind = seen.monitor.failure
    wrong = problems(growths, records, [] if blind else misses)
    wrong += dict.fromkeys(filter(None, (seen.ended, blind)))
    report["status"] = "failed" if wrong else "passed"
    report["problems"] = wrong
    report["memory"] = [{**json_object(growth), "growth_mb": to_json(growth.growth_mb)} for growth in growths]
    report["ticks"] = {node.node: len(node.values) for node in latencies}
    report["misses"] = [{**json_object(miss), "explained": None if blind else miss.explained} for miss in misses]
    preempted = {"monitor": seen.monitor.own, **seen.monitor.nodes}
    sums = {name: to_json(_sums(one)) for name, one in preempted.items()}
    report["host_away"] = {"wakes": seen.monitor.wakes, **sums}
    show(_table(growths, latencies, misses, seen.monitor))
    show("\n".join(wrong) if wrong else "no memory grew, no record is missing, no missed deadline is unexplained")
    save_figure(demo.out / "soak.png", seen.began_s, seen.seconds, seen.megabytes, misses, warm_up_s)
    show(f"see {demo.out}/soak.png, {demo.out}/report.json and the bag {demo.out}/bag")


def _misses(latency: NodeLatency, monitor: HostMonitor) -> list[DeadlineMiss]:
    """Return a node's missed deadlines; for ticks without an action, preemptions of its inputs' source count too."""
    monitors = [monitor.own, monitor.nodes[latency.node.rpartition("/")[2]]]
    late = judge_deadlines(latency, monitors)
    silent = judge_silences(latency, [*monitors, monitor.nodes[ROBOT]])
    return sorted({miss.seq: miss for miss in late + silent}.values(), key=lambda miss: miss.seq)


def _sums(preemptions: Preemptions) -> _Sums:
    away = preemptions.spans[:, 1] - preemptions.spans[:, 0]
    return {"times": len(away), "longest_s": float(away.max(initial=0.0)), "sum_s": float(away.sum())}


def _table(
    growths: list[Growth], latencies: list[NodeLatency], misses: list[DeadlineMiss], monitor: HostMonitor
) -> str:
    row = "  {:<16}{:>14}{:>14}{:>12}{:>10}{:>10}{:>14}"
    lines = [row.format("", "MB after 1 min", "MB at the end", "growth, MB", "ticks", "missed", "unexplained")]
    nodes = {node.node.rpartition("/")[2]: node for node in latencies}
    for growth in growths:
        counts = ["", "", ""]
        if node := nodes.get(growth.name):
            own = [miss for miss in misses if miss.node == node.node]
            counts = [str(len(node.values)), str(len(own)), str(sum(not miss.explained for miss in own))]
            counts[2] = "?" if monitor.failure else counts[2]
        memory = (growth.before_mb, growth.after_mb, growth.growth_mb)
        lines.append(
            row.format(growth.name, *("–" if np.isnan(value) else f"{value:.2f}" for value in memory), *counts)
        )
    for name, preemptions in {"the host monitor": monitor.own, **monitor.nodes}.items():
        away = _sums(preemptions)
        lines.append(f"  the host was away from {name} for {away['sum_s']:.2f} s, {away['longest_s']:.3f} s at a time")
    return "\n".join(lines)
