"""Graphs in fewer operators: the same functions, in the operator set that was asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip("torch")

import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from toy_targets import restless, small_demonstrations
from trainings import distil, distil_consistency, train_teacher

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import Covariance, Sampler
from vdd_ros.learning.export.export import export
from vdd_ros.learning.export.graphs import ChainGraph, DiffusionGraph, NoveltyGraph
from vdd_ros.learning.export.lean import lean
from vdd_ros.learning.export.lean_blocks import carry_bias
from vdd_ros.learning.export.lean_mixture import ExpertChoice
from vdd_ros.learning.export.novelty import Novelty, fit_novelty
from vdd_ros.learning.export.parity import draw_inputs
from vdd_ros.learning.export.triangular import solve_lower
from vdd_ros.learning.fit.checkpoint import load_model
from vdd_ros.learning.fit.metadata import CheckpointMetadata
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.learning.kinds import KINDS, load_any
from vdd_ros.learning.methods.configs import CTMConfig, DistilConfig, ExportConfig, TrainConfig

SMALL: dict[str, Any] = {"width": 16, "layers": 2, "heads": 2}
TEACHERS: dict[str, dict[str, Any]] = {
    "gpt": {"backbone": "gpt", "history": 3, "octaves": 2},
    "gpt of chunks": {"backbone": "gpt", "history": 2, "octaves": 0, "horizon": 3, "goal_length": 2, "teacher": "beso"},
    "mlp": {"backbone": "mlp", "history": 2, "octaves": 2},
    "mlp of chunks": {"backbone": "mlp", "history": 2, "octaves": 0, "horizon": 3, "goal_length": 1},
}
POLICIES = ("teacher", "student", "full", "cosine", "principal", "ctm")


@pytest.fixture(scope="module", params=TEACHERS)
def checkpoints(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A teacher with random weights, and what is distilled from it."""
    folder, demonstrations = tmp_path_factory.mktemp("checkpoints"), small_demonstrations()
    found = {kind: folder / kind for kind in POLICIES}
    settings = TEACHERS[request.param]
    train_teacher(demonstrations, found["teacher"], TrainConfig(steps=1, batch=4, **SMALL, **settings))
    shape: dict[str, Any] = {**SMALL, "backbone": settings["backbone"], "octaves": settings["octaves"]}
    for kind, covariance in (("student", "diagonal"), *((kind, kind) for kind in ("full", "cosine", "principal"))):
        config: dict[str, Any] = {"steps": 1, "batch": 4, "experts": 5, "pool_samples": 1, "covariance": covariance}
        distil(found["teacher"], demonstrations, found[kind], DistilConfig(**config, **shape))
    distil_consistency(found["teacher"], demonstrations, found["ctm"], CTMConfig(steps=1, batch=4, levels_per_state=1))
    for one in found.values():
        restless(one, 0.1)
    return found


def bare_graph(folder: Path) -> tuple[Any, CheckpointMetadata]:
    """Return the graph of a checkpoint, and its metadata."""
    model, metadata = load_any(folder)
    graph = KINDS[metadata.structure].graph(model, Statistics.from_lists(metadata.statistics), ExportConfig(steps=3))
    return graph.eval(), metadata


def graph_of(folder: Path) -> nn.Module:
    """Return the graph of a checkpoint with its novelty."""
    graph, metadata = bare_graph(folder)
    return NoveltyGraph(graph, Novelty(fit_novelty(small_demonstrations(), Statistics.from_lists(metadata.statistics))))


def inputs_of(folder: Path, rows: int = 16) -> dict[str, Any]:
    graph, metadata = bare_graph(folder)
    return draw_inputs(graph, metadata, rows, np.random.default_rng(0))


def sharpened(graph: nn.Module) -> nn.Module:
    """Return a graph in double precision; a basis is orthonormal in it too."""
    for name, value in graph.double().named_buffers():
        if name.endswith(".basis"):
            left, _, right = torch.linalg.svd(value)
            value.copy_(left @ right)
    return graph


@contextmanager
def double_precision() -> Iterator[None]:
    """Let torch make tensors in double precision."""
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("opset", [18, 23])
@pytest.mark.parametrize("kind", POLICIES)
def test_a_lean_graph_is_the_same_function(checkpoints: dict[str, Path], kind: str, opset: int) -> None:
    """In double precision they differ by its rounding alone: nothing is approximated."""
    graph = sharpened(graph_of(checkpoints[kind]))
    given = [torch.from_numpy(value).double() for value in inputs_of(checkpoints[kind]).values()]
    before = {name: value.clone() for name, value in graph.state_dict().items()}
    with double_precision():
        expected, found = graph(*given), lean(graph, opset)(*given)
    for one, other in zip(expected, found, strict=True):
        assert_allclose(other, one, rtol=1e-9, atol=1e-11)
    for name, value in graph.state_dict().items():
        assert_array_equal(value, before[name], err_msg="the graph itself is left as it is")


@pytest.mark.parametrize("checkpoints", ["gpt of chunks", "mlp"], indirect=True)
@pytest.mark.parametrize("kind", ["teacher", "full"])
def test_a_file_names_the_operator_set_that_it_needs(tmp_path: Path, checkpoints: dict[str, Path], kind: str) -> None:
    """Attention as one operator is worth the new operator set; an MLP gains nothing from it."""
    gpt = load_model(checkpoints[kind])[0].model["backbone"] == "gpt"
    outputs = {}
    for opset in (18, 23):
        file = tmp_path / f"{opset}.onnx"
        spec = export(checkpoints[kind], file, ExportConfig(steps=3, opset=opset))
        model = onnx.load(file)
        named = opset if gpt else 18
        assert spec.versions["opset"] == named
        assert [(one.domain, one.version) for one in model.opset_import] == [("", named)]
        assert model.ir_version == {18: 8, 23: 11}[named]
        assert ("Attention" in {node.op_type for node in model.graph.node}) == (named == 23)
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        outputs[opset] = session.run(None, inputs_of(checkpoints[kind]))
    for one, other in zip(outputs[18], outputs[23], strict=True):
        assert_allclose(other, one, rtol=1e-3, atol=1e-4)


