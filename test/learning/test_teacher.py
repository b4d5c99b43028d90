"""The teachers' mathematics, with the network replaced by the exact one of a known target."""

import math
from itertools import pairwise
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn
from toy_targets import Target, exact_teacher, observations

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import Sampler, Schedule
from vdd_ros.learning.diffusion.noise_levels import cosine_sigmas
from vdd_ros.learning.diffusion.teacher import Teacher, TeacherConfig

TWO_MODES = Target.of([0.3, 0.7], [[-1.2, 0.5], [0.8, -0.4]], [0.2, 0.3])
ONE = Target.of([1.0], [[0.7]], [0.5])
KINDS = pytest.mark.parametrize("kind", ["ddpm", "beso"])
SAMPLERS: tuple[Sampler, ...] = ("ancestral", "ddim", "euler", "euler-ancestral", "heun")


class Recorder(nn.Module):
    """A network that estimates zero and keeps what it was asked."""

    def encode(self, observation: Tensor, goal: Tensor | None) -> Tensor:
        return observation

    def forward(self, context: Tensor, action: Tensor, condition: Tensor) -> Tensor:
        self.context, self.action, self.sigma = context, action, (4 * condition[..., 0].double()).exp()
        return torch.zeros_like(action)


def recording(kind: str, **settings: Any) -> tuple[Teacher, Recorder]:
    teacher, recorder = exact_teacher(ONE, kind, **settings), Recorder()
    teacher.network = recorder
    return teacher, recorder


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def small(**settings: Any) -> TeacherConfig:
    shape = {"history": 1, "obs_dim": 1, "horizon": 1, "act_dim": 1, "backbone": "mlp", "width": 8, "layers": 1}
    return TeacherConfig(**{**shape, **settings})


def test_edm_preconditions_as_in_its_table() -> None:
    """Karras et al. 2022, table 1, last column."""
    teacher, sigma = Teacher(small(kind="beso", sigma_data=0.7)), torch.tensor([0.02, 0.5, 3.0])
    total = sigma**2 + 0.7**2
    skip, out, scale_in = teacher.preconditioning.scalings(sigma)
    torch.testing.assert_close(skip, 0.7**2 / total)
    torch.testing.assert_close(out, sigma * 0.7 / total.sqrt())
    torch.testing.assert_close(scale_in, 1 / total.sqrt())


def test_edm_keeps_input_and_target_at_unit_deviation() -> None:
    teacher, clean = Teacher(small(kind="beso")), 0.5 * normal(200_000)
    for level in (0.02, 0.5, 3.0):
        sigma = torch.tensor(level)
        noisy = clean + sigma * normal(200_000, seed=1)
        skip, out, scale_in = teacher.preconditioning.scalings(sigma)
        assert float((scale_in * noisy).std()) == pytest.approx(1.0, rel=0.01)
        assert float(((clean - skip * noisy) / out).std()) == pytest.approx(1.0, rel=0.01)


def test_ddpm_is_given_its_own_coordinates_and_learns_the_noise() -> None:
    """The network sees sqrt(alpha_bar) a + sqrt(1 - alpha_bar) noise, and its loss is that of Ho et al., eq. 14."""
    teacher, recorder = recording("ddpm")
    clean = normal(20_000, 1)
    loss = teacher.loss(observations(20_000), None, clean, 1, torch.Generator().manual_seed(1))
    keep = 1 / (1 + recorder.sigma[..., None].square())
    noise = (recorder.action - keep.sqrt() * clean[:, None]) / (1 - keep).sqrt()
    torch.testing.assert_close(loss.double(), noise.square().mean(), rtol=1e-3, atol=0)
    assert abs(noise.mean()) < 5 / math.sqrt(20_000)
    assert abs(noise.var() - 1) < 5 * math.sqrt(2 / 20_000)
    counts = torch.bincount(torch.cdist(recorder.sigma.log(), cosine_sigmas(64).double().log()[:, None]).argmin(1))
    assert len(counts) == 64
    assert ((counts - 20_000 / 64) ** 2 / (20_000 / 64)).sum() < 130  # chi-square, 63 degrees, p < 1e-6


@KINDS
def test_every_state_is_encoded_once_for_all_its_draws(kind: str) -> None:
    teacher, recorder = recording(kind)
    teacher.loss(observations(6), None, normal(6, 1), 3, torch.Generator())
    assert recorder.context.shape == (6, 1, 1)
    assert recorder.action.shape == (6, 3, 1)
    assert recorder.sigma.shape == (6, 3)
    assert len(recorder.sigma.unique()) > 6, "each draw has a level of its own"


@KINDS
def test_the_exact_network_has_the_loss_that_cannot_be_beaten(kind: str) -> None:
    """The error that is left is the posterior deviation of the clean action, in units of c_out."""
    teacher, generator, count = exact_teacher(ONE, kind), torch.Generator().manual_seed(0), 200_000
    loss = float(teacher.loss(observations(count), None, ONE.draw(count, generator), 1, generator))
    sigma = teacher.levels.draw((count,), generator).double()
    variance = 0.5**2 * sigma**2 / (0.5**2 + sigma**2)
    out = teacher.preconditioning.scalings(sigma)[1]
    assert loss == pytest.approx(float((variance / out**2).mean()), rel=0.02)


