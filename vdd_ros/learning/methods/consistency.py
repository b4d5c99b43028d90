"""Distillation of a teacher into a one-step policy: consistency distillation and consistency trajectory models."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from torch import Tensor, nn

from vdd_ros.learning.diffusion.probability_flow import integrate, path_down, trajectory_levels
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.fit import TrainingJob
from vdd_ros.learning.fit.training_loop import LossFunction
from vdd_ros.learning.fit.windows import Windows
from vdd_ros.learning.kinds import ONE_STEP
from vdd_ros.learning.methods.configs import CDConfig, ConsistencyConfig, CTMConfig
from vdd_ros.learning.methods.distiller_configs import GeneratorConfig
from vdd_ros.learning.methods.sources import TeacherSource, with_noise
from vdd_ros.learning.networks.backbones import Context, NetworkConfig
from vdd_ros.learning.students.one_step import OneStepConfig, OneStepModel, interpolate

Config = TypeVar("Config", bound=ConsistencyConfig)


class StudentWithTarget(nn.Module):
    """A student and its target network: an averaged copy that gets no gradients."""

    def __init__(self, student: OneStepModel) -> None:
        """Initialise the copy with the student's weights."""
        super().__init__()
        self.student = student
        self.target = copy.deepcopy(student).requires_grad_(False)

    @torch.no_grad()
    def follow_student(self, decay: float) -> None:
        """Move the copy's weights towards the student's."""
        torch._foreach_lerp_(list(self.target.parameters()), list(self.student.parameters()), 1 - decay)


@dataclass(frozen=True)
class NoisedBatch:
    """Actions of a batch at random noise levels, with the three contexts of their states.

    Attributes:
        student, target, teacher: Each network's encoding of the states.
        clean: (B, 1, D).
        noisy: (B, S, D).
        start, end: (B, S) indices of the noisy actions' levels, and of the levels to jump to.
    """

    student: Context
    target: Context
    teacher: Context
    clean: Tensor
    noisy: Tensor
    start: Tensor
    end: Tensor


Ends = Callable[[int, tuple[int, int], torch.Generator], tuple[Tensor, Tensor]]
"""Draws the indices of levels at which jumps start and end, given the number of levels and a shape (B, S)."""
Loss = Callable[[StudentWithTarget, Teacher, Tensor, NoisedBatch, Config], tuple[Tensor, dict[str, Tensor]]]


def cd_job(source: TeacherSource, config: CDConfig) -> TrainingJob:
    """Return a one-step policy that jumps to clean actions, and its loss."""
    both = StudentWithTarget(start_student(source.teacher, config, conditions=1))
    return consistency_job(
        both,
        source,
        config,
        consistency_loss(both, source.teacher, source.windows, config, cd_loss, ends_anywhere(1.0)),
    )


def ctm_job(source: TeacherSource, config: CTMConfig) -> TrainingJob:
    """Return a one-step policy conditioned on the level to jump to, and its loss."""
    both = StudentWithTarget(start_student(source.teacher, config, conditions=2))
    loss = consistency_loss(both, source.teacher, source.windows, config, ctm_loss, ends_anywhere(config.to_clean))
    return consistency_job(both, source, config, loss)


def consistency_job(
    both: StudentWithTarget, source: TeacherSource, config: ConsistencyConfig, loss: LossFunction
) -> TrainingJob:
    """Return the training of a student that a target network follows."""
    return TrainingJob(
        both,
        loss,
        both.student.config,
        compiled=tuple(model.network for model in (both.student, both.target, source.teacher)),  # type: ignore[misc]
        after_step=lambda step, generator, averaged: both.follow_student(config.target_decay),
        kept="student",
    )


def start_student(
    teacher: Teacher, config: ConsistencyConfig | GeneratorConfig, conditions: int, highest: float | None = None
) -> OneStepModel:
    """Build a student conditioned on `conditions` noise levels, on the teacher's device.

    Its actions start from noise of the level `highest`; None for the teacher's highest.

    The network of an EDM teacher, such as BESO, estimates the same thing as the student's, so the student starts as
    its denoiser. A DDPM's estimates the noise, which times its highest level would drown the action: its last layer is
    not taken over, and the preconditioning assumes the deviation 1, for which the network's input is the same.

    Raises:
        ConfigurationError: The teacher's network has another architecture.
    """
    lowest = teacher.sigma_range[0]
    deviation = teacher.preconditioning.edm_deviation
    shared = {field.name: getattr(teacher.config, field.name) for field in fields(NetworkConfig)}
    shape = OneStepConfig(
        **{**shared, "dropout": 0.0},
        conditions=conditions,
        sigma_min=lowest,
        sigma_max=teacher.sigma_range[1] if highest is None else highest,
        sigma_data=1.0 if deviation is None else deviation,
    )
    student = ONE_STEP.new(shape)
    student.limit_actions(*teacher.action_limits)
    student.to(teacher.action_low.device)
    if config.start_from_teacher:
        student.start_from(teacher.network, readout=deviation is not None)  # type: ignore[arg-type]
    return student


