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
    width: int = 224
    blocks: int = 4
    octaves: int = 4


class DDPMTeacher(nn.Module):
    """A diffusion policy over standardised actions, given standardised observations.

    An action here is a chunk flattened to a vector of D = horizon * act_dim.
    """

    def __init__(self, config: TeacherConfig) -> None:
        """Build an untrained teacher, whose actions have no limits yet."""
        super().__init__()
        self.config = config
        self.size = config.horizon * config.act_dim
        encoder = ObservationEncoder(config.history, config.obs_dim, config.width, config.octaves)
        self.denoiser = Denoiser(encoder, config.width, self.size, config.levels, config.blocks)
        self.alpha_bars: Tensor
        self.action_low: Tensor
        self.action_high: Tensor
        self.register_buffer("alpha_bars", cosine_alpha_bars(config.levels), persistent=False)
        self.register_buffer("action_low", torch.full((self.size,), -torch.inf))
        self.register_buffer("action_high", torch.full((self.size,), torch.inf))

    def limit_actions(self, low: Tensor, high: Tensor) -> None:
        """Set the limits of standardised actions, each (act_dim,), that samplers clip clean actions to."""
        self.action_low = low.repeat(self.config.horizon)
        self.action_high = high.repeat(self.config.horizon)

    def loss(self, observation: Tensor, action: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the mean squared error of the predicted noise (Ho et al. 2020, eq. 14).

        Args:
            observation: (B, history, obs_dim) standardised.
            action: (B, D) standardised.
            generator: Source of levels and noise.
        """
        level = torch.randint(1, self.config.levels + 1, (len(action),), generator=generator)
        noise = torch.randn(action.shape, generator=generator)
        alpha_bar = self.alpha_bars[level][:, None]
        noisy = alpha_bar.sqrt() * action + (1 - alpha_bar).sqrt() * noise
        return (self.denoiser(self.denoiser.encode(observation), noisy, level) - noise).square().mean()

    def score(self, features: Tensor, action: Tensor, level: Tensor) -> Tensor:
        """Return the gradient of the log density of NOISED actions at `level`: -eps / sqrt(1 - alpha_bar).

        Args:
            features: (..., width) from `denoiser.encode`; broadcast over the actions.
            action: (..., D) at noise level `level`.
            level: (...,) integers from 1 to `levels`.
        """
        deviation = (1 - self.alpha_bars[level]).sqrt()[..., None]
        return -self.denoiser(features, action, level) / deviation

    def sample(self, observation: Tensor, noise: Tensor, sampler: Sampler = "ancestral") -> Tensor:
        """Draw one action per observation; the last of `chain`."""
        return self.chain(observation, noise, sampler)[-1]

    def chain(self, observation: Tensor, noise: Tensor, sampler: Sampler = "ancestral") -> list[Tensor]:
        """Denoise from noise to actions.

        Args:
            observation: (B, history, obs_dim) standardised.
            noise: (B, steps, D) standard normal; draw 0 starts the chain, draw k is added after step k. DDIM uses
                draw 0 only.
            sampler: `ancestral` (Ho et al. 2020, eq. 7 on the visited levels) or `ddim` (Song et al. 2021, eta 0).

        Returns:
            steps + 1 tensors (B, D): the noise, the action after each step.
        """
        steps = int(noise.shape[1])
        levels = sampling_levels(self.config.levels, steps)
        features = self.denoiser.encode(observation)
        draws = noise.reshape(-1, steps * self.size).split(self.size, dim=1)
        chain = [draws[0]]
        for draw, level, below in zip((*draws[1:], None), levels, (*levels[1:], 0), strict=True):
            chain.append(self.step(features, chain[-1], level, below, draw if sampler == "ancestral" else None))
        return chain

    def step(self, features: Tensor, action: Tensor, level: int, below: int, draw: Tensor | None) -> Tensor:
        """Go from noise level `level` to `below`.

        Args:
            features: (B, width).
            action: (B, D) at `level`.
            level: Noise level of `action`.
            below: Noise level of the result; 0 is clean.
            draw: (B, D) standard normal for an ancestral step, None for a DDIM step. An ancestral step to 0 draws
                nothing, and there the two are one.
        """
        here, there = float(self.alpha_bars[level]), float(self.alpha_bars[below])
        predicted = self.denoiser(features, action, torch.tensor(level))
        clean = action * here**-0.5 - predicted * ((1 - here) / here) ** 0.5
        clean = torch.clamp(clean, self.action_low, self.action_high)
        if below == 0:
            return clean
        if draw is None:
            turn = ((1 - there) / (1 - here)) ** 0.5
            return action * turn + clean * (there**0.5 - here**0.5 * turn)
        keep = here / there
        deviation = ((1 - there) / (1 - here) * (1 - keep)) ** 0.5
        mean = action * (keep**0.5 * (1 - there) / (1 - here)) + clean * (there**0.5 * (1 - keep) / (1 - here))
        return mean + draw * deviation
