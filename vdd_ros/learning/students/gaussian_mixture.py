"""Conditional Gaussian mixtures: the density, its noised versions and its scores, in closed form."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class GaussianMixture:
    """A batch of mixtures of Z Gaussians over vectors of size D (an action chunk, flattened).

    With a basis U, covariances are U diag(factor^2) U^T: dense, at the price of diagonal ones, since isotropic noise is
    isotropic in every orthonormal basis. Means, actions and scores are always those of the vectors themselves.

    Attributes:
        log_gating: (B, Z) log probabilities.
        mean: (B, Z, D).
        factor: Cholesky factors of the covariances, (B, Z, D, D), or standard deviations, (B, Z, D), if diagonal.
        basis: (D, D) orthonormal, its columns are the directions of the deviations; None for those of the entries.
    """

    log_gating: Tensor
    mean: Tensor
    factor: Tensor
    basis: Tensor | None = None

    @property
    def diagonal(self) -> bool:
        """Whether the covariances are diagonal, in the basis if there is one."""
        return self.factor.ndim == self.mean.ndim

    def covariances(self) -> Tensor:
        """Return the covariances of the experts, (B, Z, D, D)."""
        if not self.diagonal:
            return _product(self.factor, self.factor.mT)
        if self.basis is None:
            return torch.diag_embed(self.factor.square())
        wide = self.basis * self.factor[..., None, :]
        return _product(wide, wide.mT)

    def lower_factors(self) -> Tensor:
        """Return the Cholesky factors of the experts' covariances, lower triangular, (B, Z, D, D)."""
        if not self.diagonal:
            return self.factor
        if self.basis is None:
            return torch.diag_embed(self.factor)
        # F^T = Q R of the factor F = U diag(s), so that F F^T = R^T R: sharper than a decomposition of F F^T
        upper = torch.linalg.qr((self.basis * self.factor[..., None, :]).mT, mode="r").R
        signs = torch.where(upper.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(upper)
        return (signs[..., None] * upper).mT

    def detach(self) -> "GaussianMixture":
        """Return the same mixture without gradients."""
        return replace(self, log_gating=self.log_gating.detach(), mean=self.mean.detach(), factor=self.factor.detach())

    def draw_each(self, noise: Tensor) -> Tensor:
        """Draw from every expert by reparametrisation.

        Args:
            noise: (B, V, Z, D) standard normal.

        Returns:
            (B, V, Z, D): draw v of expert z.
        """
        if self.diagonal:
            return self.mean[:, None] + self._back(self.factor[:, None] * noise)
        return self.mean[:, None] + _product(self.factor[:, None], noise[..., None]).squeeze(-1)

    def draw(self, samples: int, generator: torch.Generator) -> Tensor:
        """Draw actions from the mixtures, (B, samples, D)."""
        which = torch.multinomial(self.log_gating.exp(), samples, replacement=True, generator=generator)
        shape = (*which.shape, self.mean.shape[-1])
        noise = torch.randn(shape, generator=generator, device=which.device)
        return self.pick(which).draw_each(noise[:, None]).squeeze(1)

    def pick(self, experts: Tensor) -> "GaussianMixture":
        """Return some experts of each mixture, (B, K) numbers, evenly weighted."""
        log_gating = torch.full_like(self.log_gating[:, :1], -math.log(experts.shape[1])).expand(-1, experts.shape[1])
        first = self.mean.shape[1] * torch.arange(len(experts), device=experts.device)
        rows = (first[:, None] + experts).flatten()  # one index per row: gathers whole rows
        values = (self.mean, self.factor)
        mean, factor = (one.flatten(0, 1).index_select(0, rows).unflatten(0, experts.shape) for one in values)
        return GaussianMixture(log_gating, mean, factor, self.basis)

    def entropies(self) -> Tensor:
        """Return the differential entropy of each expert in nats, (B, Z)."""
        size = self.mean.shape[-1]
        return 0.5 * size * (1 + math.log(2 * math.pi)) + self._log_scale().sum(-1)

    def expert_log_prob(self, action: Tensor) -> Tensor:
        """Return the log density of actions (B, S, D) under every expert, (B, S, Z)."""
        if not self.diagonal:
            return _FullLogProb.apply(self.mean, self.factor, action)
        residual = (self._turned(action)[:, :, None] - self._turned(self.mean)[:, None]) / self.factor[:, None]
        size = self.mean.shape[-1]
        constant = 0.5 * size * math.log(2 * math.pi) + self._log_scale().sum(-1)  # (B, Z)
        return -0.5 * residual.square().sum(-1) - constant[:, None]

    def log_prob(self, action: Tensor) -> Tensor:
        """Return the log density of actions (B, S, D), (B, S)."""
        return torch.logsumexp(self.expert_log_prob(action) + self.log_gating[:, None], dim=-1)

    def log_responsibilities(self, action: Tensor) -> Tensor:
        """Return log of the probability that each expert made each action, (B, S, Z)."""
        return torch.log_softmax(self.expert_log_prob(action) + self.log_gating[:, None], dim=-1)

    def own_score(self, noise: Tensor) -> Tensor:
        """Return the gradient of each expert's own log density at `draw_each(noise)`, (B, V, Z, D)."""
        if self.diagonal:
            return self._back(-noise / self.factor[:, None])
        return -torch.linalg.solve_triangular(self.factor.mT[:, None], noise[..., None], upper=True).squeeze(-1)

    def score(self, action: Tensor) -> Tensor:
        """Return the gradient of `log_prob` with respect to actions (B, S, D), in closed form.

        By matrix products over actions and experts, which never hold an offset for each pair of the two.
        """
        with torch.autocast(action.device.type, enabled=False):
            if not self.diagonal:
                return self._full_score(action.mT).mT
            return self._back(self._diagonal_score(self._turned(action).mT).mT)

    def _diagonal_score(self, columns: Tensor) -> Tensor:
        """Read both from log N = pull . a - precision . a^2 / 2 + constant, in double precision: its terms cancel."""
        mean, precision = self._turned(self.mean).double(), self.factor.double().square().reciprocal()
        pull = precision * mean
        constant = self.log_gating - self._log_scale().sum(-1) - 0.5 * (pull * mean).sum(-1)
        powers = torch.cat([columns.double(), columns.double().square()], dim=1)
        joint = torch.baddbmm(constant[..., None], torch.cat([pull, -0.5 * precision], dim=-1), powers)  # (B, Z, S)
        share = torch.softmax(joint, dim=1, dtype=columns.dtype)
        pull, precision = pull.to(share), precision.to(share)
        return pull.mT @ share - (precision.mT @ share) * columns

    def _full_score(self, columns: Tensor) -> Tensor:
        """Read both from log N = -|W (a - mean)|^2 / 2 + constant, where W = L^-1."""
        experts, size = self.mean.shape[1:]
        eye = torch.eye(size, dtype=columns.dtype, device=columns.device)
        whiten = torch.linalg.solve_triangular(self.factor, eye.expand_as(self.factor), upper=False)
        rows = whiten.flatten(1, 2)  # (B, Z * D, D)
        residual = (rows @ columns).unflatten(1, (experts, size)) - whiten @ self.mean[..., None]  # (B, Z, D, S)
        joint = (self.log_gating - self._log_scale().sum(-1))[..., None] - 0.5 * residual.square().sum(2)
        share = torch.softmax(joint, dim=1)
        return -rows.mT @ (share[:, :, None] * residual).flatten(1, 2)

    def noised(self, sigma: Tensor) -> "GaussianMixture":
        """Return the density of a + sigma * noise, again a mixture; `sigma` is (B,)."""
        variance = sigma.square()[:, None, None]
        if self.diagonal:
            return replace(self, factor=(self.factor.square() + variance).sqrt())
        eye = torch.eye(self.mean.shape[-1], device=self.mean.device)
        covariance = _product(self.factor, self.factor.mT) + variance[..., None] * eye
        return replace(self, factor=torch.linalg.cholesky(covariance))

    def draw_noised(self, noise: Tensor, sigma: Tensor) -> Tensor:
        """Draw from every expert of `noised(sigma)`, with cheaper gradients of the same expectation.

        A full covariance L L^T + sigma^2 I has a Cholesky factor C. The draw C noise is L e and a remainder, where
        e = L^T C^-T noise is the mean of the expert's own white noise given the draw. Gradients take e and the
        remainder as constants, as if expert and noise were drawn separately and averaged given their sum, so that
        none passes through a Cholesky decomposition. Where covariances are diagonal, the gradients are the same.

        Args:
            noise: (B, V, Z, D) standard normal.
            sigma: (B,) levels.

        Returns:
            (B, V, Z, D).
        """
        if self.diagonal:
            return self.noised(sigma).draw_each(noise)
        with torch.no_grad():
            frozen = self.detach()
            noised = frozen.noised(sigma)
            own = _product(frozen.factor.mT[:, None], -noised.own_score(noise)[..., None])
            remainder = (noised.draw_each(noise) - frozen.mean[:, None])[..., None] - _product(
                frozen.factor[:, None], own
            )
        return self.mean[:, None] + (_product(self.factor[:, None], own) + remainder).squeeze(-1)

    def _turned(self, vectors: Tensor) -> Tensor:
        """Return the coordinates of vectors (..., D) in the basis."""
        return vectors if self.basis is None else _product(vectors, self.basis)

    def _back(self, coordinates: Tensor) -> Tensor:
        """Return the vectors (..., D) of coordinates in the basis."""
        return coordinates if self.basis is None else _product(coordinates, self.basis.T)

    def _log_scale(self) -> Tensor:
        scale = self.factor if self.diagonal else self.factor.diagonal(dim1=-2, dim2=-1)
        return scale.log()  # (B, Z, D)


class _FullLogProb(torch.autograd.Function):
    """Log densities under Gaussians with Cholesky factors, and their gradients in closed form.

    With white = L^-1 (a - mean) and pull = L^-T white, log N has the gradients pull by the mean, -pull by the action
    and pull white^T - diag(1 / L) by the factor.
    """

    @staticmethod
    def forward(context: Any, mean: Tensor, factor: Tensor, action: Tensor) -> Tensor:
        """Return (B, S, Z) for means (B, Z, D), factors (B, Z, D, D) and actions (B, S, D)."""
        offset = action.mT[:, None] - mean[..., None]  # (B, Z, D, S)
        white = torch.linalg.solve_triangular(factor, offset, upper=False)
        context.save_for_backward(factor, white)
        constant = 0.5 * mean.shape[-1] * math.log(2 * math.pi) + factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return (-0.5 * white.square().sum(2) - constant[..., None]).mT

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of mean, factor and action."""
        factor, white = context.saved_tensors
        pull = torch.linalg.solve_triangular(factor.mT, white, upper=True) * gradient.mT[:, :, None]
        by_factor = None
        if context.needs_input_grad[1]:
            by_factor = (pull @ white.mT).tril_()
            by_factor.diagonal(dim1=-2, dim2=-1).sub_(gradient.sum(1)[..., None] / factor.diagonal(dim1=-2, dim2=-1))
        by_action = -pull.sum(1).mT if context.needs_input_grad[2] else None
        return pull.sum(-1), by_factor, by_action


def _product(one: Tensor, other: Tensor) -> Tensor:
    """Multiply matrices in full precision also under autocast: a rounded covariance need not be positive."""
    with torch.autocast(one.device.type, enabled=False):
        return one @ other