def consistency_loss(
    both: StudentWithTarget,
    teacher: Teacher,
    windows: Windows,
    config: Config,
    jump: Loss[Config],
    ends: Ends,
) -> LossFunction:
    """Return the loss of one step of a method.

    Args:
        both: Student and target.
        teacher: Frozen.
        windows: Training pairs.
        config: Settings.
        jump: Loss of a batch, such as `cd_loss` or `ctm_loss`.
        ends: Draws the levels of the jumps, such as `ends_anywhere`.
    """
    levels = trajectory_levels(teacher, config.discretisation)

    def loss(generator: torch.Generator, _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        device = generator.device
        index = torch.randint(len(windows), (config.batch,), generator=generator, device=device)
        observation = with_noise(windows.observation[index], config.observation_noise, generator)
        goal = windows.draw_goals(index, generator)
        clean = windows.action[index, None]
        start, end = ends(len(levels), (config.batch, config.levels_per_state), generator)
        noise = torch.randn((*start.shape, clean.shape[-1]), generator=generator, device=device)
        with torch.no_grad():
            target, guide = both.target.encode(observation, goal), teacher.encode(observation, goal)
        noised = NoisedBatch(
            student=both.student.encode(observation, goal),
            target=target,
            teacher=guide,
            clean=clean,
            noisy=clean + levels[start][..., None] * noise,
            start=start,
            end=end,
        )
        return jump(both, teacher, levels, noised, config)

    return loss


def ends_anywhere(to_clean: float) -> Ends:
    """Return what draws jumps from any level above 0: a share `to_clean` to 0, the others to a random lower level."""

    def draw(levels: int, shape: tuple[int, int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        start = torch.randint(1, levels, shape, generator=generator, device=generator.device)
        part, choice = torch.rand((2, *shape), generator=generator, device=generator.device)
        return start, torch.where(choice < to_clean, 0, (part * start).long())

    return draw


def cd_loss(
    both: StudentWithTarget,
    teacher: Teacher,
    levels: Tensor,
    noised: NoisedBatch,
    config: ConsistencyConfig,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compare jumps from two neighbouring points of a trajectory (Song et al. 2023, algorithm 2), with lambda 1.

    Args:
        both: Student and target.
        teacher: Takes one step.
        levels: From `trajectory_levels`.
        noised: The batch.
        config: Settings.
    """
    path = levels[path_down(noised.start, torch.zeros_like(noised.start), 1)]
    sigma, below = path.unbind(-1)
    reached = integrate(teacher, noised.teacher, noised.noisy, path, config.solver)
    nothing = torch.zeros_like(sigma)
    with torch.no_grad():
        target = both.target.jump(noised.target, reached, below, nothing)
    value = distance(both.student.jump(noised.student, noised.noisy, sigma, nothing), target, config)
    return value, {"loss": value.detach()}


def ctm_loss(
    both: StudentWithTarget,
    teacher: Teacher,
    levels: Tensor,
    noised: NoisedBatch,
    config: CTMConfig,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compare a jump with teacher steps followed by a jump, both mapped to level 0, and match denoising scores.

    That is the soft consistency of Kim et al. (2024) from a level t to s, over a level u between them.

    Args:
        both: Student and target.
        teacher: Goes down at most `teacher_steps` levels, from t to u.
        levels: From `trajectory_levels`.
        noised: The batch.
        config: Settings.
    """
    path = levels[path_down(noised.start, noised.end, config.teacher_steps)]
    t, u, s = path[..., 0], path[..., -1], levels[noised.end]
    nothing = torch.zeros_like(t)
    reached = integrate(teacher, noised.teacher, noised.noisy, path, config.solver)
    with torch.no_grad():
        target = both.target.jump(noised.target, both.target.jump(noised.target, reached, u, s), s, nothing)
    # Denoising score matching takes one draw of each state: the clean action seen from t at t itself.
    noisy = torch.cat([noised.noisy, noised.noisy[:, :1]], dim=1)
    clean = both.student.predict_clean(
        noised.student, noisy, torch.cat([t, t[:, :1]], dim=1), torch.cat([s, t[:, :1]], dim=1)
    )
    jumped = interpolate(noised.noisy, clean[:, :-1], t, s)
    consistency = distance(both.target.jump(noised.target, jumped, s, nothing), target, config)
    dsm = (clean[:, -1:] - noised.clean).square().mean()
    return consistency + config.dsm_weight * dsm, {"loss": consistency.detach(), "dsm": dsm.detach()}


def distance(action: Tensor, target: Tensor, config: ConsistencyConfig) -> Tensor:
    """Return the mean distance of actions (B, S, D) from their targets."""
    square = (action - target).square().mean(-1)
    if config.metric == "l2":
        return square.mean()
    return ((square + config.huber_width**2).sqrt() - config.huber_width).mean()
