"""Distillation: its settings, its teachers, and the properties that the student inherits."""

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from toy_targets import Target, exact_teacher, observations, small_demonstrations
from trainings import distil, train_teacher

from vdd_ros.errors import CheckpointError, ConfigurationError
from vdd_ros.features import Feature
from vdd_ros.learning.export.export import export
from vdd_ros.learning.fit.checkpoint import load_model, model_sha256, save_model
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.learning.kinds import DIFFUSION, MIXTURE
from vdd_ros.learning.methods.configs import DistilConfig, ExportConfig, TrainConfig
from vdd_ros.learning.methods.mixture_training import Revival, gating_scalars
from vdd_ros.learning.methods.state_pool import StatePool
from vdd_ros.learning.methods.vdd import vdd_loss
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig
from vdd_ros.policy.onnx_policy import OnnxPolicy

SMALL: dict[str, Any] = {"backbone": "mlp", "width": 8, "layers": 1, "octaves": 1, "batch": 4, "steps": 3}
TINY = DistilConfig(**SMALL, experts=3, pool_copies=2, pool_samples=2)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("update", "magic", "update is 'magic'; allowed: multi-noise, paper"),
        ("gating_on", "hope", "gating_on is 'hope'; allowed: teacher, data"),
        ("gating", "no", "gating is 'no'; allowed: learned, uniform"),
        ("noise_scheme", "loud", "noise_scheme is 'loud'; allowed: log-uniform, uniform, fixed, anneal"),
        ("covariance", "round", "covariance is 'round'; allowed: diagonal, full"),
        ("expert_start", "home", "expert_start is 'home'; allowed: samples, kmeans, grid, box"),
        ("gating_every", 0, "gating_every is 0; it must be finite and at least 1"),
        ("experts", 0, "experts is 0"),
        ("samples", -1, "samples is -1"),
        ("pool_copies", 0, "pool_copies is 0"),
        ("pool_samples", 0, "pool_samples is 0"),
        ("teacher_steps", 0, "teacher_steps is 0"),
        ("head_width", 0, "head_width is 0"),
        ("head_layers", -1, "head_layers is -1"),
        ("revive_every", -1, "revive_every is -1"),
        ("revive_below", math.nan, "revive_below is nan"),
        ("floor", 0.0, "floor is 0.0"),
        ("start_bound", 0.0, "start_bound is 0.0; it must be finite and above 0"),
        ("forward_kl", -0.1, "forward_kl is -0.1"),
        ("min_noise", 0.0, "noise range is 0.0 to 1.0"),
        ("max_noise", 0.01, "noise range is 0.03 to 0.01"),
        ("max_noise", math.nan, "noise range is 0.03 to nan"),
        ("uniform_weight", 1.5, "uniform_weight is 1.5; it must be between 0 and 1"),
        ("uniform_weight", math.nan, "uniform_weight is nan"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        dataclasses.replace(TINY, **{field: value})  # type: ignore[arg-type]


def small_student(**settings: Any) -> MixtureStudent:
    torch.manual_seed(0)
    shape: dict[str, Any] = {"history": 1, "obs_dim": 1, "horizon": 1, "act_dim": 1, "experts": 3}
    return MixtureStudent(StudentConfig(**shape, backbone="mlp", width=8, layers=1, octaves=1, **settings))


def pool(count: int = 50) -> StatePool:
    generator = torch.Generator().manual_seed(0)
    return StatePool(observations(count), None, torch.randn((count, 4, 1), generator=generator))


def gradients(student: MixtureStudent, config: DistilConfig, step: int) -> dict[str, bool]:
    """Return which heads a step of the loss reaches."""
    teacher = exact_teacher(Target.of([1.0], [[0.5]], [0.4]))
    student.zero_grad(set_to_none=True)
    vdd_loss(student, teacher, pool(), config)(torch.Generator().manual_seed(0), step)[0].backward()
    return {name: getattr(student, name).last.bias.grad is not None for name in ("gating", "mean", "scale")}


def test_the_gating_steps_at_intervals() -> None:
    student, config = small_student(), dataclasses.replace(TINY, gating_every=3)
    reached = [gradients(student, config, step)["gating"] for step in range(7)]
    assert reached == [False, False, True, False, False, True, False]
    assert all(gradients(student, config, step)["mean"] for step in range(3))


@pytest.mark.parametrize(("step", "level"), [(0, 1.0), (500, 0.1), (1000, 0.01)])
def test_annealing_follows_the_steps(monkeypatch: pytest.MonkeyPatch, step: int, level: float) -> None:
    config = dataclasses.replace(TINY, steps=1000, noise_scheme="anneal", min_noise=0.01, max_noise=1.0)
    teacher, asked = exact_teacher(Target.of([1.0], [[0.5]], [0.4]), "beso", sigma_min=0.01), []
    score = teacher.score

    def spy(context: Any, action: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        asked.append(sigma)
        return score(context, action, sigma)

    monkeypatch.setattr(teacher, "score", spy)
    vdd_loss(small_student(), teacher, pool(), config)(torch.Generator(), step)
    torch.testing.assert_close(asked[0], torch.full((4, 1), level))


def test_revival_comes_when_it_is_time() -> None:
    student, config = small_student(), dataclasses.replace(TINY, revive_every=10)
    with torch.no_grad():
        student.gating.last.bias.copy_(torch.tensor([0.0, -30.0, 0.0]))
    averaged = copy.deepcopy(student)
    revive, generator = Revival(student, pool(), config), torch.Generator().manual_seed(0)

    def abandoned() -> bool:
        return bool(student(observations(5)).log_gating.exp().mean(0).min() < 1e-6)

    for step in range(1, 10):
        revive(step, generator, averaged)
        assert abandoned()
    revive(10, generator, averaged)
    assert not abandoned()
    for name, value in student.state_dict().items():
        torch.testing.assert_close(averaged.state_dict()[name], value)


def test_the_gating_scalars() -> None:
    gating = torch.tensor([[0.5, 0.5, 0.0], [0.98, 0.005, 0.015]])
    mixture = GaussianMixture(gating.clamp_min(1e-30).log(), torch.zeros(2, 3, 1), torch.ones(2, 3, 1))
    scalars = gating_scalars(mixture)
    entropies = [-sum(p * math.log(p) for p in row if p > 0) for row in gating.tolist()]
    assert float(scalars["gating_entropy"]) == pytest.approx(sum(entropies) / 2, rel=1e-4)
    assert int(scalars["experts_used"]) == 2


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    train_teacher(small_demonstrations(), folder, TrainConfig(**SMALL, history=3, horizon=2, seed=4))
    return folder


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"update": "paper"},
        {"covariance": "full"},
        {"covariance": "cosine"},
        {"covariance": "principal", "expert_start": "kmeans"},
        {"gating_on": "data"},
        {"gating": "uniform", "revive_every": 2},
        {"detach_gating": True, "head_layers": 1, "forward_kl": 0.0},
        {"expert_start": "kmeans"},
        {"backbone": "gpt", "heads": 2, "dropout": 0.1},
        {"noise_scheme": "fixed", "samples": 2},
    ],
    ids=str,
)
def test_a_student_takes_over_what_the_teacher_is(tmp_path: Path, teacher: Path, change: dict[str, Any]) -> None:
    config = dataclasses.replace(TINY, **change)
    metadata = distil(teacher, small_demonstrations(), tmp_path, config)
    student, again = MIXTURE.load(tmp_path)
    assert again == metadata
    assert (metadata.method, metadata.steps, metadata.teacher_sha256) == ("vdd", 3, model_sha256(teacher))
    assert metadata.statistics == Statistics.of(small_demonstrations()).to_lists()
    assert (student.config.history, student.config.horizon) == (3, 2)
    assert metadata.settings == dataclasses.asdict(config)
    mixture = student(torch.randn(5, 3, 4))
    assert mixture.mean.shape == (5, 3, 4)
    assert mixture.diagonal == (config.covariance != "full")
    assert (mixture.basis is None) == (config.covariance in ("diagonal", "full"))


