"""`vdd benchmark realtime --policies`: the ticks of policies of several tasks, each with its task's robot file."""

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypedDict

import numpy as np

from vdd_ros.benchmark.markdown_block import fill_block
from vdd_ros.benchmark.realtime import judge
from vdd_ros.benchmark.realtime.figures import Percentiles
from vdd_ros.benchmark.realtime.measurements import Measurements
from vdd_ros.errors import ConfigurationError
from vdd_ros.host.facts import RuntimeVersions, runtime_versions
from vdd_ros.host.realtime import HostFacts, host_facts
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.tasks import Task, get_task
from vdd_ros.text import counted, printable

MADE_BY = "vdd benchmark realtime --policies"
RATE_HZ = 200.0
SECONDS = 3.0
BEGIN, END = "<!-- policies: begin -->", "<!-- policies: end -->"


class PolicyTicks(TypedDict):
    """Ticks of a policy's node.

    Attributes:
        task: Name of the policy's task.
        method: Method that made the policy.
        observation, horizon, action: Entries of an observation, actions of a chunk, and entries of an action.
        over_parts: Tick over baseline of each round.
        p99_over_p50: 99th percentile of a tick over its median, of each round.
        tick_s, parts_s: Ticks and baselines of all rounds, s.
        missed_by_a_period: Ticks that ended later than a period after the next one was due.
    """

    task: str
    method: str
    observation: int
    horizon: int
    action: int
    over_parts: list[float]
    p99_over_p50: list[float]
    tick_s: Percentiles
    parts_s: Percentiles
    missed_by_a_period: int


class PoliciesRecord(TypedDict):
    """Ticks of several policies.

    Attributes:
        made_by: The command.
        at: Time of the end, ISO 8601.
        machine, versions: Machine and software.
        policies: Ticks of each, in the given order.
    """

    made_by: str
    at: str
    machine: HostFacts
    versions: RuntimeVersions
    policies: list[PolicyTicks]


def measure_policies(files: Sequence[Path], rounds: int, ended: Callable[[], None] = lambda: None) -> PoliciesRecord:
    """Measure ticks and their baseline at 200 Hz, all policies in each round, so that a slower minute touches all.

    Args:
        files: Policy files, each of a task with a robot file.
        rounds: Number of rounds, at least 1, of 3 s of ticks and 3 s of their baseline for each policy.
        ended: Called after each policy of a round.

    Raises:
        PolicyFileError: A file is not a policy that can run here.
        ConfigurationError: A policy names no task.
        TaskError: A policy's task is unknown or has no robot file.
        ProcessError: A measurement failed.
    """
    specs = [OnnxPolicy.load(file).spec for file in files]
    tasks = [_task_of(file, spec) for file, spec in zip(files, specs, strict=True)]
    ticks: list[list[judge.Floats]] = [[] for _ in files]
    parts: list[list[judge.Floats]] = [[] for _ in files]
    missed = [0] * len(files)
    with TemporaryDirectory(prefix="vdd_policies_") as folder:
        nodes = [Measurements(file.resolve(), task, Path(folder)) for file, task in zip(files, tasks, strict=True)]
        for _ in range(rounds):
            for index, measurements in enumerate(nodes):
                found = measurements.node(RATE_HZ, SECONDS)
                ticks[index].append(judge.tick_times(found))
                missed[index] += judge.punctuality(found, RATE_HZ)["missed_by_a_period"]
                parts[index].append(measurements.parts(RATE_HZ, SECONDS))
                ended()
    policies: list[PolicyTicks] = []
    for task, spec, tick, part, late in zip(tasks, specs, ticks, parts, missed, strict=True):
        over, tails = judge.tick_ratios(tick, part)
        policies.append(
            {
                "task": task.spec.name,
                "method": spec.method,
                "observation": spec.obs_dim,
                "horizon": spec.horizon,
                "action": spec.act_dim,
                "over_parts": over,
                "p99_over_p50": tails,
                "tick_s": judge.percentiles(np.concatenate(tick)),
                "parts_s": judge.percentiles(np.concatenate(part)),
                "missed_by_a_period": late,
            }
        )
    return {
        "made_by": MADE_BY,
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": host_facts(),
        "versions": runtime_versions(),
        "policies": policies,
    }


def _task_of(file: Path, spec: PolicySpec) -> Task:
    if spec.task is None:
        raise ConfigurationError(
            f"{printable(file)} names no task, so there is no robot to run it with; choose policies of tasks, as "
            "exported from demonstrations of vdd demos"
        )
    return get_task(spec.task)


def render(record: PoliciesRecord) -> str:
    """Return the figures as Markdown, for the terminal too."""
    machine, rounds = record["machine"], len(record["policies"][0]["over_parts"])
    preface = (
        f"Measured {record['at'][:16].replace('T', ' ')} UTC, {counted(rounds, 'round')} of {SECONDS:g} s. "
        f"{counted(machine['cores'], 'core')} of {machine['cpu']}, ONNX Runtime {record['versions']['onnxruntime']}."
    )
    heads = ("policy", "observation", "chunk", "tick, µs", "baseline, µs", "tick over baseline", "p99 over median")
    lines = [(*heads, "missed by a period"), ("---",) * (len(heads) + 1)]
    lines += [
        (
            f"{one['task']}, {one['method']}",
            str(one["observation"]),
            f"{one['horizon']} × {one['action']}",
            f"{1e6 * one['tick_s']['p50']:.0f}",
            f"{1e6 * one['parts_s']['p50']:.0f}",
            f"{median(one['over_parts']):.2f}",
            f"{median(one['p99_over_p50']):.2f}",
            f"{one['missed_by_a_period']} of {one['tick_s']['count']:,}",
        )
        for one in record["policies"]
    ]
    aims = ("*aim*", "", "", "", "", "1.3 at most", "2 at most", "0")
    return "\n".join([preface, "", *(f"| {' | '.join(line)} |" for line in [*lines, aims])])


def update_page(page: Path, record: PoliciesRecord) -> None:
    """Put the figures between the marks of a page; raises ConfigurationError if it lacks them."""
    fill_block(page, BEGIN, END, render(record))
