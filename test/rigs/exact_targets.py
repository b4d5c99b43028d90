"""Targets whose density and score are known in closed form, and teachers that know them: for exact checks.

A target is a Gaussian mixture that may depend on the state. Noise leaves it a mixture, so that its teacher is exact at
every noise level, and a distilled student can be compared with the truth by quadrature.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vdd_ros.features import Feature
from vdd_ros.learning.configs import shaped
from vdd_ros.learning.diffusion.teacher import Teacher, TeacherConfig
from vdd_ros.learning.fit.fit import TrainingJob, fit
from vdd_ros.learning.fit.metadata import CheckpointMetadata, TrainedModel
from vdd_ros.learning.kinds import MIXTURE
from vdd_ros.learning.methods.configs import DistilConfig
from vdd_ros.learning.methods.mixture_training import start_student
from vdd_ros.learning.methods.state_pool import StatePool
from vdd_ros.learning.methods.vdd import vdd_loss
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig

FAR = 1e3


@dataclass(frozen=True)
class Target:
    """A conditional density over actions, given one-dimensional states, which are standard normal.

    Attributes:
        size: Entries of an action, D.
        mixture: From states (B, 1, 1) to the densities of the actions.
    """

    size: int
    mixture: Callable[[Tensor], GaussianMixture]

    def pool(self, states: int, samples: int, seed: int) -> StatePool:
        """Draw states and exact actions at each."""
        generator = torch.Generator().manual_seed(seed)
        state = torch.randn((states, 1, 1), generator=generator)
        return StatePool(state, None, self.mixture(state).draw(samples, generator))


class ExactTeacher(Teacher):
    """A BESO teacher that knows a target; its encoding of a state is the target's mixture there."""

    def __init__(self, target: Target, sigma_min: float = 1e-3, sigma_max: float = 80.0) -> None:
        """Make a teacher of single actions that knows all levels from `sigma_min` to `sigma_max`."""
        shape = {"backbone": "mlp", "width": 2, "layers": 1, "history": 1, "obs_dim": 1, "horizon": 1}
        levels = {"kind": "beso", "sigma_min": sigma_min, "sigma_max": sigma_max}
        super().__init__(TeacherConfig(**shape, **levels, act_dim=target.size))  # type: ignore[arg-type]
        self._target = target
        self.requires_grad_(False)

    def encode(self, observation: Tensor, goal: Tensor | None = None) -> GaussianMixture:
        """Return the target's densities."""
        return self._target.mixture(observation)

    def score(self, context: GaussianMixture, action: Tensor, sigma: Tensor) -> Tensor:
        """Return the score of noised actions (B, S, D) at one level a state, (B, 1) or (1, 1)."""
        return context.noised(sigma.expand(len(action), 1)[:, 0]).score(action)

    def denoise(self, context: GaussianMixture, action: Tensor, sigma: Tensor) -> Tensor:
        """Return the mean of the clean actions by Tweedie's formula; as `score`."""
        return action + sigma[..., None].square() * self.score(context, action, sigma)


def fixed_target(weights: Tensor, means: Tensor, deviations: Tensor) -> Target:
    """Return a target that is the same in every state: weights (K,), means (K, D), deviations (K, D)."""

    def mixture(state: Tensor) -> GaussianMixture:
        parts = (weights.log(), means, deviations)
        return GaussianMixture(*(part.expand(len(state), *part.shape) for part in parts))

    return Target(means.shape[1], mixture)


def ring(modes: int = 8, radius: float = 2.0, deviation: float = 0.5) -> Target:
    """Return the ring of equal Gaussians in the plane on which the VDD paper shows its method."""
    angle = 2 * math.pi * torch.arange(modes) / modes
    means = radius * torch.stack([angle.cos(), angle.sin()], dim=1)
    return fixed_target(torch.full((modes,), 1 / modes), means, torch.full((modes, 2), deviation))


def ring_config(**changes: Any) -> DistilConfig:
    """Return settings that match the ring in the states and samples of the VDD paper, in 250 of its 600 iterations.

    Args:
        changes: Fields of `DistilConfig` to set otherwise.
    """
    settings = {
        "backbone": "mlp", "width": 64, "layers": 2, "octaves": 0, "experts": 8, "gating": "uniform",
        "expert_start": "kmeans", "steps": 250, "batch": 32, "samples": 64, "learning_rate": 5e-3, "ema_decay": 0.98,
        "weight_decay": 0.0, "min_noise": 0.02, "max_noise": 0.5, "uniform_weight": 0.0, "forward_kl": 0.0,
        "pool_samples": 64, "optimizer": "adamw",
    }  # fmt: skip
    return DistilConfig(**{**settings, **changes})


