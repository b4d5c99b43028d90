"""Exported files: the same function as torch, with the contract of docs/policy_file.md; refused when they are not."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip("torch")

import torch
from numpy.typing import NDArray
from torch import Tensor
from toy_targets import restless, small_demonstrations
from trainings import distil, distil_consistency, train_teacher

from vdd_ros.errors import CheckpointError, ConfigurationError, ExportError
from vdd_ros.learning.configs import Covariance, Sampler, Schedule
from vdd_ros.learning.export import export as exporting
from vdd_ros.learning.export import onnx_graph, parity
from vdd_ros.learning.export.export import export
from vdd_ros.learning.export.lean_mixture import ExpertChoice
from vdd_ros.learning.fit.checkpoint import CheckpointMetadata, load_model, model_sha256, save_model
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.learning.kinds import DIFFUSION, MIXTURE, ONE_STEP
from vdd_ros.learning.methods.configs import CDConfig, CTMConfig, DistilConfig, ExportConfig, TrainConfig
from vdd_ros.learning.methods.distiller_configs import DiffInstructConfig, EMDistilConfig, ShortcutConfig
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.spec import PolicySpec

Arrays = dict[str, NDArray[Any]]
PLAIN: dict[str, Any] = {"teacher": "ddpm", "backbone": "mlp", "history": 1, "horizon": 1}
RICH: dict[str, Any] = {"teacher": "beso", "backbone": "gpt", "history": 4, "horizon": 3, "goal_length": 2}
SMALL: dict[str, Any] = {"width": 16, "layers": 1, "octaves": 2}
ROWS = 16


@pytest.fixture(scope="module", params=[PLAIN, RICH], ids=["plain", "rich"])
def teacher(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    config = TrainConfig(steps=2, batch=4, seed=7, **SMALL, **request.param)
    train_teacher(small_demonstrations(), folder, config)
    return restless(folder, 0.05)


@pytest.fixture(scope="module", params=["diagonal", "full", "cosine", "principal"])
def student(request: pytest.FixtureRequest, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    covariance: Covariance = request.param
    folder = tmp_path_factory.mktemp("student")
    backbone = metadata_of(teacher).model["backbone"]
    config = DistilConfig(
        steps=2, batch=4, experts=5, covariance=covariance, pool_samples=2, floor=0.3, backbone=backbone, **SMALL
    )
    distil(teacher, small_demonstrations(), folder, config)
    return restless(folder, 0.2)


@pytest.fixture(scope="module")
def student_file(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("files") / "student.onnx"
    export(student, file, ExportConfig())
    return file


def run(file: Path, inputs: Arrays) -> Arrays:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def metadata_of(folder: Path) -> CheckpointMetadata:
    return load_model(folder)[0]


def draw_inputs(folder: Path, rows: int = ROWS, seed: int = 0) -> Arrays:
    """Draw random inputs of a student."""
    metadata, random = metadata_of(folder), np.random.default_rng(seed)
    mean, std = (np.array(metadata.statistics[f"observation_{moment}"]) for moment in ("mean", "std"))
    inputs = {
        name: mean + std * random.standard_normal((rows, metadata.model[length], 4))
        for name, length in (("observation", "history"), ("goal", "goal_length"))
        if metadata.model[length]
    }
    inputs |= {
        "noise": random.standard_normal((rows, metadata.model["horizon"], 2)),
        "expert_uniform": random.random(rows),
    }
    return {name: value.astype(np.float32) for name, value in inputs.items()}


def states(folder: Path, inputs: Arrays) -> list[Tensor]:
    """Return the standardised observation and the goal, if any."""
    statistics = Statistics.from_lists(metadata_of(folder).statistics)
    given = [torch.from_numpy(inputs[name]) for name in ("observation", "goal") if name in inputs]
    return [(value - statistics.observation_mean) / statistics.observation_std for value in given]


def mixtures(folder: Path, inputs: Arrays) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the gating (B, Z), means (B, Z, D) and factors of the covariances (B, Z, D, D), standardised."""
    mixture = MIXTURE.load(folder)[0](*states(folder, inputs))
    factor = torch.diag_embed(mixture.factor) if mixture.diagonal else mixture.factor
    factor = factor if mixture.basis is None else mixture.basis @ factor
    return mixture.log_gating.exp().numpy(), mixture.mean.numpy(), factor.numpy()