@pytest.mark.parametrize("known", [True, False])
def test_other_demonstrations_than_the_teachers_are_a_warning_in_checkpoint_and_policy_file(
    tmp_path: Path, teacher: Path, known: bool
) -> None:
    """A teacher that others trained does not know its demonstrations."""
    metadata, tensors = load_model(teacher)
    save_model(tmp_path / "T", tensors, metadata if known else dataclasses.replace(metadata, data_sha256=None))
    other = small_demonstrations(seed=1)
    distil(tmp_path / "T", other, tmp_path / "S", TINY)
    metadata = MIXTURE.load(tmp_path / "S")[1]
    learned = (
        f"other demonstrations (sha256 {small_demonstrations().sha256[:12]})" if known else "unknown demonstrations"
    )
    expected = (
        f"the teacher learned from {learned}; it was distilled at the states of those with the sha256 "
        f"{other.sha256[:12]}",
    )
    assert (metadata.data_sha256, metadata.warnings) == (other.sha256, expected)
    export(tmp_path / "S", tmp_path / "s.onnx", ExportConfig())
    spec = OnnxPolicy.load(tmp_path / "s.onnx").spec
    assert (spec.data_sha256, spec.warnings) == (other.sha256, expected)


def test_the_teachers_own_demonstrations_are_no_warning(tmp_path: Path, teacher: Path) -> None:
    assert distil(teacher, small_demonstrations(), tmp_path, TINY).warnings == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate_hz": 20.0}, "the rate is 20 Hz instead of 28.5714 Hz"),
        (
            {"action": (Feature("delta_desired_x", "mm"), Feature("delta_desired_y", "m"))},
            "delta_desired_x in mm instead",
        ),
    ],
)
def test_demonstrations_of_something_else_are_refused(
    tmp_path: Path, teacher: Path, change: dict[str, Any], message: str
) -> None:
    found = small_demonstrations()
    other = dataclasses.replace(found, header=dataclasses.replace(found.header, **change))
    with pytest.raises(CheckpointError, match=f"the demonstrations cannot be used with the teacher in .*{message}"):
        distil(teacher, other, tmp_path / "S", TINY)
    assert not (tmp_path / "S").exists()


