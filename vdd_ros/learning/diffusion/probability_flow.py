"""A teacher's probability-flow ODE, da/dsigma = (a - denoised) / sigma, integrated for many actions and levels."""

from itertools import pairwise

import torch
from torch import Tensor

from vdd_ros.learning.configs import Solver
from vdd_ros.learning.diffusion.noise_levels import sampling_sigmas
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.networks.backbones import Context


def trajectory_levels(teacher: Teacher, count: int) -> Tensor:
    """Return the levels that discretise trajectories: 0 and up to `count` of the teacher's, ascending.

    Uniform in sigma^(1/7) (Karras et al. 2022, eq. 5); for a DDPM the nearest of its own levels.
    """
    lowest, highest = teacher.sigma_range
    sigmas = torch.tensor(sampling_sigmas("karras", count, lowest, highest), device=teacher.action_low.device)
    known = teacher.nearest_level(sigmas, lowest, highest).unique()
    return torch.cat([torch.zeros_like(known[:1]), known])


def path_down(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Return paths that descend one level per step, by at most `steps` levels.

    Args:
        start: (...) indices of the first levels.
        end: (...) indices of the last levels, at most `start`.
        steps: Number of steps; shorter paths begin with steps of length 0.

    Returns:
        (..., steps + 1) indices of levels, descending from `start` to the higher of `end` and `start - steps`.
    """
    last = torch.maximum(end, start - steps)
    return torch.minimum(start[..., None], last[..., None] + torch.arange(steps, -1, -1, device=start.device))


@torch.no_grad()
def integrate(teacher: Teacher, context: Context, action: Tensor, path: Tensor, solver: Solver) -> Tensor:
    """Integrate the ODE along a path; denoised actions are clipped to the limits, as in the teacher's samplers.

    Args:
        teacher: The model that defines the ODE.
        context: From its `encode`.
        action: (B, S, D) at the levels `path[..., 0]`.
        path: (B, S, steps + 1) levels, descending; only the last may be 0.
        solver: Solver of each step; Heun's method takes an Euler step to level 0.
    """
    for sigma, below in pairwise(path.unbind(-1)):
        clean = _denoise(teacher, context, action, sigma)
        euler = clean + (action - clean) * (below / sigma)[..., None]
        if solver == "euler":
            action = euler
            continue
        reached = below.clamp_min(teacher.sigma_range[0])
        slope = (action - clean) / sigma[..., None]
        ahead = (euler - _denoise(teacher, context, euler, reached)) / reached[..., None]
        heun = action + (slope + ahead) / 2 * (below - sigma)[..., None]
        action = torch.where((below > 0)[..., None], heun, euler)
    return action


def _denoise(teacher: Teacher, context: Context, action: Tensor, sigma: Tensor) -> Tensor:
    return torch.clamp(teacher.denoise(context, action, sigma), teacher.action_low, teacher.action_high)
