"""A student's graph in few operators: the operations around its network, as products of rows with constants.

Gemm of ONNX adds a matrix to its product and so does the work of two or three small operators. Everything is a matrix
(B, ...) here, so that nothing is broadcast or split. Means and deviations are in physical units, so that
actions and densities need no conversion.
"""

import math

import torch
from torch import Tensor, nn

from vdd_ros.learning.export.graphs import MixtureGraph

ROOT = math.sqrt(2 * math.pi)
"""Factor of the stored deviations; their logarithms then include a Gaussian's normalising constant."""
SHARP = 2.0**60
"""Slope of the steps that compare probabilities: any difference of two float32 probabilities is above its inverse."""
MAX_DIAGONAL = 64
"""Largest size at which a product with a diagonal matrix is faster than an elementwise product and a sum."""
MAX_OFFSET = 4.0
"""Largest mean action, in deviations, that is folded into the experts' means; a larger one would cost digits."""


class ExpertChoice(nn.Module):
    """Chooses experts, as `graphs.select_expert` does, by step functions and one product.

    `uniform` is compared with the probability of all experts before each one, and with -(2 + k) - 1/4 and
    -(2 + k) + 1/4, between which expert k is selected. Constants enter through the sum of the gating, which is 1. An
    expert scores its probability; 2 (k + 1) more where the first step is 1; and more than all that if it is selected.
    """

    levels: Tensor
    scores: Tensor

    def __init__(self, experts: int) -> None:
        """Make the constants of `experts` experts."""
        super().__init__()
        numbers, ones = 1.0 * torch.arange(experts), torch.ones(experts, experts)
        named = (2.0 + numbers).expand(experts, experts)
        eye = torch.eye(experts)
        self.register_buffer("levels", SHARP * torch.cat([-ones.triu(1), named + 0.25, named - 0.25], dim=1))
        self.levels += torch.cat([ones.tril(), 0 * ones, 0 * ones], dim=1)  # a step is 1 at 0 already
        most = 4.0 * (experts + 1)
        self.register_buffer("scores", torch.cat([2 * (numbers + 1) * eye, most * eye, -most * eye]))

    def forward(self, gating: Tensor, uniform: Tensor) -> Tensor:
        """Return experts (B,) for gating (B, Z) and `uniform` (B,)."""
        steps = torch.addmm(uniform[:, None], gating, self.levels, beta=SHARP).clamp(0.0, 1.0)
        return torch.addmm(gating, steps, self.scores).argmax(1)


