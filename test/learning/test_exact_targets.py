"""Distillation of targets of one to sixteen dimensions and one to 24 modes, and of one that changes with the state."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from exact_targets import (
    ExactTeacher,
    Target,
    distil_target,
    fixed_target,
    fork,
    match_by_quadrature,
    ring,
    ring_config,
)
from torch import Tensor

from vdd_ros.learning.students.gaussian_mixture import GaussianMixture
from vdd_ros.learning.students.mixture import MixtureStudent

STATES = torch.linspace(-2, 2, 5)[:, None, None]


def scattered(size: int, modes: int, seed: int = 0) -> Target:
    """Return modes of unequal weights at places 1.2 apart and more, with deviations of 0.2 to 0.4."""
    generator = torch.Generator().manual_seed(seed)
    places: list[Tensor] = []
    while len(places) < modes:
        place = 8 * torch.rand(size, generator=generator) - 4 if size > 1 else torch.tensor([3.0 * len(places) - 3])
        if all((place - other).norm() > 1.2 for other in places):
            places.append(place)
    weights = (0.5 + torch.rand(modes, generator=generator)) / modes
    deviations = 0.2 + 0.2 * torch.rand((modes, size), generator=generator)
    return fixed_target(weights / weights.sum(), torch.stack(places), deviations)


@torch.no_grad()
def match_by_samples(student: MixtureStudent, target: Target, count: int = 20_000) -> tuple[float, float, Tensor]:
    """Return KL(student || target) with its standard error, and the mass at each mode in shares of its own."""
    generator = torch.Generator().manual_seed(1)
    q, p = student(STATES), target.mixture(STATES)
    action = q.draw(count, generator)
    gap = q.log_prob(action) - p.log_prob(action)
    modes = p.log_responsibilities(action).exp().mean(1) / p.log_gating.exp()
    return float(gap.mean()), float(gap.std() / gap.numel() ** 0.5), modes.mean(0)


@pytest.mark.parametrize(
    ("size", "modes", "changes"),
    [
        (1, 1, {"update": "paper"}),
        (1, 3, {}),
        (2, 24, {"steps": 600}),
        (4, 12, {"covariance": "full"}),
        (8, 5, {"update": "paper"}),
        (16, 4, {}),
    ],
)
def test_a_student_of_as_many_experts_matches_any_mixture(
    size: int, modes: int, changes: dict[str, Any], tmp_path: Path
) -> None:
    target = scattered(size, modes)
    highest = 0.05 if "update" in changes else 1.0
    settings = {"samples": 8, "batch": 64, "max_noise": highest, "min_noise": 0.02, "steps": 300} | changes
    config = ring_config(experts=modes, gating="learned", **settings)
    kl, error, found = match_by_samples(distil_target(target, config, tmp_path / "student"), target)
    print(f"{size} dimensions, {modes} modes, {changes}: KL {kl:.1e} +- {error:.1e}, modes {found.min():.2f}")
    assert (found > 0.5).all()
    assert kl - 3 * error < 0.01


def test_a_student_follows_a_target_whose_modes_part(tmp_path: Path) -> None:
    config = ring_config(
        experts=3, octaves=2, samples=8, batch=128, max_noise=1.0, steps=400, expert_start="grid", start_bound=1.5
    )
    student = distil_target(fork(), config, tmp_path / "student")
    match = match_by_quadrature(student, fork(), STATES, points=2001)
    print(f"fork: KL {match.kl:.1e}")
    assert match.kl < 0.01
    with torch.no_grad():
        grid = torch.linspace(-4, 4, 2001)[None, :, None].expand(2, -1, 1)
        density = student(torch.tensor([[[-2.0]], [[2.0]]])).log_prob(grid)
    peaks = ((density[:, 1:-1] > density[:, :-2]) & (density[:, 1:-1] > density[:, 2:])).sum(1)
    assert peaks.tolist() == [1, 3]


@pytest.mark.parametrize("sigma", [0.01, 0.3, 2.0])
def test_an_exact_teacher_gives_the_gradient_of_the_noised_density(sigma: float) -> None:
    """Against autograd through torch.distributions."""
    target = scattered(3, 4)
    truth = target.mixture(STATES[:1])
    law = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=truth.log_gating[0].double()),
        torch.distributions.Independent(
            torch.distributions.Normal(truth.mean[0].double(), (truth.factor[0].double() ** 2 + sigma**2).sqrt()), 1
        ),
    )
    action = (3 * torch.randn((50, 3), generator=torch.Generator().manual_seed(0))).double().requires_grad_()
    (expected,) = torch.autograd.grad(law.log_prob(action).sum(), action)
    teacher = ExactTeacher(target)
    level, at = torch.full((1, 1), sigma), action.detach().float()[None]
    score = teacher.score(teacher.encode(STATES[:1]), at, level)
    torch.testing.assert_close(score[0].double(), expected, rtol=1e-3, atol=1e-3)
    denoised = teacher.denoise(teacher.encode(STATES[:1]), at, level)
    torch.testing.assert_close(denoised, at + sigma**2 * score)


def test_drawn_actions_follow_their_mixture() -> None:
    """Shares of the eight modes, each with its standard error, and the radius' second moment."""
    count = 40_000
    mixture = ring().mixture(STATES[:1])
    action = mixture.draw(count, torch.Generator().manual_seed(0))
    share = mixture.log_responsibilities(action).exp().mean((0, 1))
    assert (share - 1 / 8).abs().max() < 5 * (1 / 8 / count) ** 0.5
    assert float(action.square().sum(-1).mean()) == pytest.approx(2.0**2 + 2 * 0.5**2, rel=0.02)


def test_the_match_tells_a_lost_mode() -> None:
    """Seven of eight modes: their logarithm is the divergence, and the eighth is empty."""
    whole, part = ring(deviation=0.1), ring(deviation=0.1).mixture(STATES[:1])
    log_gating = torch.full((1, 7), 1 / 7).log()
    seven = GaussianMixture(log_gating, part.mean[:, :7], part.factor[:, :7])
    match = match_by_quadrature(lambda _: seven, whole, STATES[:1])
    assert match.kl == pytest.approx(torch.tensor(8 / 7).log().item(), abs=1e-5)
    assert match.modes_found == 7
