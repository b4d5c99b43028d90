"""The teacher's mathematics, with the noise predictor replaced by the exact one of a known target."""

import math
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn
from toy_targets import Target, exact_teacher, observations

from vdd_ros.errors import ConfigurationError
from vdd_ros.training.schedule import highest_visited, sampling_levels
from vdd_ros.training.teacher import DDPMTeacher, Sampler, TeacherConfig

TWO_MODES = Target.of([0.3, 0.7], [[-1.2, 0.5], [0.8, -0.4]], [0.2, 0.3])
ONE = Target.of([1.0], [[0.7]], [0.5])


class Recorder(nn.Module):
    """A denoiser that predicts zero and keeps what it was asked."""

    def encode(self, observation: Tensor) -> Tensor:
        return observation

    def forward(self, features: Tensor, action: Tensor, level: Tensor) -> Tensor:
        self.action, self.level = action, level
        return torch.zeros_like(action)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_loss_is_the_squared_error_of_the_noise_that_was_mixed_in() -> None:
    teacher = exact_teacher(ONE)
    teacher.denoiser = recorder = Recorder()  # type: ignore[assignment]
    clean = normal(20_000, 1)
    loss = teacher.loss(observations(20_000), clean, torch.Generator().manual_seed(1))
    keep = teacher.alpha_bars[recorder.level][:, None]
    noise = (recorder.action - keep.sqrt() * clean) / (1 - keep).sqrt()
    torch.testing.assert_close(loss, noise.square().mean(), rtol=1e-3, atol=0)
    assert abs(noise.mean()) < 5 / math.sqrt(20_000)
    assert abs(noise.var() - 1) < 5 * math.sqrt(2 / 20_000)
    counts = torch.bincount(recorder.level, minlength=65)
    assert counts[0] == 0
    assert counts[1:].min() > 0
    assert ((counts[1:] - 20_000 / 64) ** 2 / (20_000 / 64)).sum() < 130  # chi-square, 63 degrees, p < 1e-6


def test_the_exact_predictor_has_the_loss_that_cannot_be_beaten() -> None:
    teacher, generator = exact_teacher(ONE), torch.Generator().manual_seed(0)
    count = 200_000
    loss = float(teacher.loss(observations(count), ONE.draw(count, generator), generator))
    keep = teacher.alpha_bars[1:].double()
    variance = keep * 0.5**2
    assert loss == pytest.approx(float((variance / (variance + 1 - keep)).mean()), rel=0.02)