class LeanMixtureGraph(MixtureGraph):
    """The graph of a student in fewer operators."""

    def __init__(self, graph: MixtureGraph) -> None:
        """Share everything with a graph, which is no longer usable by itself."""
        nn.Module.__init__(self)
        self.__dict__.update(graph.__dict__)
        self.choice = ExpertChoice(self.student.config.experts)
        plain = self.student.config.covariance != "full" and self.prefix is None
        self.diagonal = DiagonalExperts(graph) if plain else None

    def choose(self, log_gating: Tensor, gating: Tensor, uniform: Tensor) -> Tensor:
        """Return experts (B,) by `ExpertChoice`."""
        chosen: Tensor = self.choice(gating, uniform)
        return chosen

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what `MixtureGraph` returns."""
        states, draws, known = self.parted(inputs)
        h = self.student.trunk(*self.units.states(*states))
        logits = self.student.logits(h)
        if self.diagonal is None:
            return self.act(self.student.mixture(logits, self.student.mean(h), self.student.scale(h)), *draws, *known)
        noise, uniform = draws
        log_gating = torch.log_softmax(logits, dim=1)
        gating = log_gating.exp()
        expert = self.choose(log_gating, gating, uniform)
        mean, deviation = self.diagonal.read(self.student.mean(h), self.student.scale(h))
        action = self.diagonal.draw(mean, deviation, expert, noise.flatten(1))
        return self.diagonal.chunks(action), expert, gating, self.diagonal.density(log_gating, mean, deviation, action)


class DiagonalExperts(nn.Module):
    """Gaussians with diagonal covariances in physical units, less the mean action where that is far from 0.

    Means and deviations are rows (B, Z * D), deviations times `ROOT`. With a basis they are coordinates in it, means
    times `ROOT` too. The coordinates keep volumes, so that densities need no conversion; a draw takes one more product.
    """

    units: Tensor
    floor: Tensor
    entries: Tensor
    shrink: Tensor
    spread: Tensor
    gather: Tensor
    squares: Tensor
    centre: Tensor | None
    back: Tensor | None

    def __init__(self, graph: MixtureGraph) -> None:
        """Change the weights of the student's means to physical units, or to coordinates in the basis."""
        super().__init__()
        config, units, basis = graph.student.config, graph.units, graph.student.basis
        experts, size = config.experts, graph.student.size
        std, mean = units.action_std.repeat(config.horizon), units.action_mean.repeat(config.horizon)  # (D,)
        near = bool((mean.abs() <= MAX_OFFSET * std).all())
        self.shape = graph.noise_shape
        last = graph.student.mean.last
        if basis is None:
            scales, into = std.repeat(experts), torch.eye(size)
            last.weight.mul_(scales[:, None])
            last.bias.mul_(scales).add_(near * mean.repeat(experts))
        else:
            even = std.log().mean().exp()  # as many physical units to a volume
            scales, into = even.repeat(experts * size), ROOT * even * basis / std[:, None]
            turned = last.weight.unflatten(0, (experts, size)).mT @ (ROOT * even * basis)
            last.weight.copy_(turned.mT.flatten(0, 1))
            last.bias.copy_((last.bias.view(experts, size) @ (ROOT * even * basis) + near * mean @ into).flatten())
        gather = torch.eye(experts).repeat_interleave(size, dim=0)  # (Z * D, Z)
        tables = {
            "units": ROOT * scales,
            "floor": ROOT * scales * config.floor,
            "entries": torch.arange(experts * size).reshape(experts, size),
            "shrink": torch.eye(size) / ROOT,
            "spread": into.repeat(1, experts),  # (D, Z * D)
            "gather": gather,
            "squares": (-math.pi if basis is None else -0.5) * gather,
            "centre": None if near else units.action_mean,
            "back": None if basis is None else basis.T * std / (ROOT * even),
        }
        for name, values in tables.items():
            self.register_buffer(name, values)
        if len(scales) <= MAX_DIAGONAL:
            self.units = torch.diag(self.units)
        low, high = (limit.repeat(config.horizon) * std for limit in (units.standard_low, units.standard_high))
        self.limits = (low + near * mean, high + near * mean)

    def read(self, mean: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and deviations from the outputs of the heads, all (B, Z * D)."""
        positive = nn.functional.softplus(raw)
        if self.units.ndim == 2:
            return mean, torch.addmm(self.floor, positive, self.units)
        return mean, positive * self.units + self.floor

    def draw(self, mean: Tensor, deviation: Tensor, expert: Tensor, noise: Tensor) -> Tensor:
        """Return limited actions (B, D) of the experts (B,) with noise (B, D)."""
        entries = self.entries[expert]  # (B, D)
        own, wide = mean.gather(1, entries), deviation.gather(1, entries) * noise
        drawn = torch.addmm(own, wide, self.shrink) if self.back is None else (own + wide) @ self.back
        low, high = self.limits
        if (low == low[0]).all() and (high == high[0]).all():
            return drawn.clamp(float(low[0]), float(high[0]))
        return torch.clamp(drawn, low, high)

    def chunks(self, action: Tensor) -> Tensor:
        """Return actions (B, D) as the file gives them, (B, horizon, act_dim)."""
        chunks = action[:, None] if self.shape[0] == 1 else action.reshape(-1, *self.shape)
        return chunks if self.centre is None else chunks + self.centre

    def density(self, log_gating: Tensor, mean: Tensor, deviation: Tensor, action: Tensor) -> Tensor:
        """Return the log density of actions (B, D), (B,)."""
        residual = torch.addmm(mean, action, self.spread, beta=-1) / deviation  # over ROOT without a basis
        scaled = torch.addmm(log_gating, deviation.log(), -self.gather)
        return torch.logsumexp(torch.addmm(scaled, residual * residual, self.squares), dim=1)
