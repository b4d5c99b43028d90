"""Conditional Gaussian mixtures: the density, its noised versions and scores, and the network that predicts it."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vdd_ros.training.networks import ObservationEncoder, ResidualMLP

Covariance = Literal["diagonal", "full"]


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
        return self.mean[:, None] + (self.factor[:, None] @ noise[..., None]).squeeze(-1)

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

    def noised(self, alpha_bar: Tensor) -> "GaussianMixture":
        """Return the density of sqrt(alpha_bar) a + sqrt(1 - alpha_bar) noise, again a mixture.

        Args:
            alpha_bar: (B,) share of signal variance.
        """
        keep = alpha_bar[:, None, None]
        mean = keep.sqrt() * self.mean
        if self.diagonal:
            return GaussianMixture(self.log_gating, mean, (keep * self.factor.square() + 1 - keep).sqrt())
        keep = keep[..., None]
        eye = torch.eye(self.mean.shape[-1])
        covariance = keep * (self.factor @ self.factor.mT) + (1 - keep) * eye
        return GaussianMixture(self.log_gating, mean, torch.linalg.cholesky(covariance))

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


@dataclass(frozen=True)
class StudentConfig:
    """Shape of a student; everything needed to build it before its weights are loaded.

    Attributes:
        history, obs_dim: Window of observations.
        horizon, act_dim: Chunk of actions.
        experts: Number of Gaussians.
        covariance: `diagonal` or `full`.
        width, blocks: Size of the backbone.
        octaves: Fourier octaves of the observations.
        floor: Least standard deviation, in standardised units.
    """

    history: int
    obs_dim: int
    horizon: int
    act_dim: int
    experts: int = 24
    covariance: Covariance = "diagonal"
    width: int = 160
    blocks: int = 3
    octaves: int = 4
    floor: float = 0.02


class MixtureStudent(nn.Module):
    """A network from standardised observations to a mixture over standardised actions."""

    def __init__(self, config: StudentConfig) -> None:
        """Build an untrained student: experts of deviation 1 at random places; see `spread_experts`."""
        super().__init__()
        self.config = config
        self.size = config.horizon * config.act_dim
        entries = self.size * (self.size + 1) // 2 if config.covariance == "full" else self.size
        self.encoder = ObservationEncoder(config.history, config.obs_dim, config.width, config.octaves)
        self.trunk = ResidualMLP(config.width, config.blocks)
        self.sizes = [config.experts, config.experts * self.size, config.experts * entries]
        self.head = nn.Linear(config.width, sum(self.sizes))
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.spread_experts(torch.randn(config.experts, self.size))
        with torch.no_grad():
            _, _, scale = self.head.bias.split(self.sizes)
            scale.view(config.experts, entries)[:, : self.size] = math.log(math.expm1(1.0 - config.floor))

    def spread_experts(self, places: Tensor) -> None:
        """Start the experts' means at `places`, (experts, horizon * act_dim), whatever the observation."""
        with torch.no_grad():
            self.head.bias[self.sizes[0] : self.sizes[0] + self.sizes[1]] = places.flatten()

    def forward(self, observation: Tensor) -> GaussianMixture:
        """Return the mixture for observations (B, history, obs_dim)."""
        shape = (-1, self.config.experts, self.size)
        logits, mean, raw = self.head(self.trunk(self.encoder(observation))).split(self.sizes, dim=1)
        log_gating, mean = torch.log_softmax(logits, dim=1), mean.reshape(shape)  # (B, Z), (B, Z, D)
        if self.config.covariance == "diagonal":
            return GaussianMixture(log_gating, mean, self._deviation(raw.reshape(shape)))
        raw = raw.reshape(-1, self.config.experts, self.sizes[2] // self.config.experts)
        factor = self._cholesky(self._deviation(raw[..., : self.size]), raw[..., self.size :])
        return GaussianMixture(log_gating, mean, factor)

    def _deviation(self, raw: Tensor) -> Tensor:
        return nn.functional.softplus(raw) + self.config.floor

    def _cholesky(self, scale: Tensor, below: Tensor) -> Tensor:
        """Fill lower triangles: (B, Z, D) diagonals and (B, Z, D (D - 1) / 2) entries below, row by row."""
        rows = []
        used = 0
        for row in range(self.size):
            parts = [below[..., used : used + row], scale[..., row : row + 1]]
            rows.append(nn.functional.pad(torch.cat(parts, dim=-1), (0, self.size - row - 1)))
            used += row
        return torch.stack(rows, dim=-2)  # (B, Z, D, D)