def test_a_student_acts_as_its_mixture_says(student: Path, student_file: Path) -> None:
    """Action = clip(mean + factor noise) of the expert that the inverse CDF names, in physical units."""
    inputs = draw_inputs(student)
    outputs = run(student_file, inputs)
    gating, mean, factor = mixtures(student, inputs)
    expert = (np.cumsum(gating, axis=1) <= inputs["expert_uniform"][:, None]).sum(1)
    rows = np.arange(ROWS)
    drawn = mean[rows, expert] + np.einsum("bij,bj->bi", factor[rows, expert], inputs["noise"].reshape(ROWS, -1))
    lists = metadata_of(student).statistics
    physical = drawn.reshape(inputs["noise"].shape) * lists["action_std"] + lists["action_mean"]
    expected = np.clip(physical, lists["action_low"], lists["action_high"])
    np.testing.assert_array_equal(outputs["expert"], expert)
    np.testing.assert_allclose(outputs["gating"], gating, atol=1e-6)
    np.testing.assert_allclose(outputs["action"], expected, atol=1e-5 * max(lists["action_std"]))
    assert len(set(expert)) > 2
    assert (expected == physical).any(), "some actions are within the limits"
    assert (expected != physical).any(), "some are not"


def test_zero_noise_gives_the_mean_of_the_named_expert(student: Path, student_file: Path) -> None:
    inputs = draw_inputs(student)
    inputs["noise"][:] = 0
    _, mean, _ = mixtures(student, inputs)
    lists = metadata_of(student).statistics
    for expert in range(5):
        inputs["expert_uniform"][:] = -(2 + expert)
        outputs = run(student_file, inputs)
        assert (outputs["expert"] == expert).all()
        physical = mean[:, expert].reshape(inputs["noise"].shape) * lists["action_std"] + lists["action_mean"]
        expected = np.clip(physical, lists["action_low"], lists["action_high"])
        np.testing.assert_allclose(outputs["action"], expected, atol=1e-5 * max(lists["action_std"]))


def test_minus_one_is_the_likeliest_expert_and_the_ends_of_the_cdf_are_experts(
    student: Path, student_file: Path
) -> None:
    inputs = draw_inputs(student)
    gating, *_ = mixtures(student, inputs)
    for uniform, expected in (
        (-1.0, gating.argmax(1)),
        (0.0, np.zeros(ROWS)),
        (np.nextafter(np.float32(1), np.float32(0)), None),
        (-6.0, np.full(ROWS, 4)),
        (-7.0, gating.argmax(1)),  # there is no expert 5
    ):
        inputs["expert_uniform"][:] = uniform
        expert = run(student_file, inputs)["expert"]
        assert expert.min() >= 0
        assert expert.max() <= 4
        if expected is not None:
            np.testing.assert_array_equal(expert, expected)


def test_experts_are_drawn_as_often_as_the_gating_says(student: Path, student_file: Path) -> None:
    count = 20_000
    inputs = {name: np.repeat(value, count, axis=0) for name, value in draw_inputs(student, rows=1).items()}
    inputs["expert_uniform"] = np.random.default_rng(0).random(count, dtype=np.float32)
    outputs = run(student_file, inputs)
    shares = np.bincount(outputs["expert"], minlength=5) / count
    np.testing.assert_allclose(shares, outputs["gating"][0], atol=5 * math.sqrt(0.25 / count))


@pytest.mark.parametrize("teacher", [PLAIN], indirect=True)
def test_log_prob_is_the_log_density_of_what_the_graph_draws(student: Path, student_file: Path) -> None:
    """Importance sampling: E_{a ~ q}[r(a) / q(a)] = 1 for a density r that is narrow and within the limits.

    The actions and their densities come out of the file. r is uniform on a box in the middle of the limits; in more
    than the two dimensions of one action too few samples would meet it.
    """
    count = 200_000
    inputs = {name: np.repeat(value, count, axis=0) for name, value in draw_inputs(student, rows=1, seed=3).items()}
    random = np.random.default_rng(0)
    inputs["expert_uniform"] = random.random(count, dtype=np.float32)
    inputs["noise"] = random.standard_normal(inputs["noise"].shape, dtype=np.float32)
    outputs = run(student_file, inputs)
    lists = metadata_of(student).statistics
    low, high = np.array(lists["action_low"]), np.array(lists["action_high"])
    inside = (np.abs(outputs["action"][:, 0] - (low + high) / 2) < 0.3 * (high - low)).all(1)
    ratio = inside / np.prod(0.6 * (high - low)) * np.exp(-outputs["log_prob"].astype(float))
    assert ratio.mean() == pytest.approx(1.0, abs=5 * ratio.std() / math.sqrt(count))
    assert ratio.std() / math.sqrt(count) < 0.03, "sharp enough to tell"


