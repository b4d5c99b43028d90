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

    def entropies(self) -> Tensor:
        """Return the differential entropy of each expert in nats, (B, Z)."""
        size = self.mean.shape[-1]
        return 0.5 * size * (1 + math.log(2 * math.pi)) + self._log_scale().sum(-1)

    def expert_log_prob(self, action: Tensor) -> Tensor:
        """Return the log density of actions (B, S, D) under every expert, (B, S, Z)."""
        residual, _ = self._whiten(action)
        size = self.mean.shape[-1]
        constant = 0.5 * size * math.log(2 * math.pi) + self._log_scale().sum(-1)  # (B, Z)
        return -0.5 * residual.square().sum(-1) - constant[:, None]

    def log_prob(self, action: Tensor) -> Tensor:
        """Return the log density of actions (B, S, D), (B, S)."""
        return torch.logsumexp(self.expert_log_prob(action) + self.log_gating[:, None], dim=-1)

    def log_responsibilities(self, action: Tensor) -> Tensor:
        """Return log of the probability that each expert made each action, (B, S, Z)."""
        return torch.log_softmax(self.expert_log_prob(action) + self.log_gating[:, None], dim=-1)

    def score(self, action: Tensor) -> Tensor:
        """Return the gradient of `log_prob` with respect to actions (B, S, D), in closed form."""
        _, pull = self._whiten(action)  # precision times (action - mean): (B, S, Z, D)
        responsibility = self.log_responsibilities(action).exp()
        return -(responsibility[..., None] * pull).sum(-2)

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

    def _whiten(self, action: Tensor) -> tuple[Tensor, Tensor]:
        """Return L^-1 (a - mean) and precision (a - mean), each (B, S, Z, D)."""
        offset = action[:, :, None] - self.mean[:, None]  # (B, S, Z, D)
        if self.diagonal:
            residual = offset / self.factor[:, None]
            return residual, residual / self.factor[:, None]
        solve = torch.linalg.solve_triangular
        columns = offset.movedim(1, -1)  # (B, Z, D, S)
        residual = solve(self.factor, columns, upper=False)
        pull = solve(self.factor.mT, residual, upper=True)
        return residual.movedim(-1, 1), pull.movedim(-1, 1)


def _product(one: Tensor, other: Tensor) -> Tensor:
    """Multiply matrices in full precision also under autocast: a rounded covariance need not be positive."""
    with torch.autocast(one.device.type, enabled=False):
        return one @ other
