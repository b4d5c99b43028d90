"""Variational Diffusion Distillation of a teacher into a mixture of experts."""

from collections.abc import Callable

import torch
from torch import Tensor

from vdd_ros.learning.configs import shaped
from vdd_ros.learning.diffusion.noise_levels import draw_sigmas
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.fit import TrainingJob
from vdd_ros.learning.fit.metadata import check_sizes
from vdd_ros.learning.fit.training_loop import LossFunction
from vdd_ros.learning.methods.configs import DistilConfig
from vdd_ros.learning.methods.mixture_training import Revival, gating_scalars, start_student
from vdd_ros.learning.methods.sources import TeacherSource
from vdd_ros.learning.methods.state_pool import StatePool, draw_pool
from vdd_ros.learning.methods.vdd_objective import (
    ExpertUpdate,
    draw_experts,
    expert_weights,
    gating_loss,
    multi_noise_update,
    paper_update,
)
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig

UPDATES: dict[str, Callable[..., ExpertUpdate]] = {"multi-noise": multi_noise_update, "paper": paper_update}


def vdd_job(source: TeacherSource, config: DistilConfig) -> TrainingJob:
    """Return an untrained student and its loss.

    Raises:
        ConfigurationError: The teacher was not trained at the noise levels, or has fewer than `teacher_steps`.
    """
    teacher = source.teacher
    teacher.rounded = config.teacher_precision == "bfloat16"
    teacher.check_range(config.min_noise, config.max_noise)
    teacher.sampling_levels(config.teacher_steps)
    shape = shaped(StudentConfig, config, source.dimensions())
    check_sizes(shape)  # before the pool is drawn
    pool = draw_pool(
        teacher,
        source.windows,
        copies=config.pool_copies,
        samples=config.pool_samples,
        steps=config.teacher_steps,
        observation_noise=config.observation_noise,
        seed=config.seed,
        only_data=config.gating_on == "data",
    )
    student = start_student(shape, config, pool, config.seed)
    loss = vdd_loss(student, teacher, pool, config)
    networks = (student.trunk, teacher.network)
    return TrainingJob(student, loss, shape, networks, Revival(student, pool, config))  # type: ignore[arg-type]


def vdd_loss(student: MixtureStudent, teacher: Teacher, pool: StatePool, config: DistilConfig) -> LossFunction:
    """Return the loss of one distillation step: experts against the teacher's score, gating against its actions."""
    update = UPDATES[config.update]
    noise_range = config.min_noise, config.max_noise
    device = pool.observation.device

    def loss(generator: torch.Generator, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        index = torch.randint(len(pool), (config.batch,), generator=generator, device=device)
        observation, goal = pool.states(index)
        mixture = student(observation, goal)
        context = pool.encoded(teacher, index)
        sigma = draw_sigmas(config.noise_scheme, config.batch, *noise_range, step / config.steps, generator)
        sigma = teacher.nearest_level(sigma, *noise_range)
        drawn = None
        if config.draws:
            drawn = draw_experts(expert_weights(mixture.log_gating, config.uniform_weight), config.draws, generator)
        shape = (config.batch, config.samples, config.experts if drawn is None else config.draws, student.size)
        noise = torch.randn(shape, generator=generator, device=device)
        given = {} if drawn is None else {"experts": drawn}
        experts = update(mixture, teacher, context, sigma, noise, config.uniform_weight, **given)
        total = experts.loss
        if (step + 1) % config.gating_every == 0:
            total = total + gating_loss(mixture, pool.action[index], config.forward_kl)
        return total, {"disagreement": experts.disagreement, **gating_scalars(mixture)}

    return loss