@KINDS
@pytest.mark.parametrize("sigma", [0.03, 0.3, 1.0, 3.0])
def test_the_score_is_the_gradient_of_the_noised_log_density(kind: str, sigma: float) -> None:
    teacher, action = exact_teacher(TWO_MODES, kind), normal(5, 10, 2).requires_grad_()
    (expected,) = torch.autograd.grad(TWO_MODES.log_prob(action, sigma).sum(), action)
    levels = torch.full((5, 1), sigma)
    context = teacher.encode(observations(5))
    torch.testing.assert_close(teacher.score(context, action.detach(), levels), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(
        teacher.denoise(context, action.detach(), levels), TWO_MODES.denoised(action, sigma).float(), rtol=0, atol=1e-4
    )


def test_levels_of_states_do_not_mix() -> None:
    teacher, action, sigma = exact_teacher(TWO_MODES), normal(3, 4, 2), torch.tensor([[0.1], [0.5], [2.0]])
    context = teacher.encode(observations(3))
    together = teacher.score(context, action, sigma)
    for state in range(3):
        alone = teacher.score(context, action[state : state + 1], sigma[state : state + 1])
        torch.testing.assert_close(together[state : state + 1], alone)


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_unnoised_score_is_in_the_teachers_own_coordinates(sigma: float) -> None:
    """For DDPM the gradient of the log density of sqrt(alpha_bar) a + sqrt(1 - alpha_bar) noise."""
    levels = torch.full((1, 1), sigma)
    action = normal(1, 20, 2)
    beso = exact_teacher(TWO_MODES, "beso")
    context = beso.encode(observations(1))
    assert torch.equal(beso.score_unnoised(context, action, levels), beso.score(context, action, levels))

    keep = 1 / (1 + sigma**2)
    deviations = (keep * TWO_MODES.deviations**2 + 1 - keep).sqrt()
    shrunk = Target(TWO_MODES.weights, math.sqrt(keep) * TWO_MODES.means, deviations)
    at = action.clone().requires_grad_()
    (expected,) = torch.autograd.grad(shrunk.log_prob(at).sum(), at)
    found = exact_teacher(TWO_MODES, "ddpm").score_unnoised(context, action, levels)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@KINDS
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_have_the_modes_of_the_target(kind: str, sampler: Sampler) -> None:
    count = 6_000
    teacher = exact_teacher(TWO_MODES, kind, levels=256)
    noise = normal(1, count, 24 if sampler == "heun" else 100, 2)
    samples = teacher.sample(teacher.encode(observations(1)), noise, sampler, "cosine")[0].double()
    nearest = torch.cdist(samples, TWO_MODES.means).argmin(1)
    for mode, (weight, deviation) in enumerate(zip((0.3, 0.7), (0.2, 0.3), strict=True)):
        own = samples[nearest == mode]
        error = 4 / math.sqrt(len(own))
        assert len(own) / count == pytest.approx(weight, abs=0.02 + 2 / math.sqrt(count))
        assert (own.mean(0) - TWO_MODES.means[mode]).abs().max() < 0.02 + deviation * error
        assert (own.std(0) / deviation - 1).abs().max() < 0.06 + error


@KINDS
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_chain_starts_with_draw_0_and_takes_every_step(kind: str, sampler: Sampler) -> None:
    teacher, noise = exact_teacher(TWO_MODES, kind), normal(3, 2, 5, 2)
    context = teacher.encode(observations(3))
    chain, sigmas = teacher.sample_trajectory(context, noise, sampler, "karras"), teacher.sampling_levels(5, "karras")
    assert len(chain) == 6
    torch.testing.assert_close(chain[0], noise[:, :, 0] * teacher.sigma_range[1])
    for k, (sigma, below) in enumerate(pairwise(sigmas)):
        draw = noise[:, :, k + 1] if k < 4 else None
        torch.testing.assert_close(chain[k + 1], teacher.step(context, chain[k], sigma, below, sampler, draw))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_only_stochastic_samplers_use_later_draws(sampler: Sampler) -> None:
    teacher, noise = exact_teacher(TWO_MODES), normal(10, 1, 6, 2)
    other = torch.cat([noise[:, :, :1], normal(10, 1, 5, 2, seed=1)], dim=2)
    context = teacher.encode(observations(10))
    same = torch.equal(teacher.sample(context, noise, sampler), teacher.sample(context, other, sampler))
    assert same == (sampler not in ("ancestral", "euler-ancestral"))


@KINDS
@pytest.mark.parametrize("sampler", ["ancestral", "euler", "heun"])
def test_limits_hold_for_every_action_of_a_chunk(kind: str, sampler: Sampler) -> None:
    torch.manual_seed(0)
    teacher = Teacher(small(kind=kind, horizon=3, act_dim=2))
    low, high = torch.tensor([-0.1, 0.2]), torch.tensor([0.3, 0.4])
    teacher.limit_actions(low, high)
    with torch.no_grad():
        chunk = teacher.sample(teacher.encode(observations(50)), normal(50, 1, 8, 6), sampler).reshape(50, 3, 2)
    assert (chunk >= low).all()
    assert (chunk <= high).all()
    assert (chunk == low).any()
    assert (chunk == high).any()


def test_ddpm_walks_on_its_own_levels_below_the_top_ones() -> None:
    teacher = Teacher(small(levels=64))
    grid = cosine_sigmas(64).tolist()
    assert teacher.sigma_range == (grid[0], grid[60]), "5 % of 64 levels are 3"
    for steps in (1, 2, 8, 16, 60, 61):
        sigmas = teacher.sampling_levels(steps, "cosine")
        indices = [grid.index(sigma) for sigma in sigmas[:-1]]
        assert (indices[0], sigmas[-1]) == (60, 0.0)
        gaps = [above - below for above, below in pairwise([*indices, -1])]
        assert min(gaps) >= 1
        assert max(gaps) - min(gaps) <= 1 + 64 // steps // 8, "evenly, as the cosine schedule is in the angle"


def test_beso_walks_on_the_schedule_itself() -> None:
    sigmas = Teacher(small(kind="beso", sigma_min=0.01, sigma_max=1.0)).sampling_levels(3, "exponential")
    assert sigmas == pytest.approx([1.0, 0.1, 0.01, 0.0])


@pytest.mark.parametrize(("steps", "schedule"), [(62, "cosine"), (1000, "cosine"), (20, "linear")])
def test_more_steps_than_there_are_levels_are_refused(steps: int, schedule: Schedule) -> None:
    teacher = exact_teacher(TWO_MODES)
    with pytest.raises(ConfigurationError, match=f"{steps} sampling steps of the {schedule} schedule"):
        teacher.sample(teacher.encode(observations(1)), normal(1, 1, steps, 2), "ddim", schedule)


def test_ddpm_is_asked_at_the_nearest_level_that_it_knows() -> None:
    teacher, sigma = Teacher(small()), torch.logspace(-2, 0.5, 300)
    inside = [level for level in cosine_sigmas(64).tolist() if 0.05 <= level <= 1.0]
    found = teacher.nearest_level(sigma, 0.05, 1.0)
    for asked, given in zip(sigma.tolist(), found.tolist(), strict=True):
        distance = min(abs(math.log(asked / level)) for level in inside)
        assert given in inside
        assert abs(math.log(asked / given)) == pytest.approx(distance, abs=1e-5)


def test_a_range_of_one_level_gives_that_level() -> None:
    level = float(cosine_sigmas(64)[3])
    assert set(Teacher(small()).nearest_level(torch.rand(10), 0.99 * level, 1.01 * level).tolist()) == {level}


def test_beso_is_asked_at_any_level() -> None:
    sigma = torch.rand(9)
    assert torch.equal(Teacher(small(kind="beso")).nearest_level(sigma, 0.02, 3.0), sigma)


@pytest.mark.parametrize(
    ("kind", "noise_range"),
    [("ddpm", (1e-4, 1e-3)), ("ddpm", (0.1, 0.1001)), ("beso", (0.01, 1.0)), ("beso", (0.1, 4.0))],
)
def test_levels_that_a_teacher_does_not_know_are_refused(kind: str, noise_range: tuple[float, float]) -> None:
    low, high = noise_range
    with pytest.raises(ConfigurationError, match=rf"at noise levels from {low} to {high}; it was trained from 0\.0"):
        Teacher(small(kind=kind)).check_range(low, high)


@pytest.mark.parametrize(("kind", "noise_range"), [("ddpm", (1e-3, 1e6)), ("beso", (0.02, 3.0)), ("beso", (0.5, 0.5))])
def test_levels_that_a_teacher_knows_are_not(kind: str, noise_range: tuple[float, float]) -> None:
    Teacher(small(kind=kind)).check_range(*noise_range)


@pytest.mark.parametrize(("backbone", "horizon"), [("gpt", 1), ("gpt", 3), ("mlp", 2)])
def test_a_rounded_teacher_is_nearly_the_same(backbone: str, horizon: int) -> None:
    """bfloat16 keeps eight bits of each product; levels, skips and sums stay float32."""
    torch.manual_seed(0)
    shape = small(kind="beso", backbone=backbone, width=16, horizon=horizon)
    teacher = Teacher(shape).requires_grad_(False)
    for parameter in teacher.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    state, action = torch.randn(32, shape.history, shape.obs_dim), torch.randn(32, 4, shape.size)
    sigma = torch.logspace(-1.5, 0, 32)[:, None]
    exact = teacher.score(teacher.encode(state), action, sigma) * sigma[..., None]
    teacher.rounded = True
    rounded = teacher.score(teacher.encode(state), action, sigma) * sigma[..., None]
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert float((rounded - exact).square().mean().sqrt()) < 2**-6 * float(exact.square().mean().sqrt())
