"""The same mixture trained only from demonstrations: expectation maximisation, and its curriculum variant IMC.

Both alternate, a stochastic gradient step at a time, between a distribution p(n, z) over pairs n and experts z and the
weighted likelihood of the experts under it. Information Maximizing Curriculum (Blessing et al. 2023) chooses it by

    maximise E_p(n, z) [R_z(n)] + eta H(p(n)),    R_z(n) = -|a_n - mu_z(s_n)|^2 / 2,

that is, it may leave out pairs that no expert explains, for a price of eta per nat of entropy. By the usual bound on
H(p(n)) with a posterior q(z | n) this splits into one objective for each expert,

    E_p(n | z) [R_z(n) + eta log q(z | n)] + eta H(p(n | z)),

whose optimum is p(n | z) proportional to exp(R_z(n) / eta) q(z | n), with p(z) proportional to the sum of that over the
pairs. Hence p(n, z) needs a single normaliser, which a batch estimates well; one for each expert it could not. The
posterior is that of the mixture itself, so that no state per pair is needed. As eta goes to infinity, all pairs weigh
the same, p(z | n) are the responsibilities, and the method is EM.

R is the log likelihood of an expert of unit variance, as published. With learned variances, a curriculum would
prefer sharp experts to accurate ones, and collapse to a few easy states.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vdd_ros.learning.configs import shaped
from vdd_ros.learning.fit.fit import TrainingJob
from vdd_ros.learning.fit.training_loop import LossFunction
from vdd_ros.learning.fit.windows import Windows
from vdd_ros.learning.methods.configs import EMConfig
from vdd_ros.learning.methods.mixture_training import Revival, gating_scalars, start_student
from vdd_ros.learning.methods.sources import DataSource, with_noise
from vdd_ros.learning.methods.state_pool import StatePool, draw_windows
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig


def mixture_job(source: DataSource, config: EMConfig) -> TrainingJob:
    """Return an untrained mixture and its loss, for EM and IMC."""
    windows, device = source.windows, source.windows.observation.device
    shape = shaped(StudentConfig, config, source.dimensions())
    generator = torch.Generator(device)
    index = draw_windows(len(windows), 1, generator)
    goal = windows.draw_goals(index, generator)
    pool = StatePool(windows.observation[index], goal, windows.action[index, None])
    student = start_student(shape, config, pool, config.seed)
    loss = mixture_loss(student, windows, config)
    return TrainingJob(student, loss, shape, (student.trunk,), Revival(student, pool, config))


def mixture_loss(student: MixtureStudent, windows: Windows, config: EMConfig) -> LossFunction:
    """Return the loss of one step on a batch of noisy states with their actions."""
    device = windows.observation.device

    def loss(generator: torch.Generator, _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        index = torch.randint(len(windows), (config.batch,), generator=generator, device=device)
        observation = with_noise(windows.observation[index], config.observation_noise, generator)
        mixture = student(observation, windows.draw_goals(index, generator))
        action = windows.action[index, None]  # (B, 1, D)
        log_experts = mixture.expert_log_prob(action).squeeze(1)  # (B, Z)
        with torch.no_grad():
            log_joint = log_experts + mixture.log_gating
            reward = -0.5 * (action - mixture.mean).square().sum(-1)
            curriculum = Curriculum.of(reward, log_joint.log_softmax(1), config.temperature)
            scalars = {"log_likelihood": log_joint.logsumexp(1).mean(), "pairs_used": curriculum.pairs_used()}
        return weighted_loss(log_experts, mixture.log_gating, curriculum), scalars | gating_scalars(mixture)

    return loss


@dataclass(frozen=True)
class Curriculum:
    """The distribution p(n, z) over the pairs of a batch and the experts.

    Attributes:
        joint: (B, Z) p(n, z), sums to 1.
        posterior: (B, Z) p(z | n), rows sum to 1.
    """

    joint: Tensor
    posterior: Tensor

    @classmethod
    def of(cls, reward: Tensor, log_posterior: Tensor, eta: float) -> "Curriculum":
        """Return the optimum: p(n, z) proportional to exp(R_z(n) / eta) q(z | n).

        Args:
            reward: (B, Z) R_z(n).
            log_posterior: (B, Z) log q(z | n).
            eta: Price per nat of entropy; infinite for EM.
        """
        logits = reward / eta + log_posterior
        return cls(logits.flatten().softmax(0).view_as(logits), logits.softmax(1))

    def pairs_used(self) -> Tensor:
        """Return the share of the batch that counts, 1 / (B sum p(n)^2): 1 if all pairs weigh the same."""
        pairs = self.joint.sum(1)
        return 1 / (len(pairs) * pairs.square().sum())


def weighted_loss(log_experts: Tensor, log_gating: Tensor, curriculum: Curriculum) -> Tensor:
    """Return the cross-entropies of the experts under the curriculum and of the gating under its posterior.

    The gating learns from all pairs alike, so that it is defined in every demonstrated state. For EM the gradient
    is that of the negative log likelihood.

    Args:
        log_experts: (B, Z) log densities.
        log_gating: (B, Z) log probabilities.
        curriculum: Constant.
    """
    gating = (curriculum.posterior * log_gating).sum(1).mean()
    return -(curriculum.joint * log_experts).sum() - gating