def test_log_prob_is_the_density_in_physical_units(student: Path, student_file: Path) -> None:
    inputs = draw_inputs(student)
    outputs = run(student_file, inputs)
    lists = metadata_of(student).statistics
    action = (outputs["action"] - np.array(lists["action_mean"])) / lists["action_std"]
    gating, mean, factor = (value.astype(float) for value in mixtures(student, inputs))
    residual = np.linalg.solve(factor, (action.reshape(ROWS, 1, -1) - mean)[..., None])[..., 0]
    size = mean.shape[2]
    scale = np.linalg.slogdet(factor).logabsdet
    joint = np.log(gating) - 0.5 * (residual**2).sum(2) - scale - 0.5 * size * math.log(2 * math.pi)
    log_volume = metadata_of(student).model["horizon"] * np.log(lists["action_std"]).sum()
    expected = np.log(np.exp(joint).sum(1)) - log_volume
    np.testing.assert_allclose(outputs["log_prob"], expected, rtol=1e-4, atol=1e-3)


def teacher_inputs(folder: Path, steps: int, rows: int = ROWS) -> Arrays:
    inputs = draw_inputs(folder, rows)
    shape = (rows, steps, *inputs["noise"].shape[1:])
    noise = np.random.default_rng(1).standard_normal(shape)
    given: Arrays = {name: inputs[name] for name in ("observation", "goal") if name in inputs}
    return {**given, "noise": noise.astype(np.float32)}


@pytest.mark.parametrize(
    ("sampler", "schedule", "steps"),
    [
        ("ancestral", "karras", 4),
        ("ddim", "cosine", 4),
        ("euler", "linear", 1),
        ("euler-ancestral", "exponential", 3),
        ("heun", "karras", 2),
    ],
)
def test_a_teacher_acts_as_its_sampler_does(
    tmp_path: Path, teacher: Path, sampler: Sampler, schedule: Schedule, steps: int
) -> None:
    spec = export(teacher, tmp_path / "teacher.onnx", ExportConfig(steps=steps, sampler=sampler, schedule=schedule))
    inputs = teacher_inputs(teacher, steps)
    action = run(tmp_path / "teacher.onnx", inputs)["action"]
    network, metadata = DIFFUSION.load(teacher)
    noise = torch.from_numpy(inputs["noise"]).flatten(2)[:, None]  # (B, 1, steps, D)
    with torch.no_grad():
        sample = network.sample(network.encode(*states(teacher, inputs)), noise, sampler, schedule)
    lists = metadata.statistics
    physical = sample.reshape(action.shape).numpy() * lists["action_std"] + lists["action_mean"]
    np.testing.assert_allclose(action, physical, atol=1e-3 * max(lists["action_std"]))
    assert (action >= np.array(lists["action_low"], np.float32)).all()
    assert (action <= np.array(lists["action_high"], np.float32)).all()
    assert (spec.method, spec.sampling_steps) == (network.config.kind, steps)
    assert (spec.settings["sampler"], spec.settings["schedule"]) == (sampler, schedule)
    assert spec.settings["passes"] == {"heun": 2 * steps - 1}.get(sampler, steps)
    assert (spec.experts, spec.covariance) == (None, None)


def test_rows_of_a_batch_do_not_know_each_other(student: Path, student_file: Path) -> None:
    inputs = draw_inputs(student)
    together = run(student_file, inputs)
    for row in (0, ROWS - 1):
        alone = run(student_file, {name: value[row : row + 1] for name, value in inputs.items()})
        for name, value in alone.items():
            np.testing.assert_allclose(value[0], together[name][row], rtol=1e-4, atol=1e-5)


def test_the_policy_opens_every_file(tmp_path: Path, student: Path, student_file: Path, teacher: Path) -> None:
    export(teacher, tmp_path / "teacher.onnx", ExportConfig(steps=3))
    for file in (student_file, tmp_path / "teacher.onnx"):
        policy = OnnxPolicy.load(file)
        spec = policy.spec
        observation = np.tile(spec.statistics.observation_mean, (spec.history, 1)).astype(np.float32)
        goal = np.tile(observation[0], (spec.goal_length, 1)) if spec.goal_length else None
        action = policy.act(observation, goal).action
        assert action.shape == (spec.horizon, 2)
        assert np.isfinite(action).all()


