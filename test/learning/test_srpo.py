"""A deterministic policy by the teacher's score: its gradient by quadrature, and the one mode that it keeps."""

import dataclasses
import math

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor
from toy_targets import Target, exact_teacher

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.fit.windows import Windows
from vdd_ros.learning.methods.distiller_configs import SRPOConfig
from vdd_ros.learning.methods.srpo import one_action, srpo_loss
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig

TARGET = Target.of([0.3, 0.7], [[-1.2], [1.0]], [0.2, 0.3])
GRID = torch.linspace(-9, 9, 6001, dtype=torch.float64)[:, None]  # (G, 1)
CELL = float(GRID[1] - GRID[0])
KINDS = pytest.mark.parametrize("kind", ["ddpm", "beso"])


def windows(observation: Tensor) -> Windows:
    numbers = torch.arange(count := len(observation))
    return Windows(observation, torch.zeros(count, 1), torch.zeros(count, 1), numbers, numbers, 0)


def policy(start: float = 0.0) -> MixtureStudent:
    torch.manual_seed(0)
    sizes = {"history": 1, "obs_dim": 1, "horizon": 1, "act_dim": 1}
    student = one_action(StudentConfig(**sizes, backbone="mlp", width=16, layers=1, octaves=1, experts=1, floor=0.05))  # type: ignore[arg-type]
    student.spread_experts(torch.full((1, 1), start))
    with torch.no_grad():
        student.mean.last.weight.zero_()
    return student


def train(student: MixtureStudent, target: Target, observation: Tensor, **settings: object) -> None:
    config = SRPOConfig(batch=64, levels_per_state=4, steps=300, observation_noise=0.0, **settings)  # type: ignore[arg-type]
    loss = srpo_loss(student, exact_teacher(target, "beso"), windows(observation), config)
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    generator = torch.Generator().manual_seed(0)
    for step in range(config.steps):
        value, _ = loss(generator, step)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()


@KINDS
@pytest.mark.parametrize("level", [0.1, 0.5, 1.5])
@pytest.mark.parametrize("start", [-0.1, 1.4])
def test_it_descends_the_divergence_of_one_action_from_the_teacher(level: float, start: float, kind: str) -> None:
    teacher, count = exact_teacher(TARGET, kind), 20_000
    sigma = float(teacher.nearest_level(torch.tensor([level]), *teacher.sigma_range))

    def divergence(mean: float) -> float:
        log_own = -0.5 * ((GRID[:, 0] - mean) / sigma) ** 2 - math.log(sigma * math.sqrt(2 * math.pi))
        return sigma**2 * float((log_own.exp() * (log_own - TARGET.log_prob(GRID, sigma))).sum()) * CELL

    expected = (divergence(start + 1e-4) - divergence(start - 1e-4)) / 2e-4
    student = policy(start)
    config = SRPOConfig(batch=count, levels_per_state=1, min_noise=sigma, max_noise=sigma)
    value, scalars = srpo_loss(student, teacher, windows(torch.zeros(4, 1, 1)), config)(torch.Generator(), 0)
    value.backward()
    assert student.mean.last.bias.grad is not None
    spread = sigma * math.sqrt(float(scalars["disagreement"]))  # root mean square of the single gradients
    assert float(student.mean.last.bias.grad) == pytest.approx(expected, abs=5 * spread / math.sqrt(count) + 1e-4)
    assert spread / math.sqrt(count) < 0.1 * abs(expected), "the estimate is sharp enough to tell"


@pytest.mark.parametrize(("start", "mode"), [(-0.6, -1.2), (0.4, 1.0)])
def test_it_keeps_one_mode_of_two(start: float, mode: float) -> None:
    """The nearer one, with the deviation that it was given."""
    student = policy(start)
    train(student, TARGET, torch.zeros(4, 1, 1), min_noise=0.05, max_noise=0.2)
    with torch.no_grad():
        found = student(torch.zeros(1, 1, 1))
    assert float(found.mean.squeeze()) == pytest.approx(mode, abs=0.1)
    assert float(found.factor.squeeze()) == pytest.approx(0.05, abs=1e-6)
    assert found.log_gating.exp().tolist() == [[1.0]]


def test_its_action_follows_the_state() -> None:
    def target_of(observation: Tensor) -> Target:
        return Target(
            torch.ones(1, dtype=torch.float64),
            observation.double().reshape(-1, 1, 1, 1),
            torch.full((1,), 0.2, dtype=torch.float64),
        )

    torch.manual_seed(0)
    student, observation = policy(), torch.randn(200, 1, 1)
    config = SRPOConfig(batch=64, steps=300, observation_noise=0.0)
    teacher = exact_teacher(target_of, "beso", size=1)
    loss = srpo_loss(student, teacher, windows(observation), config)
    optimizer, generator = torch.optim.Adam(student.parameters(), lr=1e-2), torch.Generator().manual_seed(0)
    for step in range(config.steps):
        value, _ = loss(generator, step)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    at = torch.tensor([-1.0, 0.0, 1.0])[:, None, None]
    with torch.no_grad():
        torch.testing.assert_close(student(at).mean, at, atol=0.15, rtol=0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("min_noise", 0.0, "the noise range is 0.0 to 1.0; it must be positive"),
        ("floor", 1.0, "floor is 1.0; it must be below 1"),
        ("noise_scheme", "odd", "noise_scheme is 'odd'; allowed: log-uniform"),
        ("head_layers", -1, "head_layers is -1; it must be finite and at least 0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        dataclasses.replace(SRPOConfig(), **{field: value})  # type: ignore[arg-type]
