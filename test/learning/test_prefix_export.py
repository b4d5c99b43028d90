"""Policy files that take the first actions of a chunk as given, against conditional Gaussians with inverses."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import onnxruntime
import torch
from checkout import CHECKOUT
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from toy_targets import restless, small_demonstrations
from trainings import fit_mixture, train_teacher

from vdd_ros.errors import ConfigurationError, ObservationError
from vdd_ros.learning.configs import Covariance
from vdd_ros.learning.export.export import export
from vdd_ros.learning.export.graphs import MixtureGraph
from vdd_ros.learning.export.lean import lean
from vdd_ros.learning.export.parity import draw_inputs
from vdd_ros.learning.export.prefix import orthonormal_rows
from vdd_ros.learning.export.summary import export_table
from vdd_ros.learning.fit.checkpoint import load_model, save_model
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.learning.kinds import MIXTURE
from vdd_ros.learning.methods.configs import EMConfig, ExportConfig, TrainConfig
from vdd_ros.policy.onnx_policy import OnnxPolicy

Arrays = dict[str, NDArray[Any]]
Floats = NDArray[np.float64]
ROWS, HORIZON, ACT_DIM, EXPERTS = 24, 4, 2, 3
SIZE = HORIZON * ACT_DIM
SMALL: dict[str, Any] = {"width": 16, "layers": 1, "octaves": 1, "batch": 8, "floor": 0.2}
TEMPERING = 0.4


@pytest.fixture(scope="module", params=["diagonal", "full", "cosine", "principal"])
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student with random weights and wide limits: where limits cut, a density is that of no Gaussian."""
    covariance: Covariance = request.param
    folder = tmp_path_factory.mktemp("student")
    config = EMConfig(
        steps=2, experts=EXPERTS, horizon=HORIZON, history=2, covariance=covariance, backbone="mlp", **SMALL
    )
    fit_mixture(small_demonstrations(), folder, config)
    metadata, tensors = load_model(restless(folder, 0.15))
    metadata.statistics["action_low"], metadata.statistics["action_high"] = [-1.0] * ACT_DIM, [1.0] * ACT_DIM
    save_model(folder, tensors, metadata)
    return folder


