"""Noise levels of a teacher: its training distribution and its sampling levels."""

import math
from bisect import bisect_left, bisect_right
from itertools import pairwise

import torch
from torch import Tensor, nn

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import NoiseConfig, Sampler, Schedule
from vdd_ros.learning.diffusion.noise_levels import cosine_sigmas, draw_log_logistic, sampling_sigmas

UNVISITED = 0.05


class Levels(nn.Module):
    """Noise levels of a teacher.

    Attributes:
        span: Lowest and highest sampling level.
        usual_sampler, usual_schedule: Sampler and schedule of a file, unless others are asked for.
    """

    span: tuple[float, float]
    usual_sampler: Sampler = "ancestral"
    usual_schedule: Schedule = "karras"

    def start(self, sigma: float) -> float:
        """Return the deviation of the noise from which samples start at a level: the level itself."""
        return sigma

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw levels from the training distribution."""
        raise NotImplementedError

    def nearest(self, sigma: Tensor, lowest: float, highest: float) -> Tensor:
        """Return the nearest training level within a range, for each level."""
        raise NotImplementedError

    def cover(self, lowest: float, highest: float) -> bool:
        """Return whether training covered a range of levels."""
        raise NotImplementedError

    def sampling_levels(self, steps: int, schedule: Schedule) -> list[float]:
        """Return the `steps` levels of a sampler, descending, without the final 0.

        Raises:
            ConfigurationError: The teacher has fewer than `steps` distinct levels.
        """
        return sampling_sigmas(schedule, steps, *self.span)


class LevelRange(Levels):
    """A continuous range of levels with a log-logistic training distribution, as in BESO."""

    def __init__(self, lowest: float, highest: float) -> None:
        """Take the ends of the range."""
        super().__init__()
        self.span = lowest, highest

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw levels from the training distribution."""
        return draw_log_logistic(shape, *self.span, generator)

    def nearest(self, sigma: Tensor, lowest: float, highest: float) -> Tensor:
        """Return the levels themselves."""
        return sigma

    def cover(self, lowest: float, highest: float) -> bool:
        """Return whether this range contains another."""
        return self.span[0] - 1e-6 <= lowest and highest <= self.span[1] + 1e-6


class LevelGrid(Levels):
    """Discrete levels with a uniform training distribution, as in DDPM.

    Samplers leave out the top 5 %: these hold hardly any signal (the last of 64 cosine levels is sigma = 1300), and a
    clean action estimated there would be rounding errors times a thousand.
    """

    grid: Tensor

    def __init__(self, sigmas: Tensor) -> None:
        """Take the levels, (levels,) ascending, on the CPU."""
        super().__init__()
        self._levels: list[float] = sigmas.tolist()
        top = len(self._levels) - max(1, round(UNVISITED * len(self._levels)))
        self.span = self._levels[0], self._levels[max(top, 1) - 1]
        self.register_buffer("grid", sigmas, persistent=False)

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw levels from the training distribution."""
        return self.grid[torch.randint(len(self.grid), shape, generator=generator, device=generator.device)]

    def nearest(self, sigma: Tensor, lowest: float, highest: float) -> Tensor:
        """Return the nearest level of the grid within a range, for each level."""
        inside = self.grid[self._within(lowest, highest)]
        return inside[torch.bucketize(sigma, (inside[1:] * inside[:-1]).sqrt())]

    def cover(self, lowest: float, highest: float) -> bool:
        """Return whether a range contains one of the levels."""
        return bool(self._levels[self._within(lowest, highest)])

    def sampling_levels(self, steps: int, schedule: Schedule) -> list[float]:
        """Return the levels of the grid nearest to a schedule's; raises as `Levels.sampling_levels`.

        Of `leading` they are every r-th from the lowest, r = levels // steps: the default of diffusers' schedulers.
        """
        if schedule == "leading":
            return self._leading(steps)
        middles = [(math.atan(one) + math.atan(other)) / 2 for one, other in pairwise(self._levels)]
        wanted = super().sampling_levels(steps, schedule)
        nearest = [bisect_left(middles, math.atan(sigma)) for sigma in wanted]
        if len(set(nearest)) < steps:
            raise ConfigurationError(
                f"{steps} sampling steps of the {schedule} schedule would visit a noise level twice; this teacher "
                f"has {len(self._levels)} levels: take fewer steps, or another schedule"
            )
        return [self._levels[index] for index in nearest]

    def _leading(self, steps: int) -> list[float]:
        if not 1 <= steps <= len(self._levels):
            raise ConfigurationError(
                f"{steps} sampling steps are requested, but this teacher has {len(self._levels)} levels; choose 1 to "
                f"{len(self._levels)}"
            )
        stride = len(self._levels) // steps
        return [self._levels[index * stride] for index in reversed(range(steps))]

    def _within(self, lowest: float, highest: float) -> slice:
        """Find a range among the levels, without synchronising with their device."""
        return slice(bisect_left(self._levels, lowest), bisect_right(self._levels, highest))


def cosine_levels(config: NoiseConfig) -> LevelGrid:
    """Return the grid of the cosine schedule, of `levels` levels."""
    return LevelGrid(cosine_sigmas(config.levels))


def level_range(config: NoiseConfig) -> LevelRange:
    """Return the range from `sigma_min` to `sigma_max`."""
    return LevelRange(config.sigma_min, config.sigma_max)
