"""The variance-preserving noise schedule of DDPM and the sub-schedules that samplers walk."""

import math

import torch
from torch import Tensor

from vdd_ros.errors import ConfigurationError

MAX_BETA = 0.999


def cosine_alpha_bars(levels: int) -> Tensor:
    """Return the cosine schedule of Nichol and Dhariwal (2021), eq. 17, with beta clipped to 0.999.

    Returns:
        (levels + 1,) float32: the share of signal variance at noise levels 0 (clean, 1.0) to `levels` (noise).
    """

    def share(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    alpha_bars = [1.0]
    for level in range(levels):
        beta = min(1.0 - share((level + 1) / levels) / share(level / levels), MAX_BETA)
        alpha_bars.append(alpha_bars[-1] * (1.0 - beta))
    return torch.tensor(alpha_bars, dtype=torch.float32)


def highest_visited(levels: int) -> int:
    """Return the level that samplers start from: 5 % below the last, at least one.

    The levels above hold hardly any signal (the last one's alpha_bar is 6e-7 for 64 levels): a clean action estimated
    there would be rounding errors times a thousand.
    """
    return levels - max(1, round(0.05 * levels))


def sampling_levels(levels: int, steps: int) -> list[int]:
    """Return the noise levels that a sampler with `steps` steps visits, from `highest_visited` down, spread evenly.

    Raises:
        ConfigurationError: More steps than levels to visit, or none.
    """
    top = highest_visited(levels)
    if not 1 <= steps <= top:
        raise ConfigurationError(
            f"{steps} sampling steps were asked for; a teacher of {levels} noise levels takes 1 to {top}"
        )
    return [round(top - index * top / steps) for index in range(steps)]
