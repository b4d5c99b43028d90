"""The DDPM teacher: noise prediction, its score, ancestral and DDIM sampling (Ho et al. 2020; Song et al. 2021)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vdd_ros.training.networks import Denoiser, ObservationEncoder
from vdd_ros.training.schedule import cosine_alpha_bars, sampling_levels

Sampler = Literal["ancestral", "ddim"]


@dataclass(frozen=True)
class TeacherConfig:
    """Shape of a teacher; everything needed to build it before its weights are loaded.

    Attributes:
        history, obs_dim: Window of observations.
        horizon, act_dim: Chunk of actions.
        levels: Noise levels that it is trained on.
        width, blocks: Size of the denoiser.
        octaves: Fourier octaves of the observations.
    """

    history: int
    obs_dim: int
    horizon: int
    act_dim: int
    levels: int = 64
    width: int = 128
    blocks: int = 3
    octaves: int = 3


class DDPMTeacher(nn.Module):
    """A diffusion policy over standardised actions, given standardised observations."""

    def __init__(self, config: TeacherConfig) -> None:
        """Build an untrained teacher."""
        super().__init__()
        self.config = config
        encoder = ObservationEncoder(config.history, config.obs_dim, config.width, config.octaves)
        self.denoiser = Denoiser(
            encoder, config.width, config.horizon, config.act_dim, config.levels, config.blocks
        )
        self.alpha_bars: Tensor
        self.action_low: Tensor
        self.action_high: Tensor
        self.register_buffer("alpha_bars", cosine_alpha_bars(config.levels), persistent=False)
        self.register_buffer("action_low", torch.full((config.act_dim,), -torch.inf))
        self.register_buffer("action_high", torch.full((config.act_dim,), torch.inf))

    def loss(self, observation: Tensor, action: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the mean squared error of the predicted noise (Ho et al. 2020, eq. 14).

        Args:
            observation: (B, history, obs_dim) standardised.
            action: (B, horizon, act_dim) standardised.
            generator: Source of levels and noise.
        """
        level = torch.randint(1, self.config.levels + 1, (len(action),), generator=generator)
        noise = torch.randn(action.shape, generator=generator)
        predicted = self.denoiser(self.denoiser.encode(observation), self.diffuse(action, level, noise), level)
        return (predicted - noise).square().mean()

    def diffuse(self, action: Tensor, level: Tensor, noise: Tensor) -> Tensor:
        """Add noise to clean actions: sqrt(alpha_bar) a + sqrt(1 - alpha_bar) noise."""
        alpha_bar = self.alpha_bars[level][..., None, None]
        return alpha_bar.sqrt() * action + (1 - alpha_bar).sqrt() * noise

    def score(self, features: Tensor, action: Tensor, level: Tensor) -> Tensor:
        """Return the gradient of the log density of NOISED actions at `level`: -eps / sqrt(1 - alpha_bar).

        Args:
            features: (..., width) from `denoiser.encode`.
            action: (..., horizon, act_dim) at noise level `level`.
            level: (...,) integers from 1 to `levels`.
        """
        deviation = (1 - self.alpha_bars[level]).sqrt()[..., None, None]
        return -self.denoiser(features, action, level) / deviation

    def sample(self, observation: Tensor, noise: Tensor, sampler: Sampler = "ancestral") -> Tensor:
        """Draw one action per observation.

        Args:
            observation: (B, history, obs_dim) standardised.
            noise: (B, steps, horizon, act_dim) standard normal; draw 0 starts the chain, draw k is added after step k.
                DDIM uses draw 0 only.
            sampler: `ancestral` (Ho et al. 2020, eq. 7 on the visited levels) or `ddim` (Song et al. 2021, eta 0).

        Returns:
            (B, horizon, act_dim) standardised.
        """
        levels = sampling_levels(self.config.levels, noise.shape[1])
        features = self.denoiser.encode(observation)
        action = noise[:, 0]
        for step, (level, below) in enumerate(zip(levels, [*levels[1:], 0], strict=True), start=1):
            predicted = self.denoiser(features, action, torch.tensor(level))
            here, there = float(self.alpha_bars[level]), float(self.alpha_bars[below])
            clean = (action - (1 - here) ** 0.5 * predicted) / here**0.5
            clean = torch.clamp(clean, self.action_low, self.action_high)
            if sampler == "ddim":
                direction = (action - here**0.5 * clean) / (1 - here) ** 0.5
                action = there**0.5 * clean + (1 - there) ** 0.5 * direction
                continue
            keep = here / there
            mean_clean = there**0.5 * (1 - keep) / (1 - here)
            mean_noisy = keep**0.5 * (1 - there) / (1 - here)
            action = mean_clean * clean + mean_noisy * action
            if below:
                deviation = ((1 - there) / (1 - here) * (1 - keep)) ** 0.5
                action = action + deviation * noise[:, step]
        return action
