"""Export of checkpoints as policy files, and the proof that the file is the same function."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
from vdd_ros.errors import CheckpointError, DemonstrationError, ExportError
from vdd_ros.files import replacing
from vdd_ros.policy.selection import named_expert
from vdd_ros.policy.spec import (
    DIFFUSION_KINDS,
    METADATA_KEY,
    MIXTURE_KINDS,
    ONE_STEP_KINDS,
    SCHEMA_VERSION,
    ActionEntry,
    ObservationEntry,
    Parity,
    PolicySpec,
)
from vdd_ros.policy.spec import Novelty as SpecNovelty
from vdd_ros.policy.spec import Statistics as SpecStatistics
from vdd_ros.training.checkpoint import Card, load_model
from vdd_ros.training.consistency import load_one_step
from vdd_ros.training.dataset import Statistics
from vdd_ros.training.distil import load_student
from vdd_ros.training.graphs import ChainGraph, DiffusionGraph, MixtureGraph, NoveltyGraph, OneStepGraph
from vdd_ros.training.noise import Schedule
from vdd_ros.training.novelty import QUANTILE, Fitted, Novelty, fit_novelty
from vdd_ros.training.sampler import Sampler, passes
from vdd_ros.training.train import load_teacher

OPSET = 18
EXPORTER = "torch.onnx TorchScript"
MAX_ERROR = 1e-5
PARITY_BATCHES = 32
PARITY_BATCH = 64

Array: TypeAlias = NDArray[Any]
Inputs: TypeAlias = dict[str, Array]
Run: TypeAlias = Callable[[Inputs], Inputs]
Function: TypeAlias = Callable[[Inputs], Array]
PolicyGraph: TypeAlias = DiffusionGraph | MixtureGraph | OneStepGraph


@dataclass(frozen=True)
class ExportConfig:
    """How to export.

    Attributes:
        steps: Sampling steps of a diffusion policy, inside the graph; students have none.
        sampler: Of a diffusion policy: `ancestral` and `euler-ancestral` are stochastic, `ddim` and `euler` are not,
            `heun` asks the network twice a step.
        schedule: Noise levels that the sampler visits: even in the angle of DDPM's `cosine` schedule, `linear`,
            `exponential` or `karras`.
        seed: Of the inputs of the parity check, and of the fit of the novelty.
        novelty: Whether the file gets a density of the demonstrated observations, as one more output.
    """

    steps: int = 8
    sampler: Sampler = "ancestral"
    schedule: Schedule = "karras"
    seed: int = 0
    novelty: bool = True


def export(
    folder: Path,
    file: Path,
    config: ExportConfig,
    fidelity: dict[str, Any] | None = None,
    demonstrations: DemonstrationSet | None = None,
) -> PolicySpec:
    """Write the checkpoint in `folder` as a policy file, whole or not at all.

    Args:
        folder: Checkpoint of a teacher or a student.
        file: The policy file to write.
        config: Settings.
        fidelity: Measured figures to note in the metadata.
        demonstrations: What the checkpoint learned from, for the novelty; by default those that it keeps.

    Returns:
        The metadata written.

    Raises:
        CheckpointError: The checkpoint is missing, damaged or of a kind without a graph, or it learned from other
            demonstrations.
        DemonstrationError: The novelty is wanted, and there are no demonstrations, or too few.
        ExportError: The file computes something else than torch; nothing is written.
    """
    card, _ = load_model(folder)
    graph = make_graph(folder, card, config)
    graph.eval()
    fitted = _fit_novelty(folder, card, demonstrations, config.seed) if config.novelty else None
    whole = graph if fitted is None else NoveltyGraph(graph, Novelty(fitted))
    with replacing(file) as aside:
        write_graph(whole, draw_inputs(graph, card, 2, np.random.default_rng(config.seed)), aside)
        parity = measure_parity(graph, card, aside, config.seed)
        spec = describe(card, graph, parity, config, fidelity or {}, fitted)
        model = onnx.load(aside)
        onnx.helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, aside)
    return spec


def _fit_novelty(folder: Path, card: Card, demonstrations: DemonstrationSet | None, seed: int) -> Fitted:
    if demonstrations is None and not (folder / FILE_NAME).exists():
        raise DemonstrationError(
            f"'{folder}' keeps no demonstrations, from which the density of the observations is fitted; give those "
            "that it learned from (--demos), or export without it (--no-novelty)"
        )
    demonstrations = demonstrations or DemonstrationSet.load(folder)
    if demonstrations.sha256 != card.data_sha256:
        raise CheckpointError(
            f"'{folder}' learned from other demonstrations (sha256 {card.data_sha256[:12]}) than those given "
            f"({demonstrations.sha256[:12]}); give the same"
        )
    return fit_novelty(demonstrations, Statistics.from_lists(card.statistics), seed)


def make_graph(folder: Path, card: Card, config: ExportConfig) -> PolicyGraph:
    """Build the graph of a checkpoint.

    Raises:
        CheckpointError: The checkpoint is damaged or of a kind without a graph.
    """
    statistics = Statistics.from_lists(card.statistics)
    if card.kind in DIFFUSION_KINDS:
        return DiffusionGraph(load_teacher(folder)[0], statistics, config.steps, config.sampler, config.schedule)
    if card.kind in MIXTURE_KINDS:
        return MixtureGraph(load_student(folder)[0], statistics)
    if card.kind in ONE_STEP_KINDS:
        return OneStepGraph(load_one_step(folder)[0], statistics)
    raise CheckpointError(f"'{folder}' holds a '{card.kind}' policy, of a kind that cannot be exported")


def write_graph(graph: PolicyGraph | ChainGraph | NoveltyGraph, inputs: Inputs, file: Path) -> None:
    """Trace a graph into an ONNX file with a free batch dimension."""
    names = (*graph.inputs, *graph.outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the TorchScript exporter announces its successor, which is not pinned here
        torch.onnx.export(
            graph,
            tuple(torch.from_numpy(value) for value in inputs.values()),
            str(file),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes={name: {0: "batch"} for name in names},
        )


def draw_inputs(graph: PolicyGraph, card: Card, batch: int, random: np.random.Generator) -> Inputs:
    """Draw random inputs around the data, physical units, float32."""
    mean, std = (np.array(card.statistics[f"observation_{name}"]) for name in ("mean", "std"))
    drawn = {
        name: mean + 1.5 * std * random.standard_normal((batch, card.model[length], len(mean)))
        for name, length in (("observation", "history"), ("goal", "goal_length"))
    }
    drawn["noise"] = random.standard_normal((batch, *graph.noise_shape))
    drawn["expert_uniform"] = random.random(batch)
    return {name: drawn[name].astype(np.float32) for name in graph.inputs}


def measure_parity(graph: PolicyGraph, card: Card, file: Path, seed: int) -> Parity:
    """Compare an ONNX file with torch on random inputs.

    Raises:
        ExportError: An action, or a sampling step of one, differs by more than 1e-5 standard deviations, and by more
            than what inputs that differ by 1e-5 make of it; or another expert acts.
    """
    random = np.random.default_rng(seed)
    batches = [draw_inputs(graph, card, PARITY_BATCH, random) for _ in range(PARITY_BATCHES)]
    run = open_graph(file, graph.outputs)
    largest, mismatches = 0.0, 0
    if isinstance(graph, DiffusionGraph):
        largest = _chain_error(graph, card, run, batches, file)
    else:
        found = [_action_error(graph, card, run(inputs), inputs) for inputs in batches]
        largest, mismatches = float(np.max([error for error, _ in found])), sum(count for _, count in found)
    parity = Parity(max_error=largest, expert_mismatches=mismatches, samples=PARITY_BATCHES * PARITY_BATCH)
    if not largest <= MAX_ERROR or mismatches:
        raise ExportError(
            f"the exported graph is not the same function: actions differ by up to {largest:.2g} standard deviations "
            f"(allowed: {MAX_ERROR:g}) and {mismatches} of {parity.samples} experts differ (allowed: 0)"
        )
    return parity


def _action_error(
    graph: MixtureGraph | OneStepGraph, card: Card, measured: Inputs, inputs: Inputs
) -> tuple[float, int]:
    """Return the largest error of an action, by its slope where it is above the limit, and the experts that differ."""
    expected, mismatches = run_torch(graph, inputs), 0
    error = np.abs(measured["action"] - expected["action"]) / np.array(card.statistics["action_std"])
    error = error.reshape(len(error), -1).max(1)  # (B,)
    if "expert" in expected:
        mismatches = int((measured["expert"] != expected["expert"]).sum())
        inputs = inputs | {"expert_uniform": named_expert(expected["expert"])}  # so that no difference changes experts
    steep = error > MAX_ERROR
    if steep.any():
        few = {name: values[steep] for name, values in inputs.items()}
        error[steep] /= _slope(partial(_standard_action, graph, few), _moved(few), _input_units(card))
    return float(error.max()), mismatches


def _slope(function: Function, inputs: Inputs, units: Mapping[str, Any], step: float = 1e-2) -> Array:
    """Return how much an action changes with the inputs, at least 1, (B,): a norm of the Jacobian.

    A one-step policy jumps between modes as its noise crosses from one to the other, and so does a sampling step from a
    high level to a low one; an expert that no state needs may have learned anything. There they are steep, and rounding
    inside them grows by the slope, whatever evaluates them; central differences measure that.

    Args:
        function: Gives standardised actions, (B, ...).
        inputs: By name, (B, ...).
        units: Standard deviations of the inputs, for those of which they are not 1.
        step: Of the differences, in standard deviations.
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
    """Return the inputs over which an action is differentiated: all but the choice of the expert."""
    return {name: values for name, values in inputs.items() if name != "expert_uniform"}