def test_a_file_holds_a_block_once_for_all_sampling_steps(tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    export(checkpoints["teacher"], tmp_path / "T.onnx", ExportConfig(steps=3))
    graph = onnx.load(tmp_path / "T.onnx").graph
    constants = [node.attribute[0].t for node in graph.node if node.op_type == "Constant"]
    arrays = [onnx.numpy_helper.to_array(one) for one in (*graph.initializer, *constants)]
    large = [one.tobytes() for one in arrays if one.size >= SMALL["width"] ** 2]
    assert len(large) >= 2 * SMALL["layers"]
    assert len(set(large)) == len(large)


@pytest.mark.parametrize(
    ("backbone", "covariance", "most"), [("gpt", "diagonal", 88), ("mlp", "diagonal", 52), ("mlp", "cosine", 53)]
)
def test_a_student_takes_few_operators(tmp_path: Path, backbone: str, covariance: Covariance, most: int) -> None:
    """At batch 1 their number is the cost; counted as ONNX Runtime runs them, for a student of the usual depth."""
    teacher = TrainConfig(steps=1, batch=4, backbone=backbone, history=2)  # type: ignore[arg-type]
    train_teacher(small_demonstrations(), tmp_path / "T", teacher)
    layers = {"gpt": 4, "mlp": 3}[backbone]
    shape: dict[str, Any] = {"backbone": backbone, "layers": layers, "covariance": covariance}
    config = DistilConfig(steps=1, batch=4, pool_samples=1, **shape)
    distil(tmp_path / "T", small_demonstrations(), tmp_path / "S", config)
    export(tmp_path / "S", tmp_path / "S.onnx", ExportConfig())
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(tmp_path / "S.onnx"), options, providers=["CPUExecutionProvider"])
    assert len(onnx.load(tmp_path / "run.onnx").graph.node) <= most


def test_other_operator_sets_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="opset is '19'; allowed: 18, 23"):
        ExportConfig(opset=19)  # type: ignore[arg-type]


@pytest.mark.parametrize("experts", [1, 2, 24, 64])
def test_experts_are_chosen_by_the_inverse_of_their_distribution(experts: int) -> None:
    random = np.random.default_rng(experts)
    gating = random.dirichlet(np.full(experts, 0.3), 4000).astype(np.float32)
    uniform = random.random(4000, dtype=np.float32)
    choice = ExpertChoice(experts)
    found = choice(torch.from_numpy(gating), torch.from_numpy(uniform)).numpy()
    cumulative = gating.astype(np.float64).cumsum(axis=1)
    expected = np.minimum((cumulative <= uniform[:, None]).sum(axis=1), experts - 1)
    apart = np.abs(cumulative - uniform[:, None]).min(axis=1) > 1e-6  # closer, rounding decides
    assert_array_equal(found[apart], expected[apart])
    assert apart.mean() > 0.95


def test_experts_are_chosen_at_the_ends_by_number_and_by_likelihood() -> None:
    gating = torch.tensor([[0.0, 0.25, 0.0, 0.5, 0.25, 0.0]])
    choice = ExpertChoice(6)

    def chosen(uniform: float) -> int:
        return int(choice(gating, torch.tensor([uniform])))

    assert [chosen(uniform) for uniform in (0.0, 0.2, 0.3, 0.7, 0.8)] == [1, 1, 3, 3, 4]
    assert chosen(-1.0) == 3
    assert [chosen(-2.0 - number) for number in range(6)] == list(range(6))
    assert chosen(-8.0) == 3, "there is no seventh"


@pytest.mark.parametrize("checkpoints", ["gpt", "mlp of chunks"], indirect=True)
@pytest.mark.parametrize("sampler", ["ddim", "euler", "heun"])
def test_lean_samplers_are_the_same_function(checkpoints: dict[str, Path], sampler: Sampler) -> None:
    model, metadata = load_any(checkpoints["teacher"])
    statistics = Statistics.from_lists(metadata.statistics)
    config = ExportConfig(steps=3, sampler=sampler)
    bare = KINDS[metadata.structure].graph(model, statistics, config)
    assert isinstance(bare, DiffusionGraph)
    graph = ChainGraph(bare).eval().double()
    given = [torch.from_numpy(value).double() for value in inputs_of(checkpoints["teacher"]).values()]
    with double_precision():
        assert_allclose(lean(graph, 23)(*given), graph(*given), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("activation", [nn.functional.silu, nn.functional.gelu])
def test_a_constant_unit_carries_a_bias(activation: Callable[[torch.Tensor], torch.Tensor]) -> None:
    first, second = nn.Linear(3, 5).double(), nn.Linear(5, 4).double()
    rows = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        longer, back = carry_bias(first, second, activation)
        assert_allclose(activation(longer(rows)) @ back, second(activation(first(rows))), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16])
def test_triangular_systems_are_solved(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    factor = torch.randn((3, 4, size, size), generator=generator, dtype=torch.float64).tril()
    factor = factor + 2 * torch.eye(size, dtype=torch.float64)
    right = torch.randn((3, 4, size), generator=generator, dtype=torch.float64)
    expected = torch.linalg.solve_triangular(factor, right[..., None], upper=False)[..., 0]
    assert_allclose(solve_lower(factor, factor.diagonal(dim1=-2, dim2=-1), right), expected, rtol=1e-9, atol=1e-9)