def test_a_student_is_no_teacher(tmp_path: Path, teacher: Path) -> None:
    distil(teacher, small_demonstrations(), tmp_path / "S", TINY)
    with pytest.raises(CheckpointError, match="holds a mixture policy made by 'vdd', but a diffusion policy is needed"):
        distil(tmp_path / "S", small_demonstrations(), tmp_path / "S2", TINY)


def test_noise_that_the_teacher_does_not_know_is_refused_before_anything_is_written(
    tmp_path: Path, teacher: Path
) -> None:
    config = dataclasses.replace(TINY, min_noise=1e-4, max_noise=1e-3)
    with pytest.raises(ConfigurationError, match="cannot be evaluated at noise levels"):
        distil(teacher, small_demonstrations(), tmp_path / "S", config)
    assert not (tmp_path / "S").exists()


@pytest.mark.parametrize("kind", ["ddpm", "beso"])
@pytest.mark.parametrize("backbone", ["mlp", "gpt"])
def test_every_teacher_can_be_distilled_with_goals_and_chunks(tmp_path: Path, kind: str, backbone: str) -> None:
    shape = {**SMALL, "backbone": backbone, "heads": 2}
    config = TrainConfig(**shape, teacher=kind, history=2, horizon=4, goal_length=2)
    made = train_teacher(small_demonstrations(), tmp_path / "T", config)
    teacher, metadata = DIFFUSION.load(tmp_path / "T")
    assert metadata == made
    assert (metadata.method, teacher.config.kind, teacher.config.goal_length) == (kind, kind, 2)
    distil(tmp_path / "T", small_demonstrations(), tmp_path / "S", DistilConfig(**shape, experts=3, pool_copies=1))
    student, _ = MIXTURE.load(tmp_path / "S")
    assert (student.config.goal_length, student.config.horizon) == (2, 4)
    mixture = student(torch.randn(5, 2, 4), torch.randn(5, 2, 4))
    assert mixture.mean.shape == (5, 3, 8)


def test_more_teacher_steps_than_it_takes_are_refused(tmp_path: Path, teacher: Path) -> None:
    with pytest.raises(ConfigurationError, match="62 sampling steps"):
        distil(teacher, small_demonstrations(), tmp_path / "S", dataclasses.replace(TINY, teacher_steps=62))
