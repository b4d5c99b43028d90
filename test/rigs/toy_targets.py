"""Targets whose densities, scores and samples are known in closed form, and teachers that know them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.features import Feature
from vdd_ros.learning.configs import Covariance
from vdd_ros.learning.diffusion.teacher import Teacher, TeacherConfig
from vdd_ros.learning.fit.checkpoint import load_model, save_model
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture


@dataclass(frozen=True)
class Target:
    """A mixture of K isotropic Gaussians over vectors of size D, independent of vdd_ros's own; float64.

    Attributes:
        weights: (..., K), they sum to 1.
        means: (..., K, D).
        deviations: (..., K).
    """

    weights: Tensor
    means: Tensor
    deviations: Tensor

    @classmethod
    def of(cls, weights: list[float], means: list[list[float]], deviations: list[float]) -> "Target":
        return cls(*(torch.tensor(values, dtype=torch.float64) for values in (weights, means, deviations)))

    @classmethod
    def ring(cls, modes: int, radius: float, deviation: float) -> "Target":
        """Return equal modes evenly on a circle."""
        angles = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
        means = radius * torch.stack([angles.cos(), angles.sin()], dim=1)
        return cls(torch.full_like(angles, 1 / modes), means, torch.full_like(angles, deviation))

    @property
    def size(self) -> int:
        return self.means.shape[-1]

    def _parts(self, action: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return offsets (..., K, D), variances (..., K) and log joint densities (..., K) at actions (..., D)."""
        offset = action[..., None, :].double() - self.means
        variance = self.deviations**2 + sigma[..., None].double() ** 2
        log_normal = -0.5 * offset.square().sum(-1) / variance - 0.5 * self.size * (2 * math.pi * variance).log()
        return offset, variance, self.weights.log() + log_normal

    def log_prob(self, action: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """Return the log density of a + sigma noise at (..., D); `sigma` broadcasts with (...)."""
        return torch.logsumexp(self._parts(action, torch.as_tensor(sigma))[2], dim=-1)

    def denoised(self, action: Tensor, sigma: float | Tensor) -> Tensor:
        """Return the mean of a given a + sigma noise, (..., D), by conditioning the joint Gaussians."""
        offset, variance, joint = self._parts(action, torch.as_tensor(sigma))
        means = self.means + (self.deviations**2 / variance)[..., None] * offset
        return (joint.softmax(-1)[..., None] * means).sum(-2)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw (count, D) float32; of one mixture, without leading dimensions."""
        which = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn((count, self.size), generator=generator, dtype=torch.float64)
        return (self.means[which] + self.deviations[which, None] * noise).float()


class ExactNetwork(nn.Module):
    """Stands for a teacher's network and estimates what the network of a perfect teacher would.

    The context is the target itself: parameters (K, ...), or (B, 1, K, ...) where they depend on the state.
    """

    def __init__(self, teacher: Teacher, target_of: Callable[[Tensor], Target]) -> None:
        super().__init__()
        self.scalings = teacher.preconditioning.scalings
        self.target_of = target_of

    def encode(self, observation: Tensor, goal: Tensor | None) -> Target:
        return self.target_of(observation)

    def forward(self, context: Target, action: Tensor, condition: Tensor) -> Tensor:
        sigma = (4 * condition.double()).exp()
        skip, out, scale_in = self.scalings(sigma)
        noisy = action / scale_in
        return ((context.denoised(noisy, sigma[..., 0]) - skip * noisy) / out).to(action.dtype)


def exact_teacher(
    target: Target | Callable[[Tensor], Target], kind: str = "ddpm", size: int | None = None, **settings: Any
) -> Teacher:
    """Return a frozen teacher of chunks (1, D) that knows the score of a target.

    Args:
        target: The same in every state, or a function of standardised observations (B, 1, 1).
        kind: `ddpm` or `beso`.
        size: D, where the target is a function.
        settings: Others of `TeacherConfig`.
    """
    if isinstance(target, Target):
        size = target.size
    assert size is not None, "the size of a target that depends on the state"
    shape: dict[str, Any] = {"backbone": "mlp", "width": 2, "layers": 1, "octaves": 0}
    config = TeacherConfig(kind=kind, history=1, obs_dim=1, horizon=1, act_dim=size, **{**shape, **settings})
    teacher = Teacher(config).requires_grad_(False)
    target_of = (lambda _: target) if isinstance(target, Target) else target
    teacher.network = ExactNetwork(teacher, target_of)
    return teacher


def observations(count: int) -> Tensor:
    """Return observations that say nothing, for teachers of `exact_teacher`."""
    return torch.zeros(count, 1, 1)


def random_mixture(batch: int, experts: int, size: int, covariance: Covariance, seed: int = 0) -> GaussianMixture:
    """Return a random mixture, float64; a basis, if it has one, is a random rotation."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    deviation = 0.3 + normal(batch, experts, size).abs()
    factor, basis = deviation, None
    if covariance == "full":
        factor = torch.diag_embed(deviation) + 0.5 * normal(batch, experts, size, size).tril(-1)
    elif covariance != "diagonal":
        basis = torch.linalg.qr(normal(size, size)).Q
    return GaussianMixture(normal(batch, experts).log_softmax(1), normal(batch, experts, size), factor, basis)


def small_demonstrations(episodes: int = 4, length: int = 12, seed: int = 0) -> DemonstrationSet:
    """Return demonstrations with Avoiding's entries: random walks, each action a noisy function of the observation."""
    random = np.random.default_rng(seed)
    pairs = episodes * length
    observation = np.cumsum(random.normal(size=(pairs, 4)), axis=0)
    action = 0.01 * np.sin(observation[:, :2]) + 0.002 * random.normal(size=(pairs, 2))
    names = ("desired_x", "desired_y", "tcp_x", "tcp_y")
    header = Header(
        "avoiding",
        tuple(Feature(name, "m") for name in names),
        tuple(Feature(f"delta_{name}", "m") for name in names[:2]),
        1000 / 35,
        "random walk",
        seed,
    )
    return DemonstrationSet(header, observation, action, np.full(episodes, length), np.full(episodes, -1))


def restless(folder: Path, scale: float) -> Path:
    """Give a checkpoint random weights, so that its outputs vary with its inputs, and actions reach their limits."""
    metadata, tensors = load_model(folder)
    generator = torch.Generator().manual_seed(1)
    changed = {
        name: value + scale * torch.randn(value.shape, generator=generator) if value.isfinite().all() else value
        for name, value in tensors.items()
        if not name.startswith("action_") and name != "basis"
    }
    save_model(folder, tensors | changed, metadata)
    return folder
