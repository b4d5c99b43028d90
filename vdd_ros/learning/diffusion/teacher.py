"""The diffusion teachers, DDPM (Ho et al. 2020) and BESO (Reuss et al. 2023, EDM by Karras et al. 2022), as one model.

Both estimate the clean action D(a, sigma) = c_skip a + c_out F(c_in a, sigma) with a network F that is trained towards
(clean - c_skip a) / c_out. DDPM predicts the noise (c_skip 1, c_out -sigma); EDM preconditions so that target and input
have deviation 1 at every level. What remains different is where they are trained, and where their samplers start.
"""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.diffusion import samplers
from vdd_ros.learning.diffusion.noise_levels import cosine_sigmas, draw_log_logistic, sampling_sigmas
from vdd_ros.learning.fit.distributed import own_rows
from vdd_ros.learning.methods.configs import Sampler, Schedule, TeacherKind
from vdd_ros.learning.networks.backbones import Context, Denoiser, Shape, make_denoiser

UNVISITED = 0.05


@dataclass(frozen=True, kw_only=True)
class TeacherConfig(Shape):
    """Shape of a teacher.

    Attributes:
        kind: `ddpm` or `beso`.
        levels: Noise levels that a DDPM is trained on.
        sigma_min, sigma_max, sigma_data: Levels that BESO is trained on, and the deviation its preconditioning assumes.
    """

    kind: TeacherKind = "ddpm"
    levels: int = 64
    sigma_min: float = 0.02
    sigma_max: float = 3.0
    sigma_data: float = 0.5


