"""Sampling steps against the formulas of the papers, and their order on an equation solved in closed form."""

import math
from itertools import pairwise

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor
from toy_targets import Target

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import Sampler
from vdd_ros.learning.diffusion.noise_levels import sampling_sigmas
from vdd_ros.learning.diffusion.samplers import STOCHASTIC, passes, step

TWO_MODES = Target.of([0.3, 0.7], [[-1.2, 0.5], [0.8, -0.4]], [0.2, 0.3])
PAIRS = pytest.mark.parametrize(("sigma", "below"), [(30.0, 4.0), (1.0, 0.9), (0.3, 0.01)])
SAMPLERS: tuple[Sampler, ...] = ("ancestral", "ddim", "euler", "euler-ancestral", "heun")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def kept(sigma: float) -> float:
    """Return alpha_bar."""
    return 1 / (1 + sigma**2)


@PAIRS
@pytest.mark.parametrize("sampler", ["ancestral", "euler-ancestral"])
def test_an_ancestral_step_draws_from_the_posterior_of_ho_et_al(sigma: float, below: float, sampler: Sampler) -> None:
    """Eq. 6 and 7 with x = a sqrt(alpha_bar): mean and deviation of x_below given x and the clean action."""
    action, draw = sigma * normal(4, 3, 2), normal(4, 3, 2, seed=1)
    clean = TWO_MODES.denoised(action, sigma)
    here, there = kept(sigma), kept(below)
    alpha = here / there
    beta = 1 - alpha
    x = math.sqrt(here) * action
    mean = math.sqrt(there) * beta / (1 - here) * clean + math.sqrt(alpha) * (1 - there) / (1 - here) * x
    deviation = math.sqrt(beta * (1 - there) / (1 - here))
    stepped = step(TWO_MODES.denoised, action, sigma, below, sampler, draw)
    torch.testing.assert_close(math.sqrt(there) * stepped, mean + deviation * draw)


@PAIRS
@pytest.mark.parametrize("sampler", ["ancestral", "euler-ancestral"])
def test_an_ancestral_step_is_karras_ancestral_step(sigma: float, below: float, sampler: Sampler) -> None:
    """Euler's step to sigma_down, then noise of sigma_up, with sigma_down^2 + sigma_up^2 = below^2."""
    action, draw = sigma * normal(4, 3, 2), normal(4, 3, 2, seed=1)
    up = math.sqrt(below**2 * (sigma**2 - below**2) / sigma**2)
    down = math.sqrt(below**2 - up**2)
    slope = (action - TWO_MODES.denoised(action, sigma)) / sigma
    expected = action + slope * (down - sigma) + up * draw
    torch.testing.assert_close(step(TWO_MODES.denoised, action, sigma, below, sampler, draw), expected)


@PAIRS
@pytest.mark.parametrize("sampler", ["ddim", "euler"])
def test_a_ddim_step_is_song_et_als(sigma: float, below: float, sampler: Sampler) -> None:
    """Eq. 12 with no noise, in variance-preserving coordinates."""
    action = sigma * normal(4, 3, 2)
    here, there = kept(sigma), kept(below)
    x = math.sqrt(here) * action
    noise = (action - TWO_MODES.denoised(action, sigma)) / sigma
    predicted = (x - math.sqrt(1 - here) * noise) / math.sqrt(here)
    expected = math.sqrt(there) * predicted + math.sqrt(1 - there) * noise
    stepped = step(TWO_MODES.denoised, action, sigma, below, sampler, None)
    torch.testing.assert_close(math.sqrt(there) * stepped, expected)


@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("ddim", 1), ("heun", 2)])
def test_the_error_falls_with_the_order_of_the_method(sampler: Sampler, order: int) -> None:
    """One Gaussian: a - mean shrinks along the flow as sqrt(deviation^2 + sigma^2)."""
    one = Target.of([1.0], [[0.7]], [0.5])
    lowest, highest = 0.05, 3.0
    start = highest * normal(50, 1)
    exact_end = 0.7 + (start - 0.7) * math.sqrt((0.5**2 + lowest**2) / (0.5**2 + highest**2))
    errors = []
    for steps in (32, 64, 128):
        action = start
        for sigma, below in pairwise(sampling_sigmas("karras", steps + 1, lowest, highest)):
            action = step(one.denoised, action, sigma, below, sampler, None)
        errors.append(float((action - exact_end).abs().max()))
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(2**order, rel=0.15)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_last_step_gives_the_denoised_action(sampler: Sampler) -> None:
    action = normal(4, 3, 2)
    stepped = step(TWO_MODES.denoised, action, 0.1, 0.0, sampler, None)
    torch.testing.assert_close(stepped, TWO_MODES.denoised(action, 0.1))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_asks_the_network_as_often_as_it_says(sampler: Sampler) -> None:
    asked = []

    def count(action: Tensor, sigma: float) -> Tensor:
        asked.append(sigma)
        return TWO_MODES.denoised(action, sigma)

    action = normal(4, 3, 2)
    for sigma, below in pairwise([3.0, 1.0, 0.5, 0.1, 0.0]):
        action = step(count, action, sigma, below, sampler, normal(4, 3, 2))
    assert len(asked) == passes(sampler, 4)
    assert set(asked) == {3.0, 1.0, 0.5, 0.1}


@pytest.mark.parametrize("sampler", STOCHASTIC)
def test_a_stochastic_step_needs_a_draw(sampler: Sampler) -> None:
    with pytest.raises(TypeError, match=f"'{sampler}' needs a draw"):
        step(TWO_MODES.denoised, normal(1, 1, 2), 1.0, 0.5, sampler, None)


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"sampler is 'dpm'; allowed: ancestral, ddim, euler"):
        step(TWO_MODES.denoised, normal(1, 1, 2), 1.0, 0.5, "dpm", None)  # type: ignore[arg-type]
