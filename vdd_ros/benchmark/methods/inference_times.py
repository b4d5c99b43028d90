"""Inference times of many policies, measured alternately on an otherwise idle machine, so that their ratios hold."""

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter
from typing import TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from vdd_ros.benchmark.methods.clock import read_json
from vdd_ros.benchmark.methods.results import Record
from vdd_ros.benchmark.methods.runner import POLICY_FILE, TRIAL_FILE
from vdd_ros.documents import write_json
from vdd_ros.evaluation.latency.summary import median_interval
from vdd_ros.host.facts import machine_facts
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.progress import each

ROUNDS = 30
CALLS = 10
WARM_UP = 3


class InferenceTime(TypedDict):
    """The time of one action.

    Attributes:
        inference_s_p50: Median, s.
        inference_s_interval: 95 % interval of the median, s.
    """

    inference_s_p50: float
    inference_s_interval: list[float]


def measure_latency(files: list[Path], rounds: int = ROUNDS) -> list[InferenceTime]:
    """Time `OnnxPolicy.act` in one thread, with the policies in alternation over many rounds.

    Args:
        files: Policy files.
        rounds: Number of rounds, each with `CALLS` calls of each policy.

    Returns:
        The time of each file, in order.
    """
    acts = [_caller(OnnxPolicy.load(file)) for file in files]
    times: list[NDArray[np.float64]] = [np.empty((rounds, CALLS)) for _ in files]
    for number in each(range(rounds), rounds, "inference times", "round"):
        for act, taken in zip(acts, times, strict=True):
            for _ in range(WARM_UP):
                act()
            for call in range(CALLS):
                start = perf_counter()
                act()
                taken[number, call] = perf_counter() - start
    return [
        {
            "inference_s_p50": float(np.median(taken)),
            "inference_s_interval": list(median_interval(np.sort(taken, axis=None))),
        }
        for taken in times
    ]


def _caller(policy: OnnxPolicy) -> Callable[[], object]:
    """Return a call of a policy at the mean observation, which is its goal too."""
    spec = policy.spec
    mean = np.array(spec.statistics.observation_mean, np.float32)
    window = np.tile(mean, (spec.history, 1))
    goal = np.tile(mean, (spec.goal_length, 1)) if spec.goal_length else None
    return lambda: policy.act(window, goal)


def measure_trials(folders: list[Path]) -> list[Record]:
    """Time the finished trials in some folders, unless a single run has timed them all; return their records."""
    read = {folder: read_json(folder / TRIAL_FILE) for folder in folders}
    records = {folder: cast(Record, record) for folder, record in read.items() if record}
    runs = {record["inference_at"] for record in records.values()}
    if len(runs) == 1 and None not in runs:
        return list(records.values())
    at, machine = datetime.now(timezone.utc).isoformat(), machine_facts()
    times = measure_latency([folder / POLICY_FILE for folder in records])
    for (folder, record), measured in zip(records.items(), times, strict=True):
        record["inference_s_p50"] = measured["inference_s_p50"]
        record["inference_s_interval"] = measured["inference_s_interval"]
        record["inference_at"], record["inference_machine"] = at, machine
        write_json(folder / TRIAL_FILE, record)
    return list(records.values())
