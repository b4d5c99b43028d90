"""Targets whose densities, noise predictors and samples are known in closed form, and teachers that know them."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.training.mixture import Covariance, GaussianMixture
from vdd_ros.training.teacher import DDPMTeacher, TeacherConfig

torch.set_num_threads(1)


@dataclass(frozen=True)
class Target:
    """A mixture of K isotropic Gaussians over vectors of size D, independent of vdd_ros's own.

    Attributes:
        weights: (K,), they sum to 1.
        means: (K, D).
        deviations: (K,).
    """

    weights: Tensor
    means: Tensor
    deviations: Tensor

    @classmethod
    def of(cls, weights: list[float], means: list[list[float]], deviations: list[float]) -> "Target":
        return cls(torch.tensor(weights), torch.tensor(means), torch.tensor(deviations))

    def double(self) -> "Target":
        return Target(self.weights.double(), self.means.double(), self.deviations.double())

    def parts(self, action: Tensor, alpha_bar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return offsets (..., K, D), variances (..., K) and log joint densities (..., K) at actions (..., D)."""
        alpha_bar = alpha_bar[..., None].to(self.means)
        offset = action[..., None, :] - alpha_bar[..., None].sqrt() * self.means
        variance = alpha_bar * self.deviations**2 + 1 - alpha_bar
        size = self.means.shape[1]
        log_normal = -0.5 * offset.square().sum(-1) / variance - 0.5 * size * (2 * math.pi * variance).log()
        return offset, variance, self.weights.log() + log_normal

    def log_prob(self, action: Tensor, alpha_bar: Tensor) -> Tensor:
        """Return the log density of sqrt(alpha_bar) a + sqrt(1 - alpha_bar) noise at (..., D)."""
        return torch.logsumexp(self.parts(action, alpha_bar)[2], dim=-1)

    def noise(self, action: Tensor, alpha_bar: Tensor) -> Tensor:
        """Return the mean of the noise in noised actions (..., D), by conditioning the joint Gaussians."""
        offset, variance, joint = self.parts(action, alpha_bar)
        each = (1 - alpha_bar).sqrt()[..., None, None].to(offset) * offset / variance[..., None]
        return (joint.softmax(-1)[..., None] * each).sum(-2)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        which = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn((count, self.means.shape[1]), generator=generator)
        return self.means[which] + self.deviations[which, None] * noise


class ExactDenoiser(nn.Module):
    """Predicts the noise of a target exactly, whatever the observation."""

    def __init__(self, target: Target, alpha_bars: Tensor) -> None:
        super().__init__()
        self.target = target
        self.alpha_bars = alpha_bars

    def encode(self, observation: Tensor) -> Tensor:
        return torch.zeros(len(observation), 1)

    def forward(self, features: Tensor, action: Tensor, level: Tensor) -> Tensor:
        return self.target.noise(action, self.alpha_bars[level])


def exact_teacher(target: Target, levels: int = 64) -> DDPMTeacher:
    """Return a teacher of chunks (1, D) that knows the score of a target."""
    size = target.means.shape[1]
    config = TeacherConfig(1, 1, 1, size, levels=levels, width=2, blocks=1, octaves=1)
    teacher = DDPMTeacher(config).requires_grad_(False)
    teacher.denoiser = ExactDenoiser(target, teacher.alpha_bars)  # type: ignore[assignment]
    return teacher


def observations(count: int) -> Tensor:
    return torch.zeros(count, 1, 1)


def random_mixture(batch: int, experts: int, size: int, covariance: Covariance, seed: int = 0) -> GaussianMixture:
    """Return a random mixture, float64."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    deviation = 0.3 + normal(batch, experts, size).abs()
    factor = deviation
    if covariance == "full":
        factor = torch.diag_embed(deviation) + 0.5 * normal(batch, experts, size, size).tril(-1)
    return GaussianMixture(normal(batch, experts).log_softmax(1), normal(batch, experts, size), factor)


def small_demonstrations(episodes: int = 4, length: int = 12, seed: int = 0) -> DemonstrationSet:
    """Return demonstrations with Avoiding's entries: random walks, each action a noisy function of the observation."""
    random = np.random.default_rng(seed)
    pairs = episodes * length
    observation = np.cumsum(random.normal(size=(pairs, 4)), axis=0)
    action = 0.01 * np.sin(observation[:, :2]) + 0.002 * random.normal(size=(pairs, 2))
    names = ("desired_x", "desired_y", "tcp_x", "tcp_y")
    header = Header(
        "avoiding",
        tuple((name, "m") for name in names),
        tuple((f"delta_{name}", "m") for name in names[:2]),
        1000 / 35,
        "random walk",
        seed,
    )
    return DemonstrationSet(header, observation, action, np.full(episodes, length), np.full(episodes, -1))