def _input_units(card: Card) -> dict[str, Any]:
    return dict.fromkeys(("observation", "goal"), card.statistics["observation_std"])


def _chain_error(graph: DiffusionGraph, card: Card, run: Run, batches: list[Inputs], file: Path) -> float:
    """Return the largest error of any sampling step, in standard deviations.

    Where a chain passes between two modes it is as good as discontinuous: any two float32 evaluations part there. So
    torch takes each step from where ONNX stood before it, in a copy of the graph that shows its steps, and the file's
    own action has to be the last of them.
    """
    chain_graph = ChainGraph(graph)
    aside = file.with_suffix(".chain")
    try:
        write_graph(chain_graph, batches[0], aside)
        run_chain = open_graph(aside, chain_graph.outputs)
        taken = [(run(inputs)["action"], run_chain(inputs)["chain"], inputs) for inputs in batches]
        return float(np.max([_step_error(graph, card, *one) for one in taken]))
    finally:
        aside.unlink(missing_ok=True)


def _step_error(graph: DiffusionGraph, card: Card, action: Array, chain: Array, inputs: Inputs) -> float:
    units = graph.units
    given = {name: inputs[name] for name in graph.inputs if name != "noise"}
    draws = inputs["noise"].reshape(*inputs["noise"].shape[:2], -1)  # (B, steps, D)
    end = units.physical(units.limited(torch.from_numpy(chain[:, -1]).reshape(action.shape))).numpy()
    errors = [
        float(np.abs(chain[:, 0] - draws[:, 0] * np.float32(graph.sigmas[0])).max()),
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
            error[steep] /= _slope(step, few, {**_input_units(card), "from": max(1.0, sigma)})[:, None]
        errors.append(float(error.max()))
    return float(np.max(errors))


def _take_step(graph: DiffusionGraph, sigma: float, below: float, draw: Array | None, inputs: Inputs) -> Array:
    """Take one sampling step with torch; `inputs` has the policy's and where the step starts, `from` (B, D)."""
    given = [torch.from_numpy(inputs[name]) for name in graph.inputs if name != "noise"]
    start = torch.from_numpy(inputs["from"])[:, None]
    noise = None if draw is None else torch.from_numpy(draw)[:, None]
    with torch.no_grad():
        context = graph.teacher.encode(*graph.units.states(*given))
        return graph.teacher.step(context, start, sigma, below, graph.sampler, noise)[:, 0].numpy()


def _growth(sampler: Sampler, sigma: float, below: float) -> float:
    """Return by how much a step multiplies rounding in what the network says, at least 1.

    Noisy actions are as large as their level; Heun's method divides the second estimate by the lower level.
    """
    return max(1.0, below, (sigma - below) / (2 * below) if sampler == "heun" and below else 0.0)


def open_graph(file: Path, outputs: tuple[str, ...]) -> Run:
    """Open an ONNX file on the CPU; returns a function from inputs to outputs by name."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda inputs: dict(zip(outputs, session.run(list(outputs), inputs), strict=True))


def run_torch(graph: PolicyGraph, inputs: Inputs) -> Inputs:
    """Run the torch graph on numpy inputs."""
    with torch.no_grad():
        outputs = graph(*(torch.from_numpy(value) for value in inputs.values()))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return {name: value.numpy() for name, value in zip(graph.outputs, outputs, strict=True)}


def describe(
    card: Card,
    graph: PolicyGraph,
    parity: Parity,
    config: ExportConfig,
    fidelity: dict[str, Any],
    fitted: Fitted | None,
) -> PolicySpec:
    """Return the metadata of a policy file."""
    lists = card.statistics
    limits = zip(card.action, lists["action_low"], lists["action_high"], strict=True)
    diffusion, mixture = isinstance(graph, DiffusionGraph), isinstance(graph, MixtureGraph)
    sampling = {"sampler": config.sampler, "schedule": config.schedule, "passes": passes(config.sampler, config.steps)}
    return PolicySpec(
        schema_version=SCHEMA_VERSION,
        kind=card.kind,
        task=card.task,
        observation=tuple(ObservationEntry(name, unit) for name, unit in card.observation),
        action=tuple(ActionEntry(name, unit, low, high) for (name, unit), low, high in limits),
        rate_hz=card.rate_hz,
        history=card.model["history"],
        horizon=card.model["horizon"],
        goal_length=card.model["goal_length"],
        experts=card.model["experts"] if mixture else None,
        covariance=card.model["covariance"] if mixture else None,
        sampling_steps=config.steps if diffusion else None,
        statistics=SpecStatistics(
            **{
                name: tuple(lists[name])
                for name in ("observation_mean", "observation_std", "action_mean", "action_std")
            }
        ),
        teacher_sha256=card.teacher_sha256,
        data_sha256=card.data_sha256,
        seeds={"training": card.settings.get("seed"), "parity": config.seed},
        versions={**card.versions, "onnx": onnx.__version__, "exporter": EXPORTER, "opset": OPSET},
        fidelity=fidelity,
        settings={**card.settings, "steps_done": card.steps, **(sampling if diffusion else {})},
        parity=parity,
        novelty=None if fitted is None else SpecNovelty(fitted.bound, QUANTILE, len(fitted.weights)),
    )
