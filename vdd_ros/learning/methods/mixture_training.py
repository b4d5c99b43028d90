"""Mixture training shared by methods: initial experts, revival of abandoned experts, logged scalars."""

import torch
from torch import Tensor, nn

from vdd_ros.learning.configs import MixtureConfig
from vdd_ros.learning.kinds import MIXTURE
from vdd_ros.learning.methods.state_pool import StatePool
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig, expert_places, plan_revival


def start_student(shape: StudentConfig, config: MixtureConfig, pool: StatePool, seed: int) -> MixtureStudent:
    """Build a student on the pool's device, with its experts initialised, and the axes of the pool's actions.

    Raises:
        ConfigurationError: The student would be larger than a checkpoint may be.
    """
    student = MIXTURE.new(shape).to(pool.action.device)
    generator = torch.Generator(pool.action.device).manual_seed(seed)
    actions = pool.action.flatten(0, 1)
    student.learn_axes(actions)
    student.spread_experts(expert_places(config.expert_start, config.experts, actions, config.start_bound, generator))
    return student


class Revival:
    """Revives abandoned experts at intervals; see `MixtureStudent.split_expert`."""

    def __init__(self, student: MixtureStudent, pool: StatePool, config: MixtureConfig, states: int = 2048) -> None:
        """Evaluate the gating on `states` states of the pool."""
        self._student = student
        self._pool = pool
        self._config = config
        self._states = states

    def __call__(self, step: int, generator: torch.Generator, averaged: nn.Module) -> None:
        """Revive when due, in the averaged weights too."""
        if not self._config.revive_every or step % self._config.revive_every or self._config.gating == "uniform":
            return
        device = self._pool.observation.device
        index = torch.randint(len(self._pool), (self._states,), generator=generator, device=device)
        with torch.no_grad():
            usage = self._student(*self._pool.states(index)).log_gating.exp().mean(0)
        for source, expert in plan_revival(usage, self._config.revive_below):
            jitter = 0.1 * torch.randn(self._student.size, generator=generator, device=device)
            for student in (self._student, averaged):
                student.split_expert(source, expert, jitter)  # type: ignore[operator]


@torch.no_grad()
def gating_scalars(mixture: GaussianMixture) -> dict[str, Tensor]:
    """Return the mean gating entropy in nats, and the number of experts that hold over 1 % of the batch."""
    gating = mixture.log_gating.exp()
    return {
        "gating_entropy": -(gating * mixture.log_gating).sum(-1).mean(),
        "experts_used": (gating.mean(0) > 0.01).sum(),
    }