class Teacher(nn.Module):
    """A diffusion policy over standardised actions, given standardised observations.

    An action here is a chunk flattened to a vector of D = horizon * act_dim; noise levels are those of noise.py.
    """

    grid: Tensor
    action_low: Tensor
    action_high: Tensor

    def __init__(self, config: TeacherConfig) -> None:
        """Build an untrained teacher, whose actions have no limits yet."""
        super().__init__()
        self.config = config
        self.size = config.size
        self.network: Denoiser = make_denoiser(config)  # type: ignore[assignment]
        self.register_buffer("grid", cosine_sigmas(config.levels), persistent=False)
        self._levels = self.grid.tolist()
        self.register_buffer("action_low", torch.full((self.size,), -torch.inf))
        self.register_buffer("action_high", torch.full((self.size,), torch.inf))

    @property
    def sigma_range(self) -> tuple[float, float]:
        """The lowest and the highest level that it knows and that samplers visit.

        A DDPM's top 5 % of levels are left out: they hold hardly any signal (the last one of 64 is sigma = 1300), and a
        clean action estimated there would be rounding errors times a thousand.
        """
        if self.config.kind == "beso":
            return self.config.sigma_min, self.config.sigma_max
        top = self.config.levels - max(1, round(UNVISITED * self.config.levels))
        return self._levels[0], self._levels[max(top, 1) - 1]

    def limit_actions(self, low: Tensor, high: Tensor) -> None:
        """Set the limits of standardised actions, each (act_dim,), that clean actions are clipped to in samplers."""
        self.action_low = low.repeat(self.config.horizon)
        self.action_high = high.repeat(self.config.horizon)

    def encode(self, observation: Tensor, goal: Tensor | None = None) -> Context:
        """Encode observations (B, history, obs_dim) and goals (B, goal_length, obs_dim), once for all that follows."""
        return self.network.encode(observation, goal)

    def loss(
        self, observation: Tensor, goal: Tensor | None, action: Tensor, draws: int, generator: torch.Generator
    ) -> Tensor:
        """Return the mean squared error of the network against its target.

        For DDPM this is Ho et al. (2020), eq. 14; for BESO Karras et al. (2022), eq. 8.

        Args:
            observation: (B, history, obs_dim) standardised.
            goal: (B, goal_length, obs_dim) or None.
            action: (B, D) standardised.
            draws: Noise levels and noises for each action; the states are encoded once for all of them.
            generator: Source of levels and noise.

        Of several processes that train together each returns the mean over its own rows.
        """
        sigma = self.draw_training_levels((len(action), draws), generator)[..., None]  # (B, S, 1)
        clean = action[:, None]
        noise = torch.randn((*sigma.shape[:2], self.size), generator=generator, device=generator.device)
        clean, sigma, noise = own_rows(clean), own_rows(sigma), own_rows(noise)
        noisy = clean + sigma * noise
        skip, out, scale_in = self.coefficients(sigma)
        predicted = self.network(self.encode(own_rows(observation), own_rows(goal)), scale_in * noisy, sigma.log() / 4)
        return (predicted - (clean - skip * noisy) / out).square().mean()

    def coefficients(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return c_skip, c_out and c_in at levels of any shape (Karras et al. 2022, table 1: VP and ours)."""
        if self.config.kind == "ddpm":
            return torch.ones_like(sigma), -sigma, (1 + sigma.square()).rsqrt()
        data = self.config.sigma_data
        total = sigma.square() + data**2
        return data**2 / total, sigma * data * total.rsqrt(), total.rsqrt()

    def denoise(self, context: Context, action: Tensor, sigma: Tensor) -> Tensor:
        """Estimate the mean of the clean actions.

        Args:
            context: From `encode`.
            action: (B, S, D) noisy.
            sigma: Levels, broadcast over (B, S).
        """
        sigma = sigma[..., None]
        skip, out, scale_in = self.coefficients(sigma)
        return skip * action + out * self.network(context, scale_in * action, sigma.log() / 4)

    def score(self, context: Context, action: Tensor, sigma: Tensor) -> Tensor:
        """Return the gradient of the log density of NOISED actions, (denoised - action) / sigma^2; as `denoise`."""
        return (self.denoise(context, action, sigma) - action) / sigma[..., None].square()

    def score_unnoised(self, context: Context, action: Tensor, sigma: Tensor) -> Tensor:
        """Return the score as the VDD paper asks for it: at un-noised actions, in the teacher's own coordinates.

        For BESO that is `score`; for DDPM -eps(a, t) / sqrt(1 - alpha_bar), with `a` where sqrt(alpha_bar) a + noise
        was trained.
        """
        if self.config.kind == "beso":
            return self.score(context, action, sigma)
        stretch = (1 + sigma.square()).sqrt()[..., None]
        return self.score(context, action * stretch, sigma) * stretch

    def draw_training_levels(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw levels as they come in training: a DDPM's evenly, BESO's log-logistic."""
        if self.config.kind == "beso":
            return draw_log_logistic(shape, self.config.sigma_min, self.config.sigma_max, generator)
        return self.grid[torch.randint(len(self.grid), shape, generator=generator, device=generator.device)]

    def nearest_level(self, sigma: Tensor, lowest: float, highest: float) -> Tensor:
        """Return for each level the nearest in a range that the teacher was trained on; BESO knows all of them."""
        if self.config.kind == "beso":
            return sigma
        inside = self.grid[self._levels_within(lowest, highest)]
        return inside[torch.bucketize(sigma, (inside[1:] * inside[:-1]).sqrt())]

    def _levels_within(self, lowest: float, highest: float) -> slice:
        """Find a range in a DDPM's levels, without asking the device that holds them."""
        return slice(bisect_left(self._levels, lowest), bisect_right(self._levels, highest))

    def check_range(self, lowest: float, highest: float) -> None:
        """Refuse a range of levels that it was not trained on.

        Raises:
            ConfigurationError: With what it knows.
        """
        known = self.sigma_range
        if self.config.kind == "beso":
            asked = known[0] - 1e-6 <= lowest and highest <= known[1] + 1e-6
        else:
            asked = bool(self._levels[self._levels_within(lowest, highest)])
        if not asked:
            raise ConfigurationError(
                f"the teacher cannot be asked at noise levels from {lowest} to {highest}; "
                f"it was trained from {known[0]:.3g} to {known[1]:.3g}"
            )

    def visited(self, steps: int, schedule: Schedule = "karras") -> list[float]:
        """Return the levels that a sampler visits, `steps` of them, descending, and 0.

        Raises:
            ConfigurationError: There are not as many different levels to visit.
        """
        sigmas = sampling_sigmas(schedule, steps, *self.sigma_range)
        if self.config.kind == "ddpm":
            middles = [(math.atan(one) + math.atan(other)) / 2 for one, other in pairwise(self._levels)]
            nearest = [bisect_left(middles, math.atan(sigma)) for sigma in sigmas]
            if len(set(nearest)) < steps:
                raise ConfigurationError(
                    f"{steps} sampling steps by the {schedule} schedule would visit a noise level twice; this teacher "
                    f"of {self.config.levels} levels takes fewer, or another schedule"
                )
            sigmas = [self._levels[index] for index in nearest]
        return [*sigmas, 0.0]

    def sample(
        self, context: Context, noise: Tensor, sampler: Sampler = "ancestral", schedule: Schedule = "karras"
    ) -> Tensor:
        """Draw S actions per state, (B, S, D); the last of `chain`."""
        return self.chain(context, noise, sampler, schedule)[-1]

    def chain(
        self, context: Context, noise: Tensor, sampler: Sampler = "ancestral", schedule: Schedule = "karras"
    ) -> list[Tensor]:
        """Denoise from noise to actions.

        Args:
            context: From `encode`.
            noise: (B, S, steps, D) standard normal; draw 0 starts the chain, draw k is added after step k where the
                sampler is stochastic.
            sampler: How to step from level to level.
            schedule: Which levels to visit.

        Returns:
            steps + 1 tensors (B, S, D): the noisy start, the action after each step.
        """
        sigmas = self.visited(int(noise.shape[2]), schedule)
        chain = [noise[:, :, 0] * sigmas[0]]
        for index, (sigma, below) in enumerate(pairwise(sigmas), start=1):
            draw = noise[:, :, index] if below else None
            chain.append(self.step(context, chain[-1], sigma, below, sampler, draw))
        return chain

    def step(
        self, context: Context, action: Tensor, sigma: float, below: float, sampler: Sampler, draw: Tensor | None
    ) -> Tensor:
        """Take one step; see `sampler.step`. Denoised actions are clipped to the limits."""

        def denoise(noisy: Tensor, level: float) -> Tensor:
            clean = self.denoise(context, noisy, torch.full((1, 1), level, device=noisy.device))
            return torch.clamp(clean, self.action_low, self.action_high)

        return samplers.step(denoise, action, sigma, below, sampler, draw)
