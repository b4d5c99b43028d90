"""Trained teachers against closed form, and their samplers against scipy's solution of the probability-flow ODE."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor
from toy_targets import Target, exact_teacher, observations

from vdd_ros.learning.configs import Sampler
from vdd_ros.learning.diffusion.teacher import Teacher, TeacherConfig
from vdd_ros.learning.fit.training_loop import LoopConfig, TrainingLoop

RING = Target.ring(8, 1.3, 0.3)
LINE = Target.of([0.3, 0.7], [[-1.0], [0.8]], [0.3, 0.2])
KINDS = pytest.mark.parametrize("kind", ["ddpm", "beso"])


def trained(kind: str, folder: Path) -> Teacher:
    """Return a teacher of the ring after a few seconds of training."""
    torch.manual_seed(0)
    shape = {"backbone": "mlp", "width": 64, "layers": 2, "octaves": 0, "history": 1, "obs_dim": 1, "horizon": 1}
    teacher = Teacher(TeacherConfig(kind=kind, act_dim=2, **shape))  # type: ignore[arg-type]
    states = torch.zeros(256, 1, 1)

    def loss(generator: torch.Generator, _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        return teacher.loss(states, None, RING.draw(256, generator), 4, generator), {}

    loop = TrainingLoop(folder, teacher, LoopConfig(1000, 3e-3, ema_decay=0.99), seed=0)
    loop.run(loss, lambda: None, "teacher")
    return loop.averaged  # type: ignore[return-value]


@KINDS
def test_a_trained_teacher_knows_the_score_where_the_data_live(kind: str, tmp_path: Path) -> None:
    """Mean squared error over noised data at low, middle and high noise, in shares of the noise's own score."""
    teacher = trained(kind, tmp_path)
    context = teacher.encode(observations(1))
    generator = torch.Generator().manual_seed(1)
    for sigma in teacher.nearest_level(torch.tensor([0.1, 0.3, 1.0]), *teacher.sigma_range).tolist():
        clean = RING.draw(4000, generator)
        noisy = clean + sigma * torch.randn(clean.shape, generator=generator)
        truth = (RING.denoised(noisy, sigma) - noisy) / sigma**2
        with torch.no_grad():
            score = teacher.score(context, noisy[None], torch.full((1, 1), sigma))[0]
        error = sigma**2 * float((score - truth).square().mean())
        print(f"{kind} at sigma {sigma:.2f}: error {error:.4f}")
        assert error < 0.02


def flow(target: Target, start: NDArray[np.float64], highest: float, lowest: float) -> NDArray[np.float64]:
    """Solve da / d sigma = (a - denoised) / sigma from `highest` to `lowest` for starts (N, D)."""

    def slope(log_sigma: float, flat: NDArray[np.float64]) -> NDArray[np.float64]:
        action = torch.from_numpy(flat.reshape(start.shape))
        return (action - target.denoised(action, float(np.exp(log_sigma)))).numpy().ravel()  # d a / d log sigma

    span = float(np.log(highest)), float(np.log(lowest))
    solution = solve_ivp(slope, span, start.ravel(), method="DOP853", rtol=1e-9, atol=1e-10)
    return solution.y[:, -1].reshape(start.shape)


def sampler_error(teacher: Teacher, target: Target, sampler: Sampler, steps: int, middle: bool) -> float:
    """Return the median distance of a sampler's clean actions from those that the ODE gives."""
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn((1, 200, steps, target.size), generator=generator)
    schedule = "cosine" if middle else "karras"
    sigmas = teacher.sampling_levels(steps, schedule)  # type: ignore[arg-type]
    context = teacher.encode(observations(1))
    got = teacher.sample(context, noise, sampler, schedule)[0].double()  # type: ignore[arg-type]
    start = noise[0, :, 0].double().numpy() * sigmas[0]
    ends = torch.from_numpy(flow(target, start, sigmas[0], sigmas[-2]))
    true = target.denoised(ends, sigmas[-2])
    return float((got - true).norm(dim=-1).median())


@KINDS
@pytest.mark.parametrize("target", [LINE, RING], ids=["line", "ring"])
def test_ddim_converges_to_the_probability_flow(kind: str, target: Target) -> None:
    """Euler's method is of first order: four times the steps, about a quarter of the error."""
    teacher = exact_teacher(target, kind, levels=4000)
    few, many = (sampler_error(teacher, target, "ddim", steps, kind == "ddpm") for steps in (32, 128))
    assert many < 0.01
    assert 2.5 < few / many < 6
    assert sampler_error(teacher, target, "euler", 32, kind == "ddpm") == few


@pytest.mark.parametrize("target", [LINE, RING], ids=["line", "ring"])
def test_heuns_method_is_of_second_order(target: Target) -> None:
    teacher = exact_teacher(target, "beso")
    few, many = (sampler_error(teacher, target, "heun", steps, False) for steps in (16, 64))
    assert many < 0.002
    assert few / many > 8


@KINDS
def test_the_flow_carries_noise_to_the_target(kind: str) -> None:
    """DDIM's samples have the target's distribution: by Kolmogorov's distance in one dimension."""
    teacher = exact_teacher(LINE, kind, levels=1000, sigma_max=30.0)
    count, steps = 20_000, 64
    noise = torch.randn((1, count, steps, 1), generator=torch.Generator().manual_seed(0))
    drawn = np.sort(teacher.sample(teacher.encode(observations(1)), noise, "ddim", "cosine")[0, :, 0].double().numpy())
    axis = torch.linspace(-4, 4, 8001, dtype=torch.float64)
    share = np.cumsum(LINE.log_prob(axis[:, None]).exp().numpy()) * float(axis[1] - axis[0])
    expected = np.interp(drawn, axis.numpy(), share)
    distance = np.abs(expected - (np.arange(count) + 0.5) / count).max()
    assert distance < 0.03
