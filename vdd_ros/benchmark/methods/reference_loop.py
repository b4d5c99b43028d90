"""A straightforward implementation of the VDD paper's training loop, to compare the product's speed with.

It follows the paper's public code. The teacher encodes a state anew for each expert sample, two for each expert; the
gating has batches and passes of its own; responsibilities come from torch.distributions and reach the actions by
autograd; the learning rate of plain Adam falls linearly from the paper's. Networks, data and teacher are the product's,
and an expert sample means the same: one action of one expert at one state.
"""

import math

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.diffusion.noise_levels import draw_sigmas
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.methods.state_pool import StatePool
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture
from vdd_ros.learning.students.mixture import MixtureStudent

EXPERT_STEPS = 2
SAMPLES = 2
LEARNING_RATE = 1e-4
NOISE_RANGE = (0.2, 0.5)
TINY = 1e-8


class ReferenceLoop:
    """The paper's alternation of expert and gating steps, for diagonal experts."""

    def __init__(
        self,
        student: MixtureStudent,
        teacher: Teacher,
        pool: StatePool,
        *,
        batch: int,
        iterations: int,
        seed: int,
        learning_rate: float = LEARNING_RATE,
        noise_range: tuple[float, float] = NOISE_RANGE,
    ) -> None:
        """Prepare a run.

        Args:
            student: Student with diagonal experts, trained in place.
            teacher: Frozen teacher.
            pool: States, and actions for the gating.
            batch: States of each step.
            iterations: Number of iterations, over which the learning rate falls to 0.
            seed: Seed of batches and noise.
            learning_rate: Learning rate of Adam at the start.
            noise_range: Range of the noise levels of the teacher's score, drawn uniformly; by default the paper's on
                Avoiding.

        Raises:
            ConfigurationError: The learning rate is not finite or not above 0.
        """
        if not 0.0 < learning_rate < math.inf:
            raise ConfigurationError(f"a learning rate is {learning_rate}; --rates must be finite and above 0")
        self.student = student
        self.samples_done = 0
        self._teacher = teacher
        self._pool = pool
        self._batch = batch
        self._noise_range = noise_range
        self._generator = torch.Generator(pool.action.device).manual_seed(seed)
        self._optimizer = torch.optim.Adam(student.parameters(), lr=learning_rate)
        self._decay = torch.optim.lr_scheduler.LinearLR(self._optimizer, 1.0, 1e-6, iterations)

    def iterate(self) -> None:
        """Take two steps of the experts and one of the gating."""
        for _ in range(EXPERT_STEPS):
            self._descend(self._expert_loss())
        self._descend(self._gating_loss())
        self._decay.step()

    def _descend(self, loss: Tensor) -> None:
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()

    def _draw(self) -> Tensor:
        device = self._generator.device
        return torch.randint(len(self._pool), (self._batch,), generator=self._generator, device=device)

    def _expert_loss(self) -> Tensor:
        observation, goal = self._pool.states(self._draw())
        mixture = self.student(observation, goal)
        shape = (self._batch, SAMPLES, *mixture.mean.shape[1:])
        noise = torch.randn(shape, generator=self._generator, device=self._generator.device)
        count = noise[..., 0].numel()
        sigma = draw_sigmas("uniform", count, *self._noise_range, 0.0, self._generator)
        sigma = self._teacher.nearest_level(sigma, *self._noise_range)[:, None]
        self.samples_done += count
        return expert_loss(mixture, self._teacher, observation, goal, noise, sigma)

    def _gating_loss(self) -> Tensor:
        index = self._draw()
        mixture = self.student(*self._pool.states(index))
        frozen = mixture.detach()
        with torch.no_grad():
            log_each = _experts(_apart(frozen)).log_prob(self._pool.action[index][:, :, None])  # (B, S, Z)
            target = (log_each + frozen.log_gating[:, None]).softmax(-1)
        return -((target + TINY) * mixture.log_gating[:, None]).sum(-1).mean()


def expert_loss(
    mixture: GaussianMixture, teacher: Teacher, observation: Tensor, goal: Tensor | None, noise: Tensor, sigma: Tensor
) -> Tensor:
    """Return the loss of one step of the experts.

    Args:
        mixture: (B) mixtures with diagonal experts.
        teacher: Frozen teacher.
        observation: (B, history, obs_dim) standardised.
        goal: (B, goal_length, obs_dim) or None.
        noise: (B, V, Z, D) standard normal.
        sigma: (B * V * Z, 1) noise level of the teacher's score for each sample.
    """
    action = mixture.draw_each(noise)  # (B, V, Z, D)
    repeats = action.shape[1] * action.shape[2]
    flat = action.detach().flatten(0, 2)[:, None]  # (B * V * Z, 1, D)
    with torch.no_grad():
        goals = None if goal is None else goal.repeat_interleave(repeats, 0)
        context = teacher.encode(observation.repeat_interleave(repeats, 0), goals)
        score = teacher.score_unnoised(context, flat, sigma).view_as(action)
    pull = ((score * action).sum(-1) + _log_responsibilities(mixture.detach(), action)).mean(1)  # (B, Z)
    return -(mixture.log_gating.detach().exp() * (pull + _experts(mixture).entropy())).sum(-1).mean()


def _experts(mixture: GaussianMixture) -> Independent:
    return Independent(Normal(mixture.mean, mixture.factor), 1)


def _apart(mixture: GaussianMixture) -> GaussianMixture:
    """Add an axis for the samples of each state."""
    return GaussianMixture(mixture.log_gating[:, None], mixture.mean[:, None], mixture.factor[:, None])


def _log_responsibilities(frozen: GaussianMixture, action: Tensor) -> Tensor:
    """Return log of the probability that each expert made its own draws (B, V, Z, D): (B, V, Z)."""
    one = _apart(frozen)
    own = _experts(one).log_prob(action) + one.log_gating
    each = _apart(one)
    whole = MixtureSameFamily(Categorical(logits=each.log_gating), _experts(each))
    return own - whole.log_prob(action)