def fork(deviation: float = 0.2) -> Target:
    """Return a target with one mode in low states, which parts into three as the state rises."""

    def mixture(state: Tensor) -> GaussianMixture:
        apart = 2 * torch.sigmoid(4 * state)  # (B, 1, 1)
        mean = apart * torch.tensor([[-1.0], [0.0], [1.0]])
        return GaussianMixture(torch.full_like(mean[..., 0], 1 / 3).log(), mean, torch.full_like(mean, deviation))

    return Target(1, mixture)


def distil_target(target: Target, config: DistilConfig, folder: Path, states: int = 4096) -> MixtureStudent:
    """Distil the exact teacher of a target with the product's own loss and loop.

    Args:
        target: What to match.
        config: Settings; those of the pool of states are not used.
        folder: Checkpoint folder of the student.
        states: States that the student is trained at.

    Returns:
        The student with averaged weights.

    Raises:
        ConfigurationError: The settings contradict one another.
    """
    teacher = ExactTeacher(target)
    teacher.check_range(config.min_noise, config.max_noise)
    pool = target.pool(states, config.pool_samples, config.seed)
    shape = shaped(StudentConfig, config, dict(history=1, obs_dim=1, horizon=1, act_dim=target.size))
    torch.manual_seed(config.seed)
    student = start_student(shape, config, pool, config.seed)
    job = TrainingJob(student, vdd_loss(student, teacher, pool, config), shape)
    fit(folder, job, config, lambda made: _metadata(target, made), "exact target", resume=False)
    return MIXTURE.load(folder)[0]


@dataclass(frozen=True)
class Match:
    """How well a student matches a target, on average over states.

    Attributes:
        kl: KL(student || target) in nats.
        modes: (K,) mass of the student at each mode of the target, in shares of the mode's own mass.
    """

    kl: float
    modes: Tensor

    @property
    def modes_found(self) -> int:
        """Number of modes that hold at least half of their mass."""
        return int((self.modes >= 0.5).sum())


@torch.no_grad()
def match_by_quadrature(
    student: Callable[[Tensor], GaussianMixture], target: Target, states: Tensor, bound: float = 5.0, points: int = 201
) -> Match:
    """Compare densities over one or two dimensions on a regular grid, in double precision.

    Args:
        student: What was distilled.
        target: What it should be.
        states: (B, 1, 1) where to compare.
        bound: Half the side of the grid.
        points: Of the grid, along each dimension.
    """
    q, p = _double(student(states)), _double(target.mixture(states))
    axis = torch.linspace(-bound, bound, points, dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * target.size).reshape(1, -1, target.size).expand(len(states), -1, -1)
    cell = float(axis[1] - axis[0]) ** target.size
    log_q = q.log_prob(grid)
    mass = log_q.exp() * cell  # (B, points^D)
    kl = (mass * (log_q - p.log_prob(grid))).sum(-1).mean()
    modes = (mass[..., None] * p.log_responsibilities(grid).exp()).sum(1) / p.log_gating.exp()
    return Match(float(kl), modes.mean(0))


def _double(mixture: GaussianMixture) -> GaussianMixture:
    return GaussianMixture(mixture.log_gating.double(), mixture.mean.double(), mixture.factor.double())


def _metadata(target: Target, made: TrainedModel) -> CheckpointMetadata:
    """Return the metadata of a student of a target: units are standardised ones, and the limits far away."""
    ones = {"observation": [1.0], "action": [1.0] * target.size}
    statistics = {f"{name}_std": values for name, values in ones.items()}
    statistics |= {f"{name}_mean": [0.0] * len(values) for name, values in ones.items()}
    statistics |= {"action_low": [-FAR] * target.size, "action_high": [FAR] * target.size}
    names = tuple(Feature(f"a{entry}") for entry in range(target.size))
    return CheckpointMetadata(
        structure=MIXTURE.name,
        method="vdd",
        task="exact target",
        observation=(Feature("s"),),
        action=names,
        rate_hz=1.0,
        statistics=statistics,
        data_sha256="0" * 64,
        teacher_sha256=None,
        **made,
    )
