"""Which noise levels a teacher has learned, and which of them samplers visit."""

import math
from bisect import bisect_left, bisect_right
from itertools import pairwise

import torch
from torch import Tensor, nn

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import NoiseConfig, Schedule
from vdd_ros.learning.diffusion.noise_levels import cosine_sigmas, draw_log_logistic, sampling_sigmas

UNVISITED = 0.05


class Levels(nn.Module):
    """The levels of a teacher.

    Attributes:
        span: The lowest and the highest level that samplers visit.
    """

    span: tuple[float, float]

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw levels as they come in training."""
        raise NotImplementedError

    def nearest(self, sigma: Tensor, lowest: float, highest: float) -> Tensor:
        """Return for each level the nearest known one in a range."""
        raise NotImplementedError

    def cover(self, lowest: float, highest: float) -> bool:
        """Tell whether a range can be asked for."""
        raise NotImplementedError

    def sampling_levels(self, steps: int, schedule: Schedule) -> list[float]:
        """Return the levels that a sampler of `steps` steps visits, descending, without 0.

        Raises:
            ConfigurationError: There are not as many different levels to visit.
        """
        return sampling_sigmas(schedule, steps, *self.span)


class LevelRange(Levels):
    """Every level of a range, of which training draws log-logistically, as BESO does."""

    def __init__(self, lowest: float, highest: float) -> None:
        """Take the ends of the range."""
        super().__init__()
        self.span = lowest, highest

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw levels as they come in training."""
        return draw_log_logistic(shape, *self.span, generator)

    def nearest(self, sigma: Tensor, lowest: float, highest: float) -> Tensor:
        """Return the levels themselves."""
        return sigma

    def cover(self, lowest: float, highest: float) -> bool:
        """Tell whether the range holds another."""
        return self.span[0] - 1e-6 <= lowest and highest <= self.span[1] + 1e-6


class LevelGrid(Levels):
    """Some levels, drawn evenly in training, as a DDPM's are.

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
        """Draw levels as they come in training."""
        return self.grid[torch.randint(len(self.grid), shape, generator=generator, device=generator.device)]

    def nearest(self, sigma: Tensor, lowest: float, highest: float) -> Tensor:
        """Return for each level the nearest of the grid in a range."""
        inside = self.grid[self._within(lowest, highest)]
        return inside[torch.bucketize(sigma, (inside[1:] * inside[:-1]).sqrt())]

    def cover(self, lowest: float, highest: float) -> bool:
        """Tell whether a range holds one of the levels."""
        return bool(self._levels[self._within(lowest, highest)])

    def sampling_levels(self, steps: int, schedule: Schedule) -> list[float]:
        """Return the levels of the grid that are nearest to those of a schedule; raises as `Levels.sampling_levels`."""
        middles = [(math.atan(one) + math.atan(other)) / 2 for one, other in pairwise(self._levels)]
        wanted = super().sampling_levels(steps, schedule)
        nearest = [bisect_left(middles, math.atan(sigma)) for sigma in wanted]
        if len(set(nearest)) < steps:
            raise ConfigurationError(
                f"{steps} sampling steps by the {schedule} schedule would visit a noise level twice; this teacher "
                f"of {len(self._levels)} levels takes fewer, or another schedule"
            )
        return [self._levels[index] for index in nearest]

    def _within(self, lowest: float, highest: float) -> slice:
        """Find a range among the levels, without asking the device that holds them."""
        return slice(bisect_left(self._levels, lowest), bisect_right(self._levels, highest))


def cosine_levels(config: NoiseConfig) -> LevelGrid:
    """Return the grid of the cosine schedule, of `levels` levels."""
    return LevelGrid(cosine_sigmas(config.levels))


def level_range(config: NoiseConfig) -> LevelRange:
    """Return the range from `sigma_min` to `sigma_max`."""
    return LevelRange(config.sigma_min, config.sigma_max)
