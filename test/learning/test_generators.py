"""Generators with a learned score: gradients against finite differences of the divergences, and short trainings."""

import dataclasses
import math
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn
from toy_targets import Target, exact_teacher, small_demonstrations
from trainings import train_teacher

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.checkpoint import load_tensors, model_sha256
from vdd_ros.learning.fit.training_loop import TrainingLoop
from vdd_ros.learning.fit.windows import Windows
from vdd_ros.learning.kinds import DIFFUSION, ONE_STEP
from vdd_ros.learning.methods.configs import TrainConfig
from vdd_ros.learning.methods.consistency import start_student
from vdd_ros.learning.methods.diff_instruct import diff_instruct_update
from vdd_ros.learning.methods.distiller_configs import DiffInstructConfig, EMDistilConfig, GeneratorConfig
from vdd_ros.learning.methods.em_distil import em_distil_update
from vdd_ros.learning.methods.generator import (
    GeneratorWithScore,
    Update,
    denoising_error,
    generator_loss,
    noise_range,
)
from vdd_ros.learning.methods.registry import METHODS
from vdd_ros.learning.methods.trainer import Trainer

TARGET = Target.of([0.4, 0.6], [[-1.0], [0.9]], [0.3, 0.4])
MEAN, DEVIATION = 0.4, 0.7
GRID = torch.linspace(-9, 9, 6001, dtype=torch.float64)[:, None]  # (G, 1)
CELL = float(GRID[1] - GRID[0])
COUNT = 20_000
KINDS = pytest.mark.parametrize("kind", ["ddpm", "beso"])
CONFIGS: dict[str, type[GeneratorConfig]] = {"diff-instruct": DiffInstructConfig, "em-distil": EMDistilConfig}
UPDATES: dict[str, Update[Any]] = {"diff-instruct": diff_instruct_update, "em-distil": em_distil_update}


class Normal(nn.Module):
    """Stands for a generator of Gaussian actions, mean + deviation z, with parameters of their own in each state."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.full((count, 1, 1), MEAN))
        self.deviation = nn.Parameter(torch.full((count, 1, 1), DEVIATION))

    def encode(self, observation: Tensor, goal: Tensor | None = None) -> Tensor:
        return torch.zeros(len(observation), 1)

    def generate(self, context: Tensor, latent: Tensor) -> Tensor:
        return self.mean + self.deviation * latent


class NoContext(nn.Module):
    """A network whose encoding of a state is a tensor, around one whose encoding is a `Target`."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def encode(self, observation: Tensor, goal: Tensor | None) -> Tensor:
        return torch.zeros(len(observation), 1)

    def forward(self, context: Tensor, action: Tensor, condition: Tensor) -> Tensor:
        answer: Tensor = self.network(self.network.target_of(context), action, condition)
        return answer


def knowing(target: Target, kind: str, **settings: Any) -> Teacher:
    """Return a frozen teacher that knows a target."""
    teacher = exact_teacher(target, kind, **settings)
    teacher.network = NoContext(teacher.network)
    return teacher


def windows(count: int) -> Windows:
    numbers = torch.arange(count)
    return Windows(torch.zeros(count, 1, 1), torch.zeros(count, 1), torch.zeros(count, 1), numbers, numbers, 0)


def estimate(method: str, level: float, kind: str, **settings: Any) -> tuple[Tensor, Tensor, float]:
    """Return the generator's gradients in each state, (COUNT, 2) for mean and deviation, its score known exactly.

    Also the noise level, the teacher's nearest to `level`, and the error of the scores that is logged.
    """
    teacher = knowing(TARGET, kind)
    sigma = float(teacher.nearest_level(torch.tensor([level]), *teacher.sigma_range))
    score = knowing(Target.of([1.0], [[MEAN]], [DEVIATION]), kind)
    student = Normal(COUNT)
    both = SimpleNamespace(student=student, score=score)
    shared: dict[str, Any] = {"batch": COUNT, "levels_per_state": 1, "min_noise": sigma, "max_noise": sigma}
    config = CONFIGS[method](**shared, **settings)
    loss = generator_loss(both, teacher, windows(4), config, UPDATES[method])  # type: ignore[arg-type]
    value, scalars = loss(torch.Generator().manual_seed(0), config.generator_every - 1)
    value.backward()
    assert student.mean.grad is not None
    assert student.deviation.grad is not None
    gradients = COUNT * torch.cat([student.mean.grad, student.deviation.grad], dim=1)[..., 0]
    return gradients.double(), scalars["disagreement"], sigma


