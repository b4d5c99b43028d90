"""A student against teachers of the same backbone with N sampling steps, as policy files and in eager torch.

Imports torch: import it lazily.
"""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from vdd_ros.benchmark.realtime.figures import NetworkComparison
from vdd_ros.evaluation.latency.summary import median_interval
from vdd_ros.learning.configs import shaped
from vdd_ros.learning.diffusion.teacher import Teacher, TeacherConfig
from vdd_ros.learning.export.graphs import DiffusionGraph, MixtureGraph
from vdd_ros.learning.export.onnx_graph import write_graph
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.learning.methods.configs import DistilConfig, ExportConfig, TrainConfig
from vdd_ros.learning.methods.presets import TRAIN_PRESETS, VDD_PRESETS
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.spec import METADATA_KEY, PolicySpec
from vdd_ros.progress import each

STEPS = (4, 8, 16)
CALLS = 10
WARM_UP = 10

Call = Callable[[], object]
Floats = NDArray[np.float64]


def compare_networks(
    student: PolicySpec, teacher: PolicySpec, backbone: str, folder: Path, rounds: int
) -> NetworkComparison:
    """Time untrained networks alternately, in one thread: training does not change the time of a pass.

    Args:
        student: Metadata of a student, whose task and statistics its network gets.
        teacher: Metadata of a teacher, for the teachers' networks.
        backbone: `gpt` or `mlp`, in the default sizes of `vdd train` and `vdd distil`.
        folder: Folder for the policy files.
        rounds: Number of rounds, each with ten calls of each network.
    """
    torch.set_num_threads(1)
    calls: dict[str, Call] = {}
    for name, graph, spec in _graphs(student, teacher, backbone):
        inputs = _inputs(graph, spec)
        file = folder / f"{backbone}_{name.replace(' ', '_')}.onnx"
        write_graph(graph, inputs, file)
        model = onnx.load(file)
        onnx.helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
        onnx.save(model, file)
        calls[name] = _act(OnnxPolicy.load(file), inputs["observation"][0])
        calls[f"{name} torch"] = _eager(graph, inputs)
    times = _by_turns(calls, rounds)
    return {
        "seconds": {
            name: {"p50": float(np.median(taken)), "interval": list(median_interval(np.sort(taken.ravel())))}
            for name, taken in times.items()
        },
        "speedup": {str(n): speedup(times[f"teacher {n}"], times["student"]) for n in STEPS},
        "speedup_torch": {str(n): speedup(times[f"teacher {n} torch"], times["student torch"]) for n in STEPS},
    }


def speedup(slow: Floats, fast: Floats) -> float:
    """Return the ratio of two times: the median over the rounds of the ratio of their medians in a round.

    The host is not equally fast in every round, so that only times of the same round are compared.

    Args:
        slow: (rounds, calls) times, s, of the numerator.
        fast: (rounds, calls) times, s, of the denominator.
    """
    return float(np.median(np.median(slow, axis=1) / np.median(fast, axis=1)))


def _graphs(
    student: PolicySpec, teacher: PolicySpec, backbone: str
) -> list[tuple[str, MixtureGraph | DiffusionGraph, PolicySpec]]:
    """Return untrained networks: name, graph, and the metadata of its file."""
    train = TrainConfig(**(TRAIN_PRESETS["mlp"] if backbone == "mlp" else {}))
    distil = DistilConfig(**(VDD_PRESETS["mlp"] if backbone == "mlp" else {}))
    sizes: dict[str, Any] = {
        "history": train.history,
        "obs_dim": student.obs_dim,
        "horizon": student.horizon,
        "act_dim": student.act_dim,
    }
    torch.manual_seed(0)
    policy = MixtureStudent(shaped(StudentConfig, distil, sizes))
    denoiser = Teacher(shaped(TeacherConfig, train, sizes, kind="ddpm"))
    spec = replace(student, history=train.history, experts=distil.experts, covariance=distil.covariance, novelty=None)
    found: list[tuple[str, MixtureGraph | DiffusionGraph, PolicySpec]] = [
        ("student", MixtureGraph(policy, _statistics(student)).eval(), spec)
    ]
    how = ExportConfig()
    for steps in STEPS:
        graph = DiffusionGraph(denoiser, _statistics(teacher), steps, how.sampler, how.schedule)
        described = replace(teacher, history=train.history, sampling_steps=steps, novelty=None)
        found.append((f"teacher {steps}", graph.eval(), described))
    return found


def _statistics(spec: PolicySpec) -> Statistics:
    known = spec.statistics
    lists = {
        "observation_mean": known.observation_mean,
        "observation_std": known.observation_std,
        "action_mean": known.action_mean,
        "action_std": known.action_std,
        "action_low": [entry.low for entry in spec.action],
        "action_high": [entry.high for entry in spec.action],
    }
    return Statistics.from_lists({name: list(values) for name, values in lists.items()})


def _inputs(graph: MixtureGraph | DiffusionGraph, spec: PolicySpec) -> dict[str, NDArray[Any]]:
    drawn: dict[str, NDArray[Any]] = {
        "observation": np.tile(np.array(spec.statistics.observation_mean), (1, spec.history, 1)),
        "noise": np.random.default_rng(0).standard_normal((1, *graph.noise_shape)),
        "expert_uniform": np.array([0.5]),
    }
    return {name: drawn[name].astype(np.float32) for name in graph.inputs}


def _act(policy: OnnxPolicy, window: NDArray[Any]) -> Call:
    return lambda: policy.act(window)


def _eager(graph: MixtureGraph | DiffusionGraph, inputs: dict[str, NDArray[Any]]) -> Call:
    tensors = [torch.from_numpy(value) for value in inputs.values()]

    def call() -> object:
        with torch.inference_mode(), warnings.catch_warnings():
            return graph(*tensors)

    return call


def _by_turns(calls: dict[str, Call], rounds: int) -> dict[str, Floats]:
    """Return the seconds of each call, (rounds, CALLS)."""
    times: dict[str, Floats] = {name: np.empty((rounds, CALLS)) for name in calls}
    for number in each(range(rounds), rounds, "networks in alternation", "round"):
        for name, call in calls.items():
            for _ in range(WARM_UP):
                call()
            for turn in range(CALLS):
                began = perf_counter()
                call()
                times[name][number, turn] = perf_counter() - began
    return times
