"""Noise levels: the common coordinate of all diffusion models here, sampling schedules, training distributions.

A level is sigma, the deviation of the noise on a standardised action that is itself not scaled ("variance exploding").
A variance-preserving model (DDPM) fits in: sqrt(alpha_bar) a + sqrt(1 - alpha_bar) noise is the action at the level
sigma = sqrt((1 - alpha_bar) / alpha_bar), divided by sqrt(1 + sigma^2).
"""

import math
from typing import get_args

import torch
from torch import Tensor

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import NoiseScheme, Schedule

MAX_BETA = 0.999
KARRAS_RHO = 7.0
COSINE_OFFSET = 0.008


def cosine_sigmas(levels: int) -> Tensor:
    """Return the levels of the cosine schedule of Nichol and Dhariwal (2021), eq. 17, with beta clipped to 0.999.

    Returns:
        (levels,) float32, ascending.
    """

    def share(time: float) -> float:
        return math.cos((time + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2) ** 2

    alpha_bar, sigmas = 1.0, []
    for level in range(levels):
        beta = min(1.0 - share((level + 1) / levels) / share(level / levels), MAX_BETA)
        alpha_bar *= 1.0 - beta
        sigmas.append(math.sqrt((1 - alpha_bar) / alpha_bar))
    return torch.tensor(sigmas, dtype=torch.float32, device="cpu")  # also where models are built without memory


def sampling_sigmas(schedule: Schedule, steps: int, lowest: float, highest: float) -> list[float]:
    """Return the `steps` levels of a sampler before 0, descending from `highest`.

    `cosine` is even in the angle atan(sigma), as DDPM's levels are, and ends one stride above 0; the others end at
    `lowest`: `linear` in sigma, `exponential` in its logarithm, `karras` in sigma^(1/7) (Karras et al. 2022, eq. 5).

    Raises:
        ConfigurationError: No steps, or an unknown schedule.
    """
    if steps < 1:
        raise ConfigurationError(f"{steps} sampling steps are requested; the number must be at least 1")
    if schedule == "cosine":
        top = math.atan(highest)
        return [math.tan(top * (1 - index / steps)) for index in range(steps)]
    parts = [index / max(steps - 1, 1) for index in range(steps)]
    if schedule == "linear":
        return [highest + part * (lowest - highest) for part in parts]
    if schedule == "exponential":
        return [highest * (lowest / highest) ** part for part in parts]
    if schedule == "karras":
        ends = highest ** (1 / KARRAS_RHO), lowest ** (1 / KARRAS_RHO)
        return [(ends[0] + part * (ends[1] - ends[0])) ** KARRAS_RHO for part in parts]
    if schedule == "leading":
        raise ConfigurationError("schedule is 'leading', which needs numbered levels; this teacher has a range of them")
    raise ConfigurationError(f"schedule is '{schedule}'; allowed: {', '.join(get_args(Schedule))}")


def draw_sigmas(
    scheme: NoiseScheme, count: int, lowest: float, highest: float, progress: float, generator: torch.Generator
) -> Tensor:
    """Draw noise levels at which to evaluate a teacher, (count,).

    Args:
        scheme: `log-uniform` or `uniform` in the range, `fixed` at its lower end, or `anneal`: all at one level, which
            falls evenly in its logarithm from the upper end to the lower.
        count: Number of levels.
        lowest: Lower end of the range.
        highest: Upper end.
        progress: Completed share of the steps, for `anneal`.
        generator: Source of randomness.
    """
    part = torch.rand(count, generator=generator, device=generator.device)
    if scheme == "uniform":
        return lowest + (highest - lowest) * part
    if scheme == "fixed":
        part = torch.zeros_like(part)
    elif scheme == "anneal":
        part = torch.full_like(part, 1 - progress)
    return lowest * (highest / lowest) ** part


def draw_log_logistic(
    shape: tuple[int, ...],
    lowest: float,
    highest: float,
    generator: torch.Generator,
    location: float = math.log(0.5),
    scale: float = 0.5,
) -> Tensor:
    """Draw levels whose logarithms are logistic, truncated to a range: BESO's training density (Reuss et al. 2023)."""

    def below(sigma: float) -> float:
        return 1 / (1 + math.exp(-(math.log(sigma) - location) / scale))

    low, high = below(lowest), below(highest)
    part = low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)
    return torch.exp(location + scale * torch.logit(part)).clamp(lowest, highest)
