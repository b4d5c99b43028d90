"""Inference times of many policies, measured alone and by turns, so that their ratios hold."""

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter
from typing import TypedDict

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
    """How long one action takes, in seconds.

    Keys:
        inference_s_p50: Median, s.
        inference_s_interval: 95 % interval of the median, s.
    """

    inference_s_p50: float
    inference_s_interval: list[float]


def measure_latency(files: list[Path], rounds: int = ROUNDS) -> list[InferenceTime]:
    """Time `OnnxPolicy.act` in one thread: each policy in turn a few calls, many rounds long.

    Args:
        files: Policy files.
        rounds: Rounds of `CALLS` calls each.

    Returns:
        For each file `inference_s_p50` and `inference_s_interval`, the 95 % interval of that median.
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
    """Return a call of a policy at the mean observation, as goal too."""
    spec = policy.spec
    mean = np.array(spec.statistics.observation_mean, np.float32)
    window = np.tile(mean, (spec.history, 1))
    goal = np.tile(mean, (spec.goal_length, 1)) if spec.goal_length else None
    return lambda: policy.act(window, goal)


def measure_trials(folders: list[Path]) -> list[Record]:
    """Measure the finished trials in some folders, unless one run has measured them all; return their records."""
    records = {folder: record for folder in folders if (record := read_json(folder / TRIAL_FILE))}
    runs = {record["inference_at"] for record in records.values()}
    if len(runs) == 1 and None not in runs:
        return list(records.values())
    run = {"inference_at": datetime.now(timezone.utc).isoformat(), "inference_machine": machine_facts()}
    times = measure_latency([folder / POLICY_FILE for folder in records])
    for (folder, record), measured in zip(list(records.items()), times, strict=True):
        records[folder] = record | measured | run
        write_json(folder / TRIAL_FILE, records[folder])
    return list(records.values())
