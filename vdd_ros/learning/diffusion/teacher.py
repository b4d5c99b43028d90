"""Diffusion teachers, such as DDPM (Ho et al. 2020) and BESO (Reuss et al. 2023, EDM by Karras et al. 2022).

A teacher estimates the clean action D(a, sigma) of a noisy one. Its preconditioning defines the network's
target, its levels the training distribution and the sampling range; the rest is common to all teachers.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import NoiseConfig, Sampler, Schedule
from vdd_ros.learning.diffusion import samplers
from vdd_ros.learning.diffusion.levels import Levels
from vdd_ros.learning.diffusion.preconditioning import Preconditioning
from vdd_ros.learning.diffusion.teachers import TEACHERS
from vdd_ros.learning.fit.distributed import own_rows
from vdd_ros.learning.networks.backbones import Context, Denoiser, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class TeacherConfig(NetworkConfig, NoiseConfig):
    """Shape of a teacher.

    Attributes:
        kind: Name of a kind of teacher.
    """

    kind: str = "ddpm"

    def check(self) -> None:
        """Refuse invalid configurations.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        super().check()
        TEACHERS.get(self.kind)


class Teacher(nn.Module):
    """A diffusion policy over standardised actions, given standardised observations.

    An action here is a chunk flattened to a vector of D = horizon * act_dim; noise levels are those of noise_levels.py.

    Attributes:
        preconditioning: Parametrisation of the network's target.
        levels: Noise levels of training and sampling.
        network: The network.
        rounded: Whether `encode` and `denoise` compute the network's matrix products in bfloat16: for inference
            only, on processors with bfloat16 units. Actions, levels and accumulators stay float32.
    """

    rounded = False

    action_low: Tensor
    action_high: Tensor

    def __init__(self, config: TeacherConfig) -> None:
        """Build an untrained teacher, without action limits."""
        super().__init__()
        self.config = config
        self.size = config.size
        kind = TEACHERS.get(config.kind)
        self.network: Denoiser = kind.network(config)
        self.preconditioning: Preconditioning = kind.preconditioning(config)
        self.levels: Levels = kind.levels(config)
        self.register_buffer("action_low", torch.full((self.size,), -torch.inf))
        self.register_buffer("action_high", torch.full((self.size,), torch.inf))

    @property
    def sigma_range(self) -> tuple[float, float]:
        """Lowest and highest noise level for sampling."""
        return self.levels.span

    def limit_actions(self, low: Tensor, high: Tensor) -> None:
        """Set the limits, each (act_dim,), to which samplers clip clean standardised actions."""
        self.action_low = low.repeat(self.config.horizon)
        self.action_high = high.repeat(self.config.horizon)

    @property
    def action_limits(self) -> tuple[Tensor, Tensor]:
        """The limits of standardised actions, each (act_dim,), as `limit_actions` takes them."""
        return self.action_low[: self.config.act_dim], self.action_high[: self.config.act_dim]

    def encode(self, observation: Tensor, goal: Tensor | None = None) -> Context:
        """Encode observations (B, history, obs_dim) and goals (B, goal_length, obs_dim), once for all later calls."""
        with self._rounding(observation):
            return self.network.encode(observation, goal)

    def _rounding(self, like: Tensor) -> AbstractContextManager[None]:
        return torch.autocast(like.device.type, torch.bfloat16) if self.rounded else nullcontext()

    def loss(
        self,
        observation: Tensor,
        goal: Tensor | None,
        action: Tensor,
        levels_per_state: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the mean squared error of the network against its target.

        For DDPM this is Ho et al. (2020), eq. 14; for BESO Karras et al. (2022), eq. 8.

        Args:
            observation: (B, history, obs_dim) standardised.
            goal: (B, goal_length, obs_dim) or None.
            action: (B, D) standardised.
            levels_per_state: Noise levels per action, each with its own noise; each state is encoded once.
            generator: Source of levels and noise.

        In distributed training each process returns the mean over its own rows.
        """
        sigma = self.levels.draw((len(action), levels_per_state), generator)  # (B, S)
        clean = action[:, None]
        noise = torch.randn((*sigma.shape, self.size), generator=generator, device=generator.device)
        clean, sigma, noise = own_rows(clean), own_rows(sigma), own_rows(noise)
        noisy = clean + sigma[..., None] * noise
        return self.preconditioning.loss(
            self.network, self.encode(own_rows(observation), own_rows(goal)), noisy, clean, sigma
        )

    def denoise(self, context: Context, action: Tensor, sigma: Tensor) -> Tensor:
        """Estimate the mean of the clean actions.

        Args:
            context: From `encode`.
            action: (B, S, D) noisy.
            sigma: Levels, broadcast over (B, S).
        """
        with self._rounding(action):
            return self.preconditioning.denoise(self.network, context, action, sigma)

    def score(self, context: Context, action: Tensor, sigma: Tensor) -> Tensor:
        """Return the gradient of the log density of NOISED actions, (denoised - action) / sigma^2; as `denoise`."""
        return (self.denoise(context, action, sigma) - action) / sigma[..., None].square()

    def score_unnoised(self, context: Context, action: Tensor, sigma: Tensor) -> Tensor:
        """Return the score as the VDD paper evaluates it: at un-noised actions, in the teacher's own coordinates.

        For BESO that is `score`; for DDPM -eps(a, t) / sqrt(1 - alpha_bar), with `a` where sqrt(alpha_bar) a + noise
        was trained.
        """
        stretch = self.preconditioning.stretch(sigma)[..., None]
        return self.score(context, action * stretch, sigma) * stretch

    def nearest_level(self, sigma: Tensor, lowest: float, highest: float) -> Tensor:
        """Return the nearest training level within a range, for each level."""
        return self.levels.nearest(sigma, lowest, highest)

    def check_range(self, lowest: float, highest: float) -> None:
        """Refuse levels outside the training range.

        Raises:
            ConfigurationError: With the training range.
        """
        if not self.levels.cover(lowest, highest):
            known = self.sigma_range
            raise ConfigurationError(
                f"the teacher cannot be evaluated at noise levels from {lowest} to {highest}; "
                f"it was trained from {known[0]:.3g} to {known[1]:.3g}"
            )

    def sampling_levels(self, steps: int, schedule: Schedule = "karras") -> list[float]:
        """Return the `steps` levels of a sampler, descending, and the final 0.

        Raises:
            ConfigurationError: The teacher has fewer than `steps` distinct levels.
        """
        return [*self.levels.sampling_levels(steps, schedule), 0.0]

    def sample(
        self, context: Context, noise: Tensor, sampler: Sampler = "ancestral", schedule: Schedule = "karras"
    ) -> Tensor:
        """Draw S actions per state, (B, S, D): the end of `sample_trajectory`."""
        return self.sample_trajectory(context, noise, sampler, schedule)[-1]

    def sample_trajectory(
        self, context: Context, noise: Tensor, sampler: Sampler = "ancestral", schedule: Schedule = "karras"
    ) -> list[Tensor]:
        """Denoise from noise to actions.

        Args:
            context: From `encode`.
            noise: (B, S, steps, D) standard normal; draw 0 is the start, draw k is added after step k where the
                sampler is stochastic.
            sampler: Kind of step.
            schedule: Spacing of the levels.

        Returns:
            steps + 1 tensors (B, S, D): the noisy start, the action after each step.
        """
        sigmas = self.sampling_levels(int(noise.shape[2]), schedule)
        trajectory = [noise[:, :, 0] * self.levels.start(sigmas[0])]
        for index, (sigma, below) in enumerate(pairwise(sigmas), start=1):
            draw = noise[:, :, index] if below else None
            trajectory.append(self.step(context, trajectory[-1], sigma, below, sampler, draw))
        return trajectory

    def step(
        self, context: Context, action: Tensor, sigma: float, below: float, sampler: Sampler, draw: Tensor | None
    ) -> Tensor:
        """Take one step; see `sampler.step`. Denoised actions are clipped to the limits."""
        if self.preconditioning.keeps_noise and sampler in ("ddim", "euler") and below:
            clean = self.denoise(context, action, torch.full((1, 1), sigma, device=action.device))
            return torch.clamp(clean, self.action_low, self.action_high) + (action - clean) * (below / sigma)

        def denoise(noisy: Tensor, level: float) -> Tensor:
            clean = self.denoise(context, noisy, torch.full((1, 1), level, device=noisy.device))
            return torch.clamp(clean, self.action_low, self.action_high)

        return samplers.step(denoise, action, sigma, below, sampler, draw)
