"""Parity check: a policy file and its checkpoint compute the same function, compared on random inputs."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from vdd_ros.errors import ExportError
from vdd_ros.learning.configs import Sampler
from vdd_ros.learning.export.graphs import ChainGraph, DeterministicGraph, DiffusionGraph, MixtureGraph, OneStepGraph
from vdd_ros.learning.export.onnx_graph import Array, Inputs, PolicyGraph, Run, open_graph, run_torch, write_graph
from vdd_ros.learning.fit.checkpoint import CheckpointMetadata
from vdd_ros.policy.opsets import ATTENTION_OPSET
from vdd_ros.policy.selection import named_expert
from vdd_ros.policy.signature import PREFIX, PREFIX_INPUTS, PREFIX_STEPS
from vdd_ros.policy.spec import Parity
from vdd_ros.progress import each

MAX_ERROR = 1e-5
PARITY_BATCHES = 32
PARITY_BATCH = 64
EDGE = 1e-3
"""Distance from the edge of an expert's share at which rounding of a prefix's density might decide."""

Function: TypeAlias = Callable[[Inputs], Array]


def draw_inputs(
    graph: PolicyGraph | DeterministicGraph, metadata: CheckpointMetadata, batch: int, random: np.random.Generator
) -> Inputs:
    """Draw random inputs around the data, physical units, float32."""
    mean, std = (np.array(metadata.statistics[f"observation_{name}"]) for name in ("mean", "std"))
    drawn = {
        name: mean + 1.5 * std * random.standard_normal((batch, metadata.model[length], len(mean)))
        for name, length in (("observation", "history"), ("goal", "goal_length"))
    }
    drawn["noise"] = random.standard_normal((batch, *graph.noise_shape))
    drawn["expert_uniform"] = random.random(batch)
    inputs = {name: drawn[name].astype(np.float32) for name in graph.inputs if name not in PREFIX_INPUTS}
    return _with_prefix(graph, metadata, inputs, random) if PREFIX in graph.inputs else inputs


def _with_prefix(
    graph: PolicyGraph | DeterministicGraph, metadata: CheckpointMetadata, inputs: Inputs, random: np.random.Generator
) -> Inputs:
    """Add the policy's own actions as prefixes, of any length; others would be as good as impossible.

    Where rounding decides between two experts, because `expert_uniform` is at the edge of both, the first is named.
    """
    batch, horizon, act_dim = len(inputs["observation"]), metadata.model["horizon"], metadata.model["act_dim"]
    nothing = {PREFIX: np.zeros((batch, horizon, act_dim), np.float32), PREFIX_STEPS: np.zeros(batch, np.int64)}
    own = run_torch(graph, inputs | nothing)["action"]
    given = inputs | {PREFIX: own, PREFIX_STEPS: random.integers(0, horizon + 1, batch)}
    if "expert_uniform" in inputs:
        outputs = run_torch(graph, given)
        edges = outputs["gating"].astype(np.float64).cumsum(1)
        at_edge = (np.abs(edges - inputs["expert_uniform"][:, None]) < EDGE).any(1)
        given["expert_uniform"] = np.where(at_edge, named_expert(outputs["expert"]), inputs["expert_uniform"])
    return given


def measure_parity(
    graph: PolicyGraph, metadata: CheckpointMetadata, file: Path, seed: int, draws: Inputs, opset: int = ATTENTION_OPSET
) -> Parity:
    """Compare an ONNX file with torch on random inputs.

    Args:
        graph: The function that the file must compute.
        metadata: Metadata of the checkpoint.
        file: The ONNX file; it may lack inputs of the graph that `draws` holds.
        seed: Of the inputs.
        draws: Inputs (PARITY_BATCH, ...) in place of random ones.
        opset: Newest operator set of the file.

    Raises:
        ExportError: An action, or a sampling step of one, differs by more than 1e-5 standard deviations, and by more
            than a change of the inputs by 1e-5 causes; or the experts differ.
    """
    random = np.random.default_rng(seed)
    batches = [draw_inputs(graph, metadata, PARITY_BATCH, random) | draws for _ in range(PARITY_BATCHES)]
    run = open_graph(file, graph.outputs)
    largest, mismatches = 0.0, 0
    if isinstance(graph, DiffusionGraph):
        largest = _chain_error(graph, metadata, run, batches, file, opset)
    else:
        found = [_action_error(graph, metadata, run(inputs), inputs) for inputs in _shown(batches)]
        largest, mismatches = float(np.max([error for error, _ in found])), sum(count for _, count in found)
    parity = Parity(max_error=largest, expert_mismatches=mismatches, samples=PARITY_BATCHES * PARITY_BATCH)
    if not largest <= MAX_ERROR or mismatches:
        raise ExportError(
            f"the exported graph is not the same function: actions differ by up to {largest:.2g} standard deviations "
            f"(allowed: {MAX_ERROR:g}) and {mismatches} of {parity.samples} experts differ (allowed: 0)"
        )
    return parity


def _shown(batches: list[Inputs]) -> Iterator[Inputs]:
    return each(batches, len(batches), "parity with torch", "part")


def _action_error(
    graph: MixtureGraph | OneStepGraph, metadata: CheckpointMetadata, measured: Inputs, inputs: Inputs
) -> tuple[float, int]:
    """Return the largest action error, divided by the slope if above the limit, and the number of differing experts."""
    expected, mismatches = run_torch(graph, inputs), 0
    error = np.abs(measured["action"] - expected["action"]) / np.array(metadata.statistics["action_std"])
    error = error.reshape(len(error), -1).max(1)  # (B,)
    if "expert" in expected:
        mismatches = int((measured["expert"] != expected["expert"]).sum())
        inputs = inputs | {"expert_uniform": named_expert(expected["expert"])}  # so that no difference changes experts
    steep = error > MAX_ERROR
    if steep.any():
        few = {name: values[steep] for name, values in inputs.items()}
        error[steep] /= _slope(partial(_standard_action, graph, few), _moved(few), _input_units(metadata))
    return float(error.max()), mismatches


def _slope(function: Function, inputs: Inputs, units: Mapping[str, Any], step: float = 1e-2) -> Array:
    """Return a norm of the action's Jacobian with respect to the inputs, at least 1, (B,).

    A one-step policy jumps between modes as its noise crosses from one to the other, and so does a sampling step from a
    high level to a low one; an unused expert is arbitrary. There the function is steep, and any runtime amplifies
    rounding by the slope; central differences measure the slope.

    Args:
        function: Returns standardised actions, (B, ...).
        inputs: By name, (B, ...).
        units: Standard deviations of the inputs; 1 by default.
        step: Step of the differences, in standard deviations.
    """
    total = np.zeros(len(next(iter(inputs.values()))))
    for name, values in inputs.items():
        width = np.array(units.get(name, 1.0), np.float32) * np.ones(values.shape[1:], np.float32)
        for index in np.ndindex(*values.shape[1:]):
            ends = []
            for sign in (1, -1):
                moved = values.copy()
                moved[(slice(None), *index)] += sign * step * width[index]
                ends.append(function({**inputs, name: moved}))
            change = (ends[0] - ends[1]) / (2 * step)
            total += np.square(change).reshape(len(total), -1).sum(1)
    return np.maximum(np.sqrt(total), 1.0)


def _standard_action(graph: MixtureGraph | OneStepGraph, given: Inputs, moved: Inputs) -> Array:
    return run_torch(graph, given | moved)["action"] / graph.units.action_std.numpy()


def _moved(inputs: Inputs) -> Inputs:
    """Return the inputs of the Jacobian: all except the choice of the expert and the number of known actions."""
    return {name: values for name, values in inputs.items() if name not in ("expert_uniform", PREFIX_STEPS)}


def _input_units(metadata: CheckpointMetadata) -> dict[str, Any]:
    units: dict[str, Any] = dict.fromkeys(("observation", "goal"), metadata.statistics["observation_std"])
    return units | {PREFIX: metadata.statistics["action_std"]}


def _chain_error(
    graph: DiffusionGraph, metadata: CheckpointMetadata, run: Run, batches: list[Inputs], file: Path, opset: int
) -> float:
    """Return the largest error of any sampling step, in standard deviations.

    Where a chain passes between two modes it is as good as discontinuous: any two float32 evaluations diverge there. So
    torch takes each step from ONNX's state before it, which a copy of the graph outputs, and the file's own action must
    equal the last state.
    """
    chain_graph = ChainGraph(graph)
    aside = file.with_suffix(".chain")
    try:
        write_graph(chain_graph, batches[0], aside, opset)
        run_chain = open_graph(aside, chain_graph.outputs)
        return float(
            np.max(
                [
                    _step_error(graph, metadata, run(inputs)["action"], run_chain(inputs)["chain"], inputs)
                    for inputs in _shown(batches)
                ]
            )
        )
    finally:
        aside.unlink(missing_ok=True)


def _step_error(
    graph: DiffusionGraph, metadata: CheckpointMetadata, action: Array, chain: Array, inputs: Inputs
) -> float:
    units = graph.units
    given = {name: inputs[name] for name in graph.inputs if name != "noise"}
    draws = inputs["noise"].reshape(*inputs["noise"].shape[:2], -1)  # (B, steps, D)
    end = units.physical(units.limited(graph.drawn(torch.from_numpy(chain[:, -1:])))).numpy()
    errors = [
        float(np.abs(chain[:, 0] - draws[:, 0] * np.float32(graph.teacher.levels.start(graph.sigmas[0]))).max()),
        float(np.abs((end - action) / units.action_std.numpy()).max()),
    ]
    for k, (sigma, below) in enumerate(pairwise(graph.sigmas)):
        start, draw = {**given, "from": chain[:, k]}, draws[:, k + 1] if below else None
        taken = _take_step(graph, sigma, below, draw, start)
        error = np.abs(taken - chain[:, k + 1]) / _growth(graph.sampler, sigma, below)
        steep = (error > MAX_ERROR).any(1)
        if steep.any():
            few = {name: values[steep] for name, values in start.items()}
            step = partial(_take_step, graph, sigma, below, None if draw is None else draw[steep])
            error[steep] /= _slope(step, few, {**_input_units(metadata), "from": max(1.0, sigma)})[:, None]
        errors.append(float(error.max()))
    return float(np.max(errors))


def _take_step(graph: DiffusionGraph, sigma: float, below: float, draw: Array | None, inputs: Inputs) -> Array:
    """Take one sampling step with torch; `inputs` has the policy's inputs and the start of the step, `from` (B, D)."""
    given = [torch.from_numpy(inputs[name]) for name in graph.inputs if name != "noise"]
    start = torch.from_numpy(inputs["from"])[:, None]
    noise = None if draw is None else torch.from_numpy(draw)[:, None]
    with torch.no_grad():
        context = graph.teacher.encode(*graph.units.states(*given))
        return graph.teacher.step(context, start, sigma, below, graph.sampler, noise)[:, 0].numpy()


def _growth(sampler: Sampler, sigma: float, below: float) -> float:
    """Return a step's amplification of rounding errors in the network's output, at least 1.

    Noisy actions are as large as their level; Heun's method divides the second estimate by the lower level.
    """
    return max(1.0, below, (sigma - below) / (2 * below) if sampler == "heun" and below else 0.0)