def log_normal(parameters: Tensor, sigma: float) -> Tensor:
    """Return the log density of noised generated actions on the grid, (G,)."""
    mean, variance = parameters[0], parameters[1] ** 2 + sigma**2
    return -0.5 * (GRID[:, 0] - mean) ** 2 / variance - 0.5 * (2 * math.pi * variance).log()


def finite_differences(value: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the gradient of a function of mean and deviation, (2,), by central differences."""
    at, step = torch.tensor([MEAN, DEVIATION], dtype=torch.float64), 1e-5 * torch.eye(2, dtype=torch.float64)
    return torch.stack([(value(at + one) - value(at - one)) / 2e-5 for one in step])


def error_of(gradients: Tensor) -> Tensor:
    return gradients.std(0) / math.sqrt(len(gradients))


# Settings


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("levels_per_state", 0, "levels_per_state is 0"),
        ("generator_every", 0, "generator_every is 0; it must be finite and at least 1"),
        ("start_level", 0.0, "start_level is 0.0; it must be finite and above 0"),
        ("min_noise", math.nan, "min_noise is nan; it must be finite and at least 0"),
        ("max_noise", 0.1, "the noise range is 0.5 to 0.1; it must not descend"),
        ("langevin_steps", 0, "langevin_steps is 0; it must be finite and at least 1"),
        ("action_step", 0.0, "action_step is 0.0; it must be finite and above 0"),
        ("action_step", 1.5, "action_step is 1.5; it must be at most 1"),
        ("latent_step", -0.1, "latent_step is -0.1; it must be finite and at least 0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        dataclasses.replace(EMDistilConfig(min_noise=0.5), **{field: value})  # type: ignore[arg-type]


def test_noise_levels_are_the_teachers_unless_given() -> None:
    teacher = exact_teacher(TARGET, "beso", sigma_min=0.05, sigma_max=4.0)
    assert noise_range(teacher, DiffInstructConfig()) == (0.05, 4.0)
    assert noise_range(teacher, DiffInstructConfig(min_noise=0.1, max_noise=1.0)) == (0.1, 1.0)
    with pytest.raises(ConfigurationError, match=r"at noise levels from 0\.05 to 5\.0; it was trained from 0\.05"):
        noise_range(teacher, DiffInstructConfig(max_noise=5.0))
    with pytest.raises(ConfigurationError, match=r"range is 0\.05 to 0\.01, where the teacher's own"):
        noise_range(teacher, DiffInstructConfig(max_noise=0.01))


# The updates


@KINDS
@pytest.mark.parametrize("level", [0.1, 0.5, 1.5])
def test_diff_instruct_descends_the_divergence_of_the_noised_densities(level: float, kind: str) -> None:
    gradients, disagreement, sigma = estimate("diff-instruct", level, kind)
    log_target = TARGET.log_prob(GRID, sigma)

    def divergence(parameters: Tensor) -> Tensor:
        log_own = log_normal(parameters, sigma)
        return sigma**2 * (log_own.exp() * (log_own - log_target)).sum() * CELL

    expected, error = finite_differences(divergence), error_of(gradients)
    assert ((gradients.mean(0) - expected).abs() < 5 * error + 1e-5).all()
    assert (error < 0.1 * expected.abs().max()).all(), "the estimate is sharp enough to tell"

    at = GRID.clone().requires_grad_()
    own = log_normal(torch.tensor([MEAN, DEVIATION], dtype=torch.float64), sigma)
    (score,) = torch.autograd.grad(TARGET.log_prob(at, sigma).sum(), at)
    gap = (score + (GRID - MEAN) / (DEVIATION**2 + sigma**2)).square()[:, 0]
    assert float(disagreement) == pytest.approx(float(sigma**2 * (own.exp() * gap).sum() * CELL), rel=0.1)


@KINDS
def test_one_langevin_step_of_actions_alone_is_diff_instruct(kind: str) -> None:
    expected, _, _ = estimate("diff-instruct", 0.5, kind)
    found, _, _ = estimate("em-distil", 0.5, kind, langevin_steps=1, latent_step=0.0, action_step=0.25)
    torch.testing.assert_close(found, 0.25 * expected, rtol=1e-4, atol=1e-5)


@KINDS
@pytest.mark.parametrize("level", [0.5, 1.0])
def test_many_langevin_steps_ascend_the_likelihood_of_the_teachers_actions(level: float, kind: str) -> None:
    """The gradient's expectation is then that of sigma^2 KL(teacher || generator), by Fisher's identity."""
    variance = level**2 / (1 + level**2)
    steps = {"langevin_steps": 300, "action_step": 0.02, "latent_step": 0.02 / variance, "cancel_noise": False}
    gradients, _, sigma = estimate("em-distil", level, kind, **steps)
    target = TARGET.log_prob(GRID, sigma).exp()

    def divergence(parameters: Tensor) -> Tensor:
        return -(sigma**2) * (target * log_normal(parameters, sigma)).sum() * CELL

    expected, error = finite_differences(divergence), error_of(gradients)
    scale = expected.abs().max()
    assert ((gradients.mean(0) - expected).abs() < 5 * error + 0.05 * scale).all()
    assert (error < 0.1 * scale).all(), "the estimate is sharp enough to tell"


def test_cancelled_noise_leaves_a_gradient_that_varies_less_and_points_the_same_way() -> None:
    settings = {"langevin_steps": 8, "action_step": 0.1, "latent_step": 0.05}
    kept, _, _ = estimate("em-distil", 1.0, "beso", cancel_noise=False, **settings)
    cancelled, _, _ = estimate("em-distil", 1.0, "beso", **settings)
    assert (cancelled.std(0) < 0.5 * kept.std(0)).all()
    assert float(torch.dot(cancelled.mean(0), kept.mean(0))) > 0


@pytest.mark.parametrize("method", CONFIGS)
def test_a_generator_that_is_the_target_stays_as_it_is(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every single gradient vanishes, with cancelled noise."""
    monkeypatch.setitem(globals(), "TARGET", Target.of([1.0], [[MEAN]], [DEVIATION]))
    gradients, disagreement, _ = estimate(method, 0.5, "beso")
    assert gradients.abs().max() < 1e-4
    assert disagreement < 1e-8


@KINDS
def test_the_score_network_learns_as_the_teacher_did(kind: str) -> None:
    teacher = exact_teacher(TARGET, kind)
    clean, sigma = torch.randn(5, 7, 1), 0.1 + torch.rand(5, 7)
    noisy = clean + sigma[..., None] * torch.randn(5, 7, 1)
    network = lambda context, action, condition: 0.3 * action  # noqa: E731
    found = teacher.preconditioning.denoise(network, None, noisy, sigma)
    expected = teacher.preconditioning.loss(network, None, noisy, clean, sigma)
    torch.testing.assert_close(denoising_error(teacher, found, clean, sigma), expected)


# Short trainings


@pytest.mark.parametrize("method", CONFIGS)
def test_one_step_samples_are_the_teachers(method: str) -> None:
    torch.manual_seed(0)
    teacher = knowing(TARGET, "beso", width=32, layers=2, octaves=1)
    config = CONFIGS[method](batch=32, levels_per_state=8, start_from_teacher=False, observation_noise=0.0)
    both = GeneratorWithScore(start_student(teacher, config, 1, config.start_level), Teacher(teacher.config))
    loss = generator_loss(both, teacher, windows(4), config, UPDATES[method])
    optimizer = torch.optim.Adam(both.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 800)
    generator = torch.Generator().manual_seed(0)
    for step in range(800):
        value, _ = loss(generator, step)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    model = both.student.requires_grad_(False)
    noise = torch.special.ndtri((torch.arange(2_000) + 0.5) / 2_000)
    sample = model.sample(model.encode(torch.zeros(1, 1, 1)), noise[None, :, None])[0, :, 0].double()
    mass = (TARGET.log_prob(GRID).exp() * CELL).cumsum(0)
    exact = GRID[torch.searchsorted(mass, (torch.arange(2_000, dtype=torch.float64) + 0.5) / 2_000), 0]
    distance = (sample.sort().values - exact).abs().mean()
    assert distance < 0.15  # Wasserstein-1; 0.06 to 0.08 with either seed


# Whole runs

SHORT: dict[str, Any] = {"steps": 4, "batch": 4, "levels_per_state": 2}


@pytest.fixture(scope="module", params=["beso", "ddpm"])
def teacher_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    sizes = {"width": 8, "layers": 1, "octaves": 1, "history": 3, "horizon": 2, "goal_length": 1}
    train_teacher(small_demonstrations(), folder, TrainConfig(teacher=request.param, steps=3, batch=4, **sizes))  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize("method", CONFIGS)
def test_a_generator_starts_from_its_level_and_keeps_no_score(
    method: str, tmp_path: Path, teacher_folder: Path
) -> None:
    config = CONFIGS[method](**SHORT, start_level=1.5)
    metadata = Trainer(METHODS.get(method), config).run(small_demonstrations(), tmp_path, teacher=teacher_folder)
    model, again = ONE_STEP.load(tmp_path)
    assert again == metadata
    assert (metadata.method, metadata.steps, metadata.teacher_sha256) == (method, 4, model_sha256(teacher_folder))
    assert metadata.settings == dataclasses.asdict(config)
    assert (model.config.sigma_max, model.config.conditions, model.config.goal_length) == (1.5, 1, 1)


@pytest.mark.parametrize("method", CONFIGS)
def test_a_start_above_the_teachers_levels_is_its_highest(method: str, tmp_path: Path, teacher_folder: Path) -> None:
    trainer = Trainer(METHODS.get(method), CONFIGS[method](**SHORT, start_level=1e6))
    metadata = trainer.run(small_demonstrations(), tmp_path, teacher=teacher_folder)
    assert metadata.model["sigma_max"] == DIFFUSION.load(teacher_folder)[0].sigma_range[1]


@pytest.mark.parametrize("method", CONFIGS)
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    method: str, tmp_path: Path, teacher_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The score network, its optimiser and its place in the turns are part of the state."""
    trainer = Trainer(METHODS.get(method), CONFIGS[method](**SHORT))
    where: dict[str, Any] = {"teacher": teacher_folder}
    trainer.run(small_demonstrations(), tmp_path / "whole", **where)
    advance = TrainingLoop._advance

    def interrupted(loop: TrainingLoop, loss_function: Any) -> dict[str, Tensor]:
        scalars = advance(loop, loss_function)
        if loop.step == 1:
            signal.raise_signal(signal.SIGINT)
        return scalars

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingLoop, "_advance", interrupted)
        trainer.run(small_demonstrations(), tmp_path / "parts", **where)
    tensors, _ = load_tensors(tmp_path / "parts" / "state.safetensors")
    assert {name.split(".")[1] for name in tensors if name.startswith("module.")} == {"student", "score"}
    trainer.run(small_demonstrations(), tmp_path / "parts", resume=True, **where)
    assert model_sha256(tmp_path / "parts") == model_sha256(tmp_path / "whole")
