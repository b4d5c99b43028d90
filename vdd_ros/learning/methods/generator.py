"""A one-step generator that a teacher instructs, beside a network that learns the score of the generator's actions.

Both learn in each step from the same actions: the score network by denoising them, as the teacher learned from the
demonstrations, the generator by an update that compares the two scores. `TrainingJob.module` holds both, so that a run
resumes with both.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.diffusion.noise_levels import draw_sigmas
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.fit import TrainingJob
from vdd_ros.learning.fit.training_loop import LossFunction
from vdd_ros.learning.fit.windows import Windows
from vdd_ros.learning.methods.consistency import start_student
from vdd_ros.learning.methods.distiller_configs import GeneratorConfig
from vdd_ros.learning.methods.sources import TeacherSource, with_noise
from vdd_ros.learning.networks.backbones import Context
from vdd_ros.learning.students.one_step import OneStepModel

Config = TypeVar("Config", bound=GeneratorConfig)


class GeneratorWithScore(nn.Module):
    """A generator, and a diffusion model of its actions that starts as a copy of the teacher."""

    def __init__(self, student: OneStepModel, teacher: Teacher) -> None:
        """Copy the teacher, in float32."""
        super().__init__()
        self.student = student
        self.score = copy.deepcopy(teacher).requires_grad_(True)
        self.score.rounded = False


@dataclass(frozen=True)
class Generated:
    """Actions of the generator, noised, with the contexts of their states.

    Attributes:
        student, score, teacher: Each network's encoding of the states.
        latent: (B, S, D) noise that the generator turned into actions; has gradients if the generator learns.
        action: (B, S, D) the actions, with gradients if the generator learns.
        sigma: (B, S) noise levels.
        noise: (B, S, D) standard normal, which gives noisy actions `action + sigma noise`.
        pull: (B, S, D) the teacher's clean actions minus those of the score network, at the noisy actions: the
            difference of the scores times sigma^2. Without gradients.
    """

    student: Context
    score: Context
    teacher: Context
    latent: Tensor
    action: Tensor
    sigma: Tensor
    noise: Tensor
    pull: Tensor


Update = Callable[[GeneratorWithScore, Teacher, Generated, Config, torch.Generator], Tensor]
"""Returns a scalar whose gradient updates the generator; its value means nothing."""


def generator_job(source: TeacherSource, config: Config, update: Update[Config]) -> TrainingJob:
    """Return a generator with its score network, and its loss.

    Raises:
        ConfigurationError: The teacher was not trained at the noise levels, or its network has another architecture.
    """
    teacher = source.teacher
    highest = min(config.start_level, teacher.sigma_range[1])
    both = GeneratorWithScore(start_student(teacher, config, conditions=1, highest=highest), teacher)
    networks = (both.student.network, both.score.network, teacher.network)
    loss = generator_loss(both, teacher, source.windows, config, update)
    return TrainingJob(both, loss, both.student.config, compiled=networks, kept="student")  # type: ignore[arg-type]


def noise_range(teacher: Teacher, config: GeneratorConfig) -> tuple[float, float]:
    """Return the ends of the range of noise levels.

    Raises:
        ConfigurationError: The teacher was not trained there.
    """
    lowest, highest = config.min_noise or teacher.sigma_range[0], config.max_noise or teacher.sigma_range[1]
    if lowest > highest:
        raise ConfigurationError(
            f"the noise range is {lowest:.3g} to {highest:.3g}, where the teacher's own end stands for 0; it must not "
            "descend"
        )
    teacher.check_range(lowest, highest)
    return lowest, highest


def generator_loss(
    both: GeneratorWithScore, teacher: Teacher, windows: Windows, config: Config, update: Update[Config]
) -> LossFunction:
    """Return the loss of one step: the score network's denoising error, and the update of the generator when due.

    Noise levels are log-uniform.

    Args:
        both: Generator and score network.
        teacher: Frozen.
        windows: Demonstrated states; their actions are not used.
        config: Settings.
        update: Of the generator.

    Raises:
        ConfigurationError: The teacher was not trained at the noise levels.
    """
    lowest, highest = noise_range(teacher, config)
    shape = config.batch, config.levels_per_state

    def loss(generator: torch.Generator, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        device = generator.device
        index = torch.randint(len(windows), (config.batch,), generator=generator, device=device)
        observation = with_noise(windows.observation[index], config.observation_noise, generator)
        goal = windows.draw_goals(index, generator)
        sigma = draw_sigmas("log-uniform", shape[0] * shape[1], lowest, highest, 0.0, generator)
        sigma = teacher.nearest_level(sigma, lowest, highest).view(shape)
        latent, noise = torch.randn((2, *shape, teacher.size), generator=generator, device=device)
        due = (step + 1) % config.generator_every == 0
        with torch.set_grad_enabled(due):
            latent.requires_grad_(due)
            context = both.student.encode(observation, goal)
            action = both.student.generate(context, latent)
        with torch.no_grad():
            guide = teacher.encode(observation, goal)
        own = both.score.encode(observation, goal)
        clean = action.detach()
        noisy = clean + sigma[..., None] * noise
        found = both.score.denoise(own, noisy, sigma)
        error = denoising_error(both.score, found, clean, sigma)
        with torch.no_grad():
            pull = teacher.denoise(guide, noisy, sigma) - found
            disagreement = (pull / sigma[..., None]).square().sum(-1).mean()
        total = error
        if due:
            drawn = Generated(context, detach(own), guide, latent, action, sigma, noise, pull)
            total = total + update(both, teacher, drawn, config, generator)
        return total, {"disagreement": disagreement, "score_error": error.detach()}

    return loss


def denoising_error(model: Teacher, found: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
    """Return the loss of `Preconditioning.loss`, of clean actions that have been estimated already."""
    _, out, _ = model.preconditioning.scalings(sigma[..., None])
    return ((found - clean) / out).square().mean()


def detach(context: Context) -> Context:
    """Return an encoding without gradients."""
    return context.detach() if isinstance(context, Tensor) else tuple(map(detach, context))