@pytest.fixture(scope="module")
def file(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("files") / "p.onnx"
    export(student, where, ExportConfig(prefix=True, prefix_tempering=TEMPERING))
    return where


def run(file: Path, inputs: Arrays) -> Arrays:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    given = {one.name: inputs[one.name] for one in session.get_inputs()}
    return dict(zip(names, session.run(names, given), strict=True))


def inputs_of(student: Path, seed: int = 0) -> Arrays:
    """Draw observations, draws, and prefixes near the means of the experts."""
    metadata, random = load_model(student)[0], np.random.default_rng(seed)
    mean, std = (np.array(metadata.statistics[f"observation_{moment}"]) for moment in ("mean", "std"))
    action_std = np.array(metadata.statistics["action_std"])
    inputs: Arrays = {
        "observation": (mean + std * random.standard_normal((ROWS, 2, 4))).astype(np.float32),
        "noise": random.standard_normal((ROWS, HORIZON, ACT_DIM)).astype(np.float32),
        "expert_uniform": random.random(ROWS).astype(np.float32),
        "prefix_steps": np.arange(ROWS) % (HORIZON + 1),
    }
    which = random.integers(0, EXPERTS, ROWS)
    centres = np.stack([means[expert] for (_, means, _), expert in zip(mixtures(student, inputs), which, strict=True)])
    prefix = centres.reshape(ROWS, HORIZON, ACT_DIM) + 0.3 * action_std * random.standard_normal(
        (ROWS, HORIZON, ACT_DIM)
    )
    return {**inputs, "prefix": prefix.astype(np.float32)}


def mixtures(student: Path, inputs: Arrays) -> list[tuple[Floats, Floats, Floats]]:
    """Return the gating, means and covariances at each row in physical units, in double precision."""
    model, metadata = MIXTURE.load(student)
    lists = metadata.statistics
    observation = (inputs["observation"] - np.array(lists["observation_mean"])) / np.array(lists["observation_std"])
    mixture = model(torch.tensor(observation, dtype=torch.float32))
    mean, std = (np.tile(lists[f"action_{moment}"], HORIZON) for moment in ("mean", "std"))
    factor = torch.diag_embed(mixture.factor) if mixture.diagonal else mixture.factor
    factors = (factor if mixture.basis is None else mixture.basis @ factor).double().numpy() * std[:, None]
    means = mixture.mean.double().numpy() * std + mean
    covariances = factors @ factors.swapaxes(-1, -2)
    return list(zip(mixture.log_gating.exp().double().numpy(), means, covariances, strict=True))


def given(mixture: tuple[Floats, Floats, Floats], prefix: Floats) -> tuple[Floats, Floats, Floats]:
    """Return weights, means and covariances of the rest, from the formulas with inverses."""
    gating, means, covariances = mixture
    known = len(prefix)
    if not known:
        return mixture
    evidence = np.array(
        [
            multivariate_normal(mean[:known], cov[:known, :known]).logpdf(prefix)
            for mean, cov in zip(means, covariances, strict=True)
        ]
    )
    log_weights = np.log(gating) + TEMPERING * evidence
    weights = np.exp(log_weights - logsumexp(log_weights))
    gains = [cov[known:, :known] @ np.linalg.inv(cov[:known, :known]) for cov in covariances]
    rest = [m[known:] + gain @ (prefix - m[:known]) for m, gain in zip(means, gains, strict=True)]
    left = [c[known:, known:] - gain @ c[:known, known:] for c, gain in zip(covariances, gains, strict=True)]
    return weights, np.array(rest), np.array(left)


def known_rows(inputs: Arrays) -> list[Floats]:
    pairs = zip(inputs["prefix"].astype(np.float64), inputs["prefix_steps"], strict=True)
    return [prefix[:steps].ravel() for prefix, steps in pairs]


def test_the_weights_of_experts_are_those_of_bayes_rule_tempered(student: Path, file: Path) -> None:
    inputs = inputs_of(student)
    outputs = run(file, inputs)
    rows = zip(mixtures(student, inputs), known_rows(inputs), strict=True)
    weights = np.array([given(mixture, prefix)[0] for mixture, prefix in rows])
    assert_allclose(outputs["gating"], weights, atol=2e-4)
    edges = weights.cumsum(1)
    apart = np.abs(edges - inputs["expert_uniform"][:, None]).min(1) > 1e-3
    expected = (edges <= inputs["expert_uniform"][:, None]).sum(1)
    assert_array_equal(outputs["expert"][apart], expected[apart])
    assert len(set(outputs["expert"])) == EXPERTS


def test_a_chunk_is_the_prefix_and_the_conditional_mean(student: Path, file: Path) -> None:
    inputs = inputs_of(student)
    inputs["noise"][:] = 0
    std = np.tile(load_model(student)[0].statistics["action_std"], HORIZON)
    for expert in range(EXPERTS):
        inputs["expert_uniform"][:] = -(2 + expert)
        action = run(file, inputs)["action"].reshape(ROWS, SIZE)
        for row, (mixture, prefix) in enumerate(zip(mixtures(student, inputs), known_rows(inputs), strict=True)):
            rest = given(mixture, prefix)[1][expert] if len(prefix) < SIZE else np.zeros(0)
            assert_allclose(action[row], np.concatenate([prefix, rest]), atol=2e-5 * std.max())


def test_draws_have_the_conditional_covariance(student: Path, file: Path) -> None:
    """Actions are affine in the noise: its unit vectors give a factor of the covariance."""
    inputs = {name: values[:HORIZON] for name, values in inputs_of(student).items()}
    std = np.tile(load_model(student)[0].statistics["action_std"], HORIZON)
    inputs["expert_uniform"] = np.full(HORIZON, -3.0, np.float32)
    readings = []
    for noise in (np.zeros(SIZE), *np.eye(SIZE)):
        inputs["noise"] = np.tile(noise.reshape(1, HORIZON, ACT_DIM), (HORIZON, 1, 1)).astype(np.float32)
        readings.append(run(file, inputs)["action"].reshape(HORIZON, SIZE) / std)
    factors = np.stack([reading - readings[0] for reading in readings[1:]], axis=-1).astype(np.float64)
    for row, (mixture, prefix) in enumerate(zip(mixtures(student, inputs), known_rows(inputs), strict=True)):
        known = len(prefix)
        expected = given(mixture, prefix)[2][1] / np.outer(std[known:], std[known:])
        assert_allclose(factors[row, known:] @ factors[row, known:].T, expected, atol=1e-4)
        assert_array_equal(factors[row, :known], 0)


def test_log_prob_is_that_of_the_rest_given_the_prefix(student: Path, file: Path) -> None:
    inputs = inputs_of(student)
    outputs = run(file, inputs)
    actions = outputs["action"].reshape(ROWS, SIZE).astype(np.float64)
    for row, (mixture, prefix) in enumerate(zip(mixtures(student, inputs), known_rows(inputs), strict=True)):
        known = len(prefix)
        if known == SIZE:
            assert outputs["log_prob"][row] == pytest.approx(0, abs=1e-4)
            continue
        weights, means, covariances = given(mixture, prefix)
        terms = [
            math.log(weight) + multivariate_normal(mean, cov).logpdf(actions[row, known:])
            for weight, mean, cov in zip(weights, means, covariances, strict=True)
        ]
        assert outputs["log_prob"][row] == pytest.approx(logsumexp(terms), rel=1e-3, abs=5e-3)


def test_without_known_steps_a_file_is_the_usual_one(student: Path, file: Path, tmp_path: Path) -> None:
    export(student, tmp_path / "usual.onnx", ExportConfig())
    inputs = inputs_of(student)
    inputs["prefix_steps"][:] = 0
    inputs["prefix"][:] = np.nan
    expected, found = run(tmp_path / "usual.onnx", inputs), run(file, inputs)
    std = max(load_model(student)[0].statistics["action_std"])
    assert_array_equal(found["expert"], expected["expert"])
    assert_allclose(found["action"], expected["action"], atol=1e-5 * std)
    assert_allclose(found["gating"], expected["gating"], atol=1e-6)
    assert_allclose(found["log_prob"], expected["log_prob"], rtol=1e-4, atol=1e-3)
    assert_allclose(found["novelty"], expected["novelty"], rtol=1e-4, atol=1e-4)


def test_a_lean_graph_with_a_prefix_is_the_same_function(student: Path) -> None:
    model, metadata = MIXTURE.load(student)
    statistics = Statistics.from_lists(metadata.statistics)
    graph = MixtureGraph(model, statistics, TEMPERING).eval()
    inputs = draw_inputs(graph, metadata, 16, np.random.default_rng(0))
    graph.double()
    given = [torch.from_numpy(value) for value in inputs.values()]
    given = [value.double() if value.is_floating_point() else value for value in given]
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            expected, found = graph(*given), lean(graph, 18)(*given)
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(expected, found, strict=True):
        assert_allclose(other, one, rtol=1e-9, atol=1e-11)


def test_the_policy_takes_a_prefix_by_argument(student: Path, file: Path) -> None:
    policy, inputs = OnnxPolicy.load(file, expert="greedy"), inputs_of(student)
    assert policy.spec.takes_prefix
    assert policy.spec.settings["prefix"] == {"tempering": TEMPERING}
    window, prefix = inputs["observation"][0], inputs["prefix"][0]
    inputs["expert_uniform"][:] = -1
    inputs["noise"][:] = 0
    free = policy.act(window).action.copy()
    for steps in range(HORIZON + 1):
        inputs["prefix_steps"][:] = steps
        expected = run(file, {name: values[:1] for name, values in inputs.items()})
        found = policy.act(window, prefix=prefix[:steps])
        assert_array_equal(found.action, expected["action"][0])
        assert found.log_prob == expected["log_prob"][0]
    assert_array_equal(policy.act(window).action, free)
    batch = policy.act_batch(
        inputs["observation"], prefixes=inputs["prefix"], prefix_steps=np.arange(ROWS) % (HORIZON + 1)
    )
    inputs["prefix_steps"] = np.arange(ROWS) % (HORIZON + 1)
    assert_allclose(batch.action, run(file, inputs)["action"], atol=1e-7)


def test_the_table_of_the_export_says_that_a_prefix_may_be_given(file: Path) -> None:
    spec = OnnxPolicy.load(file).spec
    assert "up to 4 first actions may be given, tempering 0.4" in export_table(spec, file, "1")
    settings = {name: value for name, value in spec.settings.items() if name != "prefix"}
    assert "first actions" not in export_table(dataclasses.replace(spec, settings=settings), file, "1")


def test_a_deterministic_file_takes_a_prefix_too(student: Path, tmp_path: Path) -> None:
    spec = export(student, tmp_path / "d.onnx", ExportConfig(prefix=True, deterministic=True))
    assert spec.is_deterministic
    export(student, tmp_path / "p.onnx", ExportConfig(prefix=True))
    inputs = inputs_of(student)
    inputs["noise"][:], inputs["expert_uniform"][:] = 0, -1
    expected, found = run(tmp_path / "p.onnx", inputs), run(tmp_path / "d.onnx", inputs)
    assert_allclose(found["action"], expected["action"], atol=1e-7)
    fixed = OnnxPolicy.load(tmp_path / "d.onnx")
    assert_allclose(fixed.act(inputs["observation"][4], prefix=inputs["prefix"][4]).action, found["action"][4])


def test_a_prefix_beyond_the_limits_counts_at_the_limits(student: Path, tmp_path: Path) -> None:
    metadata, tensors = load_model(student)
    narrow = {"action_low": [-0.004] * ACT_DIM, "action_high": [0.004] * ACT_DIM}
    metadata.statistics.update(narrow)
    save_model(tmp_path / "S", tensors, metadata)
    export(tmp_path / "S", tmp_path / "s.onnx", ExportConfig(prefix=True, novelty=False))
    policy, window = OnnxPolicy.load(tmp_path / "s.onnx", expert="greedy"), inputs_of(student)["observation"][0]
    far = policy.act(window, prefix=np.full((2, ACT_DIM), 5.0)).action.copy()
    near = policy.act(window, prefix=np.full((2, ACT_DIM), 0.004)).action
    assert_array_equal(far, near)
    assert_allclose(far[:2], 0.004, rtol=1e-4)


def test_a_policy_without_a_density_takes_no_prefix(tmp_path: Path) -> None:
    train_teacher(small_demonstrations(), tmp_path / "T", TrainConfig(steps=1, backbone="mlp", history=2, batch=4))
    with pytest.raises(ConfigurationError, match=r"--prefix: '.*' holds a diffusion policy; only mixtures"):
        export(tmp_path / "T", tmp_path / "t.onnx", ExportConfig(prefix=True))
    assert not (tmp_path / "t.onnx").exists()


def test_a_file_exported_without_takes_no_prefix(student: Path, tmp_path: Path) -> None:
    export(student, tmp_path / "usual.onnx", ExportConfig(novelty=False))
    policy = OnnxPolicy.load(tmp_path / "usual.onnx")
    assert not policy.spec.takes_prefix
    assert "prefix" not in policy.spec.settings
    with pytest.raises(ObservationError, match="takes no prefix"):
        policy.act(inputs_of(student)["observation"][0], prefix=np.zeros((1, ACT_DIM)))


@pytest.mark.parametrize("tempering", [-0.1, 1.1, math.nan])
def test_other_temperings_are_refused(tempering: float) -> None:
    with pytest.raises(ConfigurationError, match=f"prefix_tempering is {tempering}; it must be between 0 and 1"):
        ExportConfig(prefix_tempering=tempering)


def test_the_program_of_the_page_runs(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(student, tmp_path / "chunk_student.onnx", ExportConfig(prefix=True))
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", (CHECKOUT / "docs" / "chunks.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)
    assert_allclose(names["answer"][:2], names["chunk"][2:4], atol=1e-6)
    assert np.abs(names["answer"][2:]).max() > 0


@pytest.mark.parametrize("size", [1, 2, 7])
def test_rows_are_orthonormalised_in_their_order(size: int) -> None:
    rows = torch.randn((3, 2, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    axes, lengths = orthonormal_rows(rows)
    torch.testing.assert_close(axes @ axes.mT, torch.eye(size, dtype=torch.float64).expand_as(rows))
    lower = torch.linalg.cholesky(rows @ rows.mT)
    torch.testing.assert_close(rows @ axes.mT, lower)
    torch.testing.assert_close(lengths, lower.diagonal(dim1=-2, dim2=-1))
