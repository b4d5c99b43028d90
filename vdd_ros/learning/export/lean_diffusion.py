"""A sampler in few operators: each step between two levels is three products of rows, beside the network.

With D(a, sigma) = clip(c_skip a + c_out F), a step from `sigma` to `below` gives (1 - keep) D + keep a + c noise.
Actions are kept less an offset of each step, so that the bias of the network's last layer meets only constants: limits,
what enters the network, and the next offset.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn

from vdd_ros.learning.diffusion.preconditioning import Preconditioning
from vdd_ros.learning.diffusion.samplers import STOCHASTIC
from vdd_ros.learning.export.graphs import DiffusionGraph
from vdd_ros.learning.networks.backbones import Context
from vdd_ros.learning.networks.gpt import GPTDenoiser
from vdd_ros.learning.networks.mlp import MLPDenoiser


@dataclass(frozen=True)
class Step:
    """One step of a sampler in constants.

    Attributes:
        skip, out, scale_in: Scalings of the network at its level.
        keep, spread: Weights of the noisy action and of the noise in the next action; 0 in the last step.
        condition: Noise condition of the network, (1, 1, 1).
    """

    skip: float
    out: float
    scale_in: float
    keep: float
    spread: float
    condition: Tensor


class RowsDenoiser(Protocol):
    """Interface of a network to the steps."""

    def estimate(self, context: Context, action: Tensor, offset: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Estimate clean actions (B, D) minus a shift (D,) from actions minus an offset; also return the shift."""


def has_rows(graph: DiffusionGraph) -> bool:
    """Return whether a sampler's steps can be rewritten this way."""
    teacher = graph.teacher
    usual = type(teacher.preconditioning).denoise is Preconditioning.denoise
    usual = usual and not teacher.preconditioning.keeps_noise
    return usual and graph.sampler != "heun" and type(teacher.network) in (GPTDenoiser, MLPDenoiser)


class RowsDiffusionGraph(DiffusionGraph):
    """A teacher with its sampler in fewer operators; its network reads actions as rows (B, D)."""

    def __init__(self, graph: DiffusionGraph) -> None:
        """Share everything with a graph."""
        nn.Module.__init__(self)
        self.__dict__.update(graph.__dict__)
        self.steps = [self._step(sigma, below) for sigma, below in pairwise(graph.sigmas)]

    def _step(self, sigma: float, below: float) -> Step:
        level = torch.full((1, 1, 1), sigma)
        skip, out, scale_in = (float(value) for value in self.teacher.preconditioning.scalings(level))
        stochastic = self.sampler in STOCHASTIC
        keep = (below / sigma) ** (2 if stochastic else 1)
        spread = below * (1 - keep) ** 0.5 if stochastic else 0.0
        return Step(skip, out, scale_in, keep, spread, self.teacher.preconditioning.condition(level))

    def chain(self, *inputs: Tensor) -> list[Tensor]:
        """Return the standardised action after each step, steps + 1 tensors (B, 1, D), the first one noise."""
        *states, noise = inputs
        network: RowsDenoiser = self.teacher.network  # type: ignore[assignment]
        context: Context = self.teacher.encode(*self.units.states(*states))
        draws = noise.flatten(1)  # (B, steps * D)
        eye, offset = torch.eye(self.teacher.size), torch.zeros(self.teacher.size)
        action = draws @ self._of(0, self.teacher.levels.start(self.sigmas[0]) * eye)
        chain = [action]
        for index, step in enumerate(self.steps, start=1):
            estimate, shift = network.estimate(context, action, offset, step)
            clean = torch.clamp(estimate, self.teacher.action_low - shift, self.teacher.action_high - shift)
            if index == len(self.steps):
                chain.append(clean + shift)
                break
            if step.spread:
                kept = torch.addmm(action, draws, self._of(index, step.spread * eye), beta=step.keep)
            else:
                kept = step.keep * action
            action = torch.addmm(kept, clean, (1 - step.keep) * eye)
            offset = (1 - step.keep) * shift + step.keep * offset
            chain.append(action + offset)
        return [one[:, None] for one in chain]

    def _of(self, index: int, matrix: Tensor) -> Tensor:
        """Return the matrix (steps * D, D) that applies a matrix (D, D) to draw `index` of a row of all draws."""
        size = len(matrix)
        return nn.functional.pad(matrix, (0, 0, index * size, (len(self.steps) - 1 - index) * size))
