"""Samplers of diffusion models, as single steps from one noise level to the next.

In the coordinates of noise_levels.py DDIM (Song et al. 2021, eta 0) IS Euler's method for the probability-flow ODE
da/dsigma = (a - denoised) / sigma, and DDPM's ancestral step (Ho et al. 2020, eq. 7 on the sampling levels) IS
Euler's ancestral one (Karras et al. 2022); both names are accepted.
"""

from collections.abc import Callable
from typing import get_args

from torch import Tensor

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import Sampler, SamplerChoice

STOCHASTIC = ("ancestral", "euler-ancestral")

Denoise = Callable[[Tensor, float], Tensor]
"""Noisy actions (B, S, D) and their level -> mean of the clean actions (B, S, D)."""


def passes(sampler: SamplerChoice, steps: int) -> int:
    """Return the network evaluations of a sampler: for Heun's method two per step, one in the last."""
    return 2 * steps - 1 if sampler == "heun" else steps


def step(denoise: Denoise, action: Tensor, sigma: float, below: float, sampler: Sampler, draw: Tensor | None) -> Tensor:
    """Take one sampling step, to a lower noise level.

    Args:
        denoise: The model.
        action: (B, S, D) at the level `sigma`.
        sigma: Level of `action`.
        below: Level of the result; at 0 every sampler returns the denoised actions.
        sampler: Kind of step.
        draw: (B, S, D) standard normal, for a stochastic sampler unless `below` is 0.

    Raises:
        ConfigurationError: An unknown sampler.
    """
    if sampler not in get_args(Sampler):
        raise ConfigurationError(f"sampler is '{sampler}'; allowed: {', '.join(get_args(Sampler))}")
    clean = denoise(action, sigma)
    if below == 0:
        return clean
    if sampler in STOCHASTIC:
        if draw is None:
            raise TypeError(f"the sampler '{sampler}' needs a draw for each step to a level above 0")
        keep = (below / sigma) ** 2
        return clean + (action - clean) * keep + draw * (below * (1 - keep) ** 0.5)
    euler = clean + (action - clean) * (below / sigma)
    if sampler != "heun":
        return euler
    slope = ((action - clean) / sigma + (euler - denoise(euler, below)) / below) / 2
    return action + slope * (below - sigma)