def test_the_metadata_says_what_the_checkpoint_is(student: Path, teacher: Path, tmp_path: Path) -> None:
    spec = export(student, tmp_path / "deep" / "s.onnx", ExportConfig(seed=5), {"success": 0.5})
    model = onnx.load(tmp_path / "deep" / "s.onnx")
    assert PolicySpec.from_json({entry.key: entry.value for entry in model.metadata_props}["vdd_ros.policy"]) == spec
    metadata = metadata_of(student)
    assert (spec.method, spec.task, spec.experts, spec.covariance) == (
        "vdd",
        "avoiding",
        5,
        metadata.model["covariance"],
    )
    for name in ("history", "horizon", "goal_length"):
        assert getattr(spec, name) == metadata.model[name]
    assert spec.rate_hz == metadata.rate_hz
    assert [entry.name for entry in spec.observation] == [entry.name for entry in metadata.observation]
    assert [entry.low for entry in spec.action] == metadata.statistics["action_low"]
    assert [entry.high for entry in spec.action] == metadata.statistics["action_high"]
    assert list(spec.statistics.action_std) == metadata.statistics["action_std"]
    assert spec.data_sha256 == small_demonstrations().sha256
    assert spec.teacher_sha256 == metadata.teacher_sha256
    assert spec.seeds == {"training": 0, "parity": 5}
    assert spec.fidelity == {"success": 0.5}
    assert spec.parity.max_error <= 1e-5
    assert (spec.parity.expert_mismatches, spec.parity.samples) == (0, 32 * 64)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["s.onnx"]


def tamper(monkeypatch: pytest.MonkeyPatch, name: str, change: float) -> None:
    """Let the exporter write a graph whose initialiser `name` is another."""
    write_graph = onnx_graph.write_graph

    def write(graph: Any, inputs: Any, file: Path, opset: int) -> None:
        write_graph(graph, inputs, file, opset)
        model = onnx.load(file)
        (found,) = (tensor for tensor in model.graph.initializer if tensor.name.endswith(name))
        values = onnx.numpy_helper.to_array(found) + np.float32(change)
        found.CopyFrom(onnx.numpy_helper.from_array(values, found.name))
        onnx.save(model, file)

    monkeypatch.setattr(exporting, "write_graph", write)


@pytest.mark.parametrize(("kind", "bias"), [("vdd", "mean.last.bias"), ("teacher", "longer.bias")])
def test_a_file_that_is_another_function_is_refused(
    tmp_path: Path, student: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch, kind: str, bias: str
) -> None:
    folder = student if kind == "vdd" else teacher
    (tmp_path / "file.onnx").write_text("what was there before")
    tamper(monkeypatch, bias, 1e-3)
    with pytest.raises(ExportError, match="the exported graph is not the same function: actions differ by up to"):
        export(folder, tmp_path / "file.onnx", ExportConfig(steps=2))
    assert (tmp_path / "file.onnx").read_text() == "what was there before"
    assert [path.name for path in tmp_path.iterdir()] == ["file.onnx"]


def test_a_file_that_chooses_other_experts_is_refused(
    tmp_path: Path, student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = ExpertChoice.forward
    monkeypatch.setattr(ExpertChoice, "forward", lambda self, g, uniform: honest(self, g, (uniform + 0.1) % 1.0))
    with pytest.raises(ExportError, match=r"and [1-9]\d* of 2048 experts differ"):
        export(student, tmp_path / "file.onnx", ExportConfig())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["vdd", "teacher"])
