"""Conditional Gaussian mixtures: the density, its noised versions and its scores, in closed form."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GaussianMixture:
    """A batch of mixtures of Z Gaussians over vectors of size D (an action chunk, flattened).

    Attributes:
        log_gating: (B, Z) log probabilities.
        mean: (B, Z, D).
        factor: Cholesky factors of the covariances, (B, Z, D, D), or standard deviations, (B, Z, D), if diagonal.
    """

    log_gating: Tensor
    mean: Tensor
    factor: Tensor

    @property
    def diagonal(self) -> bool:
        """Whether the covariances are diagonal."""
        return self.factor.ndim == self.mean.ndim

    def detach(self) -> "GaussianMixture":
        """Return the same mixture without gradients."""
        return GaussianMixture(self.log_gating.detach(), self.mean.detach(), self.factor.detach())

    def draw_each(self, noise: Tensor) -> Tensor:
        """Draw from every expert by reparametrisation.

        Args:
            noise: (B, V, Z, D) standard normal.

        Returns:
            (B, V, Z, D): draw v of expert z.
        """
        if self.diagonal:
            return self.mean[:, None] + self.factor[:, None] * noise
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
        shape = experts[..., None].expand(-1, -1, self.mean.shape[-1])
        mean = self.mean.take_along_dim(shape, 1)
        if self.diagonal:
            return GaussianMixture(log_gating, mean, self.factor.take_along_dim(shape, 1))
        return GaussianMixture(log_gating, mean, self.factor.take_along_dim(shape[..., None], 1))

    def entropies(self) -> Tensor:
        """Return the differential entropy of each expert in nats, (B, Z)."""
        size = self.mean.shape[-1]
        return 0.5 * size * (1 + math.log(2 * math.pi)) + self._log_scale().sum(-1)

    def expert_log_prob(self, action: Tensor) -> Tensor:
        """Return the log density of actions (B, S, D) under every expert, (B, S, Z)."""
        residual = self._whiten(action)
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
            return -noise / self.factor[:, None]
        return -torch.linalg.solve_triangular(self.factor.mT[:, None], noise[..., None], upper=True).squeeze(-1)

    def score(self, action: Tensor) -> Tensor:
        """Return the gradient of `log_prob` with respect to actions (B, S, D), in closed form.

        By matrix products over actions and experts, which never hold an offset for each pair of the two.
        """
        with torch.autocast(action.device.type, enabled=False):
            columns = action.mT  # (B, D, S)
            return (self._diagonal_score(columns) if self.diagonal else self._full_score(columns)).mT

    def _diagonal_score(self, columns: Tensor) -> Tensor:
        """Read both from log N = pull . a - precision . a^2 / 2 + constant, in double precision: its terms cancel."""
        mean, precision = self.mean.double(), self.factor.double().square().reciprocal()
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
            return GaussianMixture(self.log_gating, self.mean, (self.factor.square() + variance).sqrt())
        eye = torch.eye(self.mean.shape[-1], device=self.mean.device)
        covariance = _product(self.factor, self.factor.mT) + variance[..., None] * eye
        return GaussianMixture(self.log_gating, self.mean, torch.linalg.cholesky(covariance))

    def _log_scale(self) -> Tensor:
        scale = self.factor if self.diagonal else self.factor.diagonal(dim1=-2, dim2=-1)
        return scale.log()  # (B, Z, D)

    def _whiten(self, action: Tensor) -> Tensor:
        """Return L^-1 (a - mean), (B, S, Z, D)."""
        offset = action[:, :, None] - self.mean[:, None]
        if self.diagonal:
            return offset / self.factor[:, None]
        columns = offset.movedim(1, -1)  # (B, Z, D, S)
        return torch.linalg.solve_triangular(self.factor, columns, upper=False).movedim(-1, 1)


def _product(one: Tensor, other: Tensor) -> Tensor:
    """Multiply matrices in full precision also under autocast: a rounded covariance need not be positive."""
    with torch.autocast(one.device.type, enabled=False):
        return one @ other
