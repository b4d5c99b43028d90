"""A mixture's graph given the first actions of the chunk: as `condition` of the students, for any number of them.

The number of known actions is an input, so shapes must not depend on it. With L the lower triangular factor of an
expert's covariance, the first numbers of y = L^-1 (a - mean) depend on the first numbers of a alone. So masks select
those that are known: their squares make the prefix's density, and in place of the noise they lead to the prefix.

ONNX has no decompositions. Where covariances are diagonal in a basis, L = F Q^T for their factor F = U diag(s), with an
orthonormal Q: Gram and Schmidt's method on the rows of F, a few operators for each number, loses half as many digits as
a decomposition of F F^T. L itself is not needed: L^-1 = Q F^-1, and F^-1 is in closed form.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vdd_ros.learning.export.triangular import solve_lower
from vdd_ros.learning.students.bases import cosine_waves
from vdd_ros.learning.students.conditioning import check_tempering
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture
from vdd_ros.learning.students.mixture import MixtureStudent


class PrefixGiven(nn.Module):
    """Conditions mixtures on the first actions of a chunk."""

    times: Tensor
    unit_nats: Tensor
    waves: Tensor

    def __init__(self, student: MixtureStudent, action_std: Tensor, tempering: float) -> None:
        """Keep the constants.

        Args:
            student: Makes the mixtures.
            action_std: (act_dim,) physical units of a standardised action.
            tempering: Power of the prefix's likelihood in the experts' weights.

        Raises:
            ConfigurationError: The tempering is not between 0 and 1.
        """
        super().__init__()
        check_tempering(tempering)
        config = student.config
        self.tempering = tempering
        cosine = config.covariance == "cosine"
        self.groups = config.act_dim if cosine else 1
        waves = cosine_waves(config.horizon) if cosine else torch.eye(1) if student.basis is None else student.basis
        self.register_buffer("waves", waves)
        self.register_buffer("times", torch.arange(config.size) // config.act_dim)
        units = action_std.double().log().repeat(config.horizon) + 0.5 * math.log(2 * math.pi)
        self.register_buffer("unit_nats", units.float())

    def forward(self, mixture: GaussianMixture, prefix: Tensor, steps: Tensor) -> "Given":
        """Return what is known.

        Args:
            mixture: (B) mixtures over standardised chunks.
            prefix: (B, 1, D) standardised chunks; only the first actions matter.
            steps: (B,) number of known actions.
        """
        known = (self.times < steps[:, None])[:, None]  # (B, 1, D)
        whitening = Whitening.of(mixture, self.waves, self.groups)
        zero = torch.zeros((), dtype=prefix.dtype)
        first = torch.where(known, prefix, zero)
        mask = known.to(prefix.dtype)
        white = whitening.white(mask * (first - mixture.mean))
        log_prob = -(mask * (0.5 * white * white + whitening.log_scale)).sum(-1)
        log_gating = torch.log_softmax(mixture.log_gating + self.tempering * log_prob, dim=1)
        return Given(log_gating, known, first, white, whitening, self.unit_nats)


@dataclass(frozen=True)
class Whitening:
    """Whitens offsets from the means of a mixture's experts: y = L^-1 (a - mean).

    Attributes:
        mixture: (B) mixtures.
        scale, log_scale: (B, Z, D) the diagonal of L and its logarithm.
        axes: (B, Z, groups, n, n) the orthonormal matrices Q with L = F Q^T for experts in a basis, else None. Entries
            of the action that have a basis of their own are groups of n numbers each, D in all.
    """

    mixture: GaussianMixture
    scale: Tensor
    log_scale: Tensor
    axes: Tensor | None
    groups: int

    @classmethod
    def of(cls, mixture: GaussianMixture, waves: Tensor, groups: int) -> "Whitening":
        """Decompose the covariances of a mixture; `waves` (n, n) is the basis of each group."""
        if mixture.basis is None:
            scale = mixture.factor
            if not mixture.diagonal:
                scale = (mixture.factor * torch.eye(int(mixture.mean.shape[2]))).sum(-1)
            return cls(mixture, scale, scale.log(), None, groups)
        wide = waves * grouped(mixture.factor, groups)[..., None, :]
        axes, lengths = orthonormal_rows(wide)
        scale = ungrouped(lengths, groups)
        return cls(mixture, scale, scale.log(), axes, groups)

    def white(self, offset: Tensor) -> Tensor:
        """Return y (B, Z, D) for offsets (B, Z, D)."""
        if not self.mixture.diagonal:
            return solve_lower(self.mixture.factor, self.scale, offset)
        if self.axes is None or self.mixture.basis is None:
            return offset / self.mixture.factor
        own = grouped(offset @ self.mixture.basis / self.mixture.factor, self.groups)
        return ungrouped((self.axes * own[..., None, :]).sum(-1), self.groups)

    def led(self, noise: Tensor, white: Tensor, known: Tensor) -> Tensor:
        """Return the noise nearest to a given one (B, 1, D) that leads to known numbers y, (B, Z, D)."""
        if self.axes is None:
            return torch.where(known, white, noise)
        own = (self.axes * grouped(noise, self.groups)[..., None, :]).sum(-1)  # Q noise
        missing = grouped(torch.where(known, white, ungrouped(own, self.groups)), self.groups) - own
        return noise + ungrouped((self.axes * missing[..., None]).sum(-2), self.groups)


@dataclass(frozen=True)
class Given:
    """A mixture of which the first numbers are known.

    Attributes:
        log_gating: (B, Z) log weights of the experts.
        known: (B, 1, D) which numbers are.
        first: (B, 1, D) them, zeros elsewhere.
        white: (B, Z, D) the same whitened.
        whitening: Of the mixture.
        unit_nats: (D,) log of a standardised unit in physical units, and a Gaussian's constant.
    """

    log_gating: Tensor
    known: Tensor
    first: Tensor
    white: Tensor
    whitening: Whitening
    unit_nats: Tensor

    def noise(self, noise: Tensor) -> Tensor:
        """Return the noise of every expert that leads to what is known, (B, Z, D), from any, (B, 1, D)."""
        return self.whitening.led(noise, self.white, self.known)

    def complete(self, drawn: Tensor) -> Tensor:
        """Return vectors (B, 1, D) with exactly the known numbers."""
        return torch.where(self.known, self.first, drawn)

    def log_density(self, action: Tensor) -> Tensor:
        """Return the log density of the rest of standardised actions (B, 1, D) in physical units, (B,)."""
        rest = 1 - self.known.to(action.dtype)  # (B, 1, D)
        white = self.whitening.white(action - self.whitening.mixture.mean)
        joint = self.log_gating - (rest * (0.5 * white * white + self.whitening.log_scale)).sum(-1)
        return torch.logsumexp(joint, dim=1) - (rest[:, 0] * self.unit_nats).sum(-1)


def grouped(vectors: Tensor, groups: int) -> Tensor:
    """Return vectors (B, Z, n * groups), entry by entry within each time, as (B, Z, groups, n)."""
    if groups == 1:
        return vectors[:, :, None]
    apart = vectors.reshape(-1, int(vectors.shape[1]), int(vectors.shape[2]) // groups, groups)
    return apart.transpose(2, 3)


def ungrouped(vectors: Tensor, groups: int) -> Tensor:
    """Return vectors (B, Z, groups, n) as (B, Z, n * groups)."""
    size = int(vectors.shape[3])
    if groups == 1:
        return vectors[:, :, 0]
    return vectors.transpose(2, 3).reshape(-1, int(vectors.shape[1]), size * groups)


def orthonormal_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormalise rows (..., n, n) in their order, by Gram and Schmidt's modified method (Björck 1967).

    Returns:
        The axes (..., n, n), and the lengths (..., n) of the rows without their parts along earlier axes.
    """
    axes, lengths, left = [], [], int(rows.shape[-2])
    while left > 1:
        left -= 1
        first, rows = rows.split((1, left), dim=-2)
        lengths.append(first.norm(dim=-1, keepdim=True))
        axes.append(first / lengths[-1])
        rows = rows - (rows * axes[-1]).sum(-1, keepdim=True) * axes[-1]
    lengths.append(rows.norm(dim=-1, keepdim=True))
    axes.append(rows / lengths[-1])
    return torch.cat(axes, dim=-2), torch.cat(lengths, dim=-2)[..., 0]