@pytest.mark.parametrize("level", [1, 7, 32, 64])
def test_the_score_is_the_gradient_of_the_noised_log_density(level: int) -> None:
    teacher = exact_teacher(TWO_MODES)
    action = normal(50, 2).double().requires_grad_()
    density = TWO_MODES.double().log_prob(action, teacher.alpha_bars[level].double().expand(50))
    (expected,) = torch.autograd.grad(density.sum(), action)
    score = teacher.score(torch.zeros(50, 1), action.detach().float(), torch.full((50,), level))
    torch.testing.assert_close(score.double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("sampler", ["ancestral", "ddim"])
def test_samples_have_the_modes_of_the_target(sampler: Sampler) -> None:
    count, levels = 8_000, 128
    teacher = exact_teacher(TWO_MODES, levels)
    samples = teacher.sample(observations(count), normal(count, highest_visited(levels), 2), sampler)
    nearest = torch.cdist(samples, TWO_MODES.means).argmin(1)
    for mode, (weight, deviation) in enumerate(zip((0.3, 0.7), (0.2, 0.3), strict=True)):
        own = samples[nearest == mode]
        error = 4 / math.sqrt(len(own))
        assert len(own) / count == pytest.approx(weight, abs=0.02 + 2 / math.sqrt(count))
        assert (own.mean(0) - TWO_MODES.means[mode]).abs().max() < 0.02 + deviation * error
        assert (own.std(0) / deviation - 1).abs().max() < 0.04 + error


def probability_flow(target: Target, start: Tensor, highest: float) -> Tensor:
    """Integrate dx / dsigma = noise, x = a / sqrt(alpha_bar), from `start` at sigma `highest` to 0 by Heun's method."""
    sigmas = np.append(np.geomspace(highest, 1e-3, 4_000), 0.0)
    x = start.double() * math.sqrt(1 + highest**2)

    def slope(x: Tensor, sigma: float) -> Tensor:
        keep = torch.tensor(1 / (1 + sigma**2)).double()
        return target.noise(x * keep.sqrt(), keep.expand(len(x)))

    for here, there in pairwise(sigmas):
        first = slope(x, here)
        second = slope(x + (there - here) * first, there)
        x = x + (there - here) * (first + second) / 2
    return x


def test_ddim_follows_the_probability_flow_the_closer_the_more_levels() -> None:
    start = normal(40, 2)
    errors = []
    for levels in (50, 200, 800):
        teacher = exact_teacher(TWO_MODES, levels)
        keep = float(teacher.alpha_bars[highest_visited(levels)])
        exact = probability_flow(TWO_MODES.double(), start, math.sqrt((1 - keep) / keep))
        noise = torch.zeros(40, highest_visited(levels), 2)
        noise[:, 0] = start
        errors.append(float((teacher.sample(observations(40), noise, "ddim") - exact).abs().mean()))
    assert errors[0] < 0.05
    assert errors[1] < 0.4 * errors[0]
    assert errors[2] < 0.4 * errors[1]


@pytest.mark.parametrize(("level", "below"), [(60, 40), (33, 32), (2, 1)])
def test_an_ancestral_step_draws_from_the_posterior_of_the_forward_process(level: int, below: int) -> None:
    """With the clean action known, it is Bayes' rule for two Gaussians (Ho et al. 2020, eq. 7)."""
    clean = torch.tensor([[0.7]])
    teacher = exact_teacher(Target(torch.ones(1), clean, torch.full((1,), 1e-4)))
    here, there = (teacher.alpha_bars[index].double() for index in (level, below))
    action = here.sqrt() * 0.7 + (1 - here).sqrt() * normal(20, 1).double()
    step = here / there  # action | there ~ N(sqrt(step) a_there, 1 - step), a_there ~ N(sqrt(there) clean, 1 - there)
    precision = step / (1 - step) + 1 / (1 - there)
    mean = (step.sqrt() * action / (1 - step) + there.sqrt() * 0.7 / (1 - there)) / precision

    def draw(noise: float) -> Tensor:
        return teacher.step(torch.zeros(20, 1), action.float(), level, below, torch.full((20, 1), noise)).double()

    torch.testing.assert_close(draw(0.0), mean, rtol=0, atol=2e-3)
    torch.testing.assert_close(draw(1.0) - draw(0.0), precision.rsqrt().expand(20, 1), rtol=1e-3, atol=1e-5)


def test_the_chain_starts_with_draw_0_and_takes_every_step() -> None:
    teacher, noise = exact_teacher(TWO_MODES), normal(3, 5, 2)
    chain = teacher.chain(observations(3), noise)
    assert len(chain) == 6
    torch.testing.assert_close(chain[0], noise[:, 0])
    levels = [*sampling_levels(64, 5), 0]
    for k in range(5):
        draw = noise[:, k + 1] if k < 4 else None
        step = teacher.step(torch.zeros(3, 1), chain[k], levels[k], levels[k + 1], draw)
        torch.testing.assert_close(chain[k + 1], step)


def test_ddim_uses_the_first_draw_only() -> None:
    teacher, noise = exact_teacher(TWO_MODES), normal(10, 6, 2)
    other = torch.cat([noise[:, :1], normal(10, 5, 2, seed=1)], dim=1)
    observation = observations(10)
    assert torch.equal(teacher.sample(observation, noise, "ddim"), teacher.sample(observation, other, "ddim"))
    assert not torch.equal(teacher.sample(observation, noise), teacher.sample(observation, other))


@pytest.mark.parametrize("sampler", ["ancestral", "ddim"])
def test_limits_hold_for_every_action_of_a_chunk(sampler: Sampler) -> None:
    teacher = DDPMTeacher(TeacherConfig(1, 1, horizon=3, act_dim=2, width=8, blocks=1, octaves=1))
    low, high = torch.tensor([-0.1, 0.2]), torch.tensor([0.3, 0.4])
    teacher.limit_actions(low, high)
    with torch.no_grad():
        chunk = teacher.sample(observations(50), normal(50, 8, 6), sampler).reshape(50, 3, 2)
    assert (chunk >= low).all()
    assert (chunk <= high).all()
    assert (chunk == low).any()
    assert (chunk == high).any()


def test_more_steps_than_levels_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="64 sampling steps"):
        exact_teacher(TWO_MODES).sample(observations(1), normal(1, 64, 2))