def test_a_file_that_gives_no_numbers_is_refused(
    tmp_path: Path, student: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    tamper(monkeypatch, "mean.last.bias" if kind == "vdd" else "longer.bias", math.nan)
    with pytest.raises(ExportError, match="actions differ by up to nan"):
        export(student if kind == "vdd" else teacher, tmp_path / "file.onnx", ExportConfig())


def test_unexportable_checkpoints_are_refused(tmp_path: Path, teacher: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint"):
        export(tmp_path / "nowhere", tmp_path / "out" / "file.onnx", ExportConfig())
    with pytest.raises(ConfigurationError, match="steps is 0; it must be finite and at least 1"):
        export(teacher, tmp_path / "out" / "file.onnx", ExportConfig(steps=0))
    assert not list(tmp_path.glob("out/*"))


def test_the_teachers_digest_reaches_the_file(tmp_path: Path, teacher: Path) -> None:
    config = DistilConfig(steps=1, batch=4, experts=2, pool_samples=1, width=8, layers=1, octaves=1)
    distil(teacher, small_demonstrations(), tmp_path / "S", config)
    assert export(tmp_path / "S", tmp_path / "s.onnx", ExportConfig()).teacher_sha256 == model_sha256(teacher)


def test_experts_at_the_limits_are_reported(tmp_path: Path, student: Path) -> None:
    """Graphs clip a hair inside the limits; such readings of an expert are not its parameters."""
    metadata, tensors = load_model(student)
    far = tensors | {"mean.last.bias": torch.full_like(tensors["mean.last.bias"], 1e3)}
    save_model(tmp_path / "far", far, metadata)
    spec = export(tmp_path / "far", tmp_path / "far.onnx", ExportConfig(novelty=False))
    observation = np.tile(spec.statistics.observation_mean, (spec.history, 1)).astype(np.float32)
    goal = np.tile(observation[0], (spec.goal_length, 1)) if spec.goal_length else None
    assert OnnxPolicy.load(tmp_path / "far.onnx").mixture(observation, goal).clipped.all()


CONSISTENCY = {
    "cd": CDConfig,
    "ctm": CTMConfig,
    "shortcut": ShortcutConfig,
    "diff-instruct": DiffInstructConfig,
    "em-distil": EMDistilConfig,
}


@pytest.mark.parametrize("method", CONSISTENCY)
def test_a_one_step_policy_acts_as_its_model_does(tmp_path: Path, teacher: Path, method: str) -> None:
    config = CONSISTENCY[method](steps=2, batch=4, levels_per_state=1, seed=3)
    distil_consistency(teacher, small_demonstrations(), tmp_path / "S", config)
    spec = export(tmp_path / "S", tmp_path / "s.onnx", ExportConfig())
    inputs = draw_inputs(tmp_path / "S")
    del inputs["expert_uniform"]
    model, metadata = ONE_STEP.load(tmp_path / "S")
    noise = torch.from_numpy(inputs["noise"]).flatten(1)[:, None]
    with torch.no_grad():
        sample = model.sample(model.encode(*states(tmp_path / "S", inputs)), noise)
    lists = metadata.statistics
    physical = sample.reshape(inputs["noise"].shape).numpy() * lists["action_std"] + lists["action_mean"]
    action = run(tmp_path / "s.onnx", inputs)["action"]
    np.testing.assert_allclose(action, physical, atol=1e-4 * max(lists["action_std"]))
    assert (spec.method, spec.sampling_steps, spec.experts) == (method, None, None)
    assert OnnxPolicy.load(tmp_path / "s.onnx").spec == spec


def test_the_slope_of_a_policy_is_that_of_its_actions() -> None:
    """Of a linear policy it is the norm of its matrix."""

    matrix = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    inputs = {"observation": np.zeros((5, 1, 2), np.float32), "noise": np.ones((5, 1, 3), np.float32)}

    def linear(given: dict[str, Any]) -> Any:
        return given["noise"] @ matrix + 2.0 * given["observation"]

    slope = parity._slope(linear, inputs, {"observation": [0.5, 3.0]})
    np.testing.assert_allclose(slope, math.sqrt((matrix**2).sum() + 2.0**2 * (0.5**2 + 3.0**2)), rtol=1e-4)
    flat = parity._slope(lambda given: 0.1 * linear(given), inputs, {})
    np.testing.assert_array_equal(flat, 1.0)


@pytest.mark.parametrize("kind", ["student", "teacher"])
def test_steep_actions_are_compared_by_their_slope(
    tmp_path: Path, student: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Rounding grows by the slope; without it the file would be refused. Much steeper ones are chaotic."""
    metadata, tensors = load_model(student if kind == "student" else teacher)
    factor = 30 if kind == "student" else {"mlp": 15, "gpt": 60}[str(metadata.model["backbone"])]
    grown = {name: value * (factor if "weight" in name and value.ndim == 2 else 1) for name, value in tensors.items()}
    wide = {"action_low": [-1e6] * len(metadata.action), "action_high": [1e6] * len(metadata.action)}
    for name, value in wide.items():  # a teacher keeps them, standardised
        if name in grown:
            grown[name] = torch.full_like(grown[name], value[0])
    save_model(tmp_path / "steep", grown, dataclasses.replace(metadata, statistics=metadata.statistics | wide))
    config = ExportConfig(steps=1, sampler="ddim", novelty=False)
    assert export(tmp_path / "steep", tmp_path / "steep.onnx", config).parity.max_error <= 1e-5
    monkeypatch.setattr(parity, "_slope", lambda _function, inputs, _units: np.ones(len(inputs["observation"])))
    with pytest.raises(ExportError, match="not the same function"):
        export(tmp_path / "steep", tmp_path / "steep.onnx", config)
