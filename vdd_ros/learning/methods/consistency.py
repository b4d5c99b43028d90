"""Distillation of a teacher into a one-step policy: consistency distillation and consistency trajectory models."""

import copy
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.learning.diffusion.probability_flow import follow, path_down, trajectory_levels
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.card import Card, read_shape, require_structure
from vdd_ros.learning.fit.checkpoint import read_model
from vdd_ros.learning.fit.fit import Recipe, fit
from vdd_ros.learning.fit.run_folder import build, run_folder
from vdd_ros.learning.fit.training_loop import LossFunction
from vdd_ros.learning.fit.windows import Windows
from vdd_ros.learning.methods.configs import ConsistencyConfig
from vdd_ros.learning.methods.teacher import with_noise
from vdd_ros.learning.methods.vdd import TeacherSource
from vdd_ros.learning.networks.backbones import Context, Shape
from vdd_ros.learning.students.one_step import OneStepConfig, OneStepModel, land
from vdd_ros.policy.structure import ONE_STEP


class Distillation(nn.Module):
    """A student, and the averaged copy of it that gives the targets and is not trained by gradients."""

    def __init__(self, student: OneStepModel) -> None:
        """Start the copy where the student is."""
        super().__init__()
        self.student = student
        self.target = copy.deepcopy(student).requires_grad_(False)

    @torch.no_grad()
    def follow_student(self, decay: float) -> None:
        """Move the copy's weights towards the student's."""
        torch._foreach_lerp_(list(self.target.parameters()), list(self.student.parameters()), 1 - decay)


@dataclass(frozen=True)
class Noised:
    """Actions of a batch at random noise levels, with the three contexts of their states.

    Attributes:
        student, target, teacher: What each network makes of the states.
        clean: (B, 1, D).
        noisy: (B, S, D).
        start, end: (B, S) numbers of the actions' levels, and of those that they jump to.
    """

    student: Context
    target: Context
    teacher: Context
    clean: Tensor
    noisy: Tensor
    start: Tensor
    end: Tensor


def distil_consistency(
    teacher_folder: Path,
    demonstrations: DemonstrationSet,
    folder: Path,
    config: ConsistencyConfig,
    resume: bool = False,
    force: bool = False,
) -> Card:
    """Distil the teacher in `teacher_folder` into a one-step policy kept in `folder`.

    Args:
        teacher_folder: Checkpoint of the teacher.
        demonstrations: What the teacher was trained on; the card warns where that is not known, or is not so.
        folder: Checkpoint folder of the policy.
        config: Settings.
        resume: Continue the run in `folder`.
        force: Replace what `folder` holds, once the new run has ended well.

    Returns:
        The card of the finished policy.

    Raises:
        CheckpointError: The teacher is missing or does not fit the demonstrations, or `folder` is the teacher's or
            holds another run.
        HeldError: Another process trains in `folder`.
        KeyboardInterrupt: The run was interrupted; a checkpoint is written.
    """
    source = TeacherSource.load(teacher_folder, demonstrations, config.pick_device())
    settings = {**asdict(config), "teacher_sha256": source.sha256, "data_sha256": source.data_sha256}
    with run_folder(
        folder, settings, demonstrations, resume=resume, force=force, teacher_folder=teacher_folder
    ) as begin:
        torch.manual_seed(config.seed)
        both = Distillation(start_student(source.teacher, config))
        recipe = Recipe(
            both,
            consistency_loss(both, source.teacher, source.windows, config),
            both.student.config,
            compiled=tuple(model.network for model in (both.student, both.target, source.teacher)),  # type: ignore[misc]
            after_step=lambda step, generator, averaged: both.follow_student(config.target_decay),
            kept="student",
        )
        begin()
        return fit(
            folder, recipe, config, lambda made: source.card(ONE_STEP, config.method, made), config.method, resume
        )


def start_student(teacher: Teacher, config: ConsistencyConfig) -> OneStepModel:
    """Build a student where the teacher is.

    A BESO teacher's network estimates the same thing as the student's, so that the student starts as its denoiser. A
    DDPM's estimates the noise, which times its highest level would drown the action: its last layer is not taken over,
    and the preconditioning assumes the deviation 1, for which the network's input is the same.
    """
    lowest, highest = teacher.sigma_range
    beso = teacher.config.kind == "beso"
    shared = {field.name: getattr(teacher.config, field.name) for field in fields(Shape)}
    shape = OneStepConfig(
        **{**shared, "dropout": 0.0},
        kind=config.method,
        sigma_min=lowest,
        sigma_max=highest,
        sigma_data=teacher.config.sigma_data if beso else 1.0,
    )
    student = OneStepModel(shape)
    student.limit_actions(teacher.action_low, teacher.action_high)
    student.to(teacher.action_low.device)
    if config.start_from_teacher:
        student.start_from(teacher.network, readout=beso)  # type: ignore[arg-type]
    return student


def consistency_loss(both: Distillation, teacher: Teacher, windows: Windows, config: ConsistencyConfig) -> LossFunction:
    """Return the loss of one step of either method."""
    levels = trajectory_levels(teacher, config.discretisation)
    method = {"cd": cd_loss, "ctm": ctm_loss}[config.method]

    def loss(generator: torch.Generator, _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        device = generator.device
        index = torch.randint(len(windows), (config.batch,), generator=generator, device=device)
        observation = with_noise(windows.observation[index], config.observation_noise, generator)
        goal = windows.draw_goals(index, generator)
        clean = windows.action[index, None]
        start = torch.randint(1, len(levels), (config.batch, config.draws), generator=generator, device=device)
        part, choice = torch.rand((2, *start.shape), generator=generator, device=device)
        noise = torch.randn((*start.shape, clean.shape[-1]), generator=generator, device=device)
        with torch.no_grad():
            target, guide = both.target.encode(observation, goal), teacher.encode(observation, goal)
        noised = Noised(
            student=both.student.encode(observation, goal),
            target=target,
            teacher=guide,
            clean=clean,
            noisy=clean + levels[start][..., None] * noise,
            start=start,
            end=torch.where(choice < config.to_clean, 0, (part * start).long()),
        )
        return method(both, teacher, levels, noised, config)

    return loss


def cd_loss(
    both: Distillation,
    teacher: Teacher,
    levels: Tensor,
    noised: Noised,
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
    reached = follow(teacher, noised.teacher, noised.noisy, path, config.solver)
    nothing = torch.zeros_like(sigma)
    with torch.no_grad():
        target = both.target.jump(noised.target, reached, below, nothing)
    value = distance(both.student.jump(noised.student, noised.noisy, sigma, nothing), target, config)
    return value, {"loss": value.detach()}


def ctm_loss(
    both: Distillation,
    teacher: Teacher,
    levels: Tensor,
    noised: Noised,
    config: ConsistencyConfig,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compare a jump with the teacher's way followed by a jump, both taken on to 0, and match denoising scores.

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
    reached = follow(teacher, noised.teacher, noised.noisy, path, config.solver)
    with torch.no_grad():
        target = both.target.jump(noised.target, both.target.jump(noised.target, reached, u, s), s, nothing)
    # Denoising score matching takes one draw of each state: an aim from t at t itself.
    noisy = torch.cat([noised.noisy, noised.noisy[:, :1]], dim=1)
    aims = both.student.aim(noised.student, noisy, torch.cat([t, t[:, :1]], dim=1), torch.cat([s, t[:, :1]], dim=1))
    landed = land(noised.noisy, aims[:, :-1], t, s)
    consistency = distance(both.target.jump(noised.target, landed, s, nothing), target, config)
    dsm = (aims[:, -1:] - noised.clean).square().mean()
    return consistency + config.dsm_weight * dsm, {"loss": consistency.detach(), "dsm": dsm.detach()}


def distance(action: Tensor, target: Tensor, config: ConsistencyConfig) -> Tensor:
    """Return the mean distance of actions (B, S, D) from their targets."""
    square = (action - target).square().mean(-1)
    if config.metric == "l2":
        return square.mean()
    return ((square + config.huber_width**2).sqrt() - config.huber_width).mean()


def load_one_step(folder: Path) -> tuple[OneStepModel, Card]:
    """Read a trained one-step policy, frozen.

    Raises:
        CheckpointError: There is none, it is damaged, or it is of another kind.
    """
    model = read_model(folder)
    require_structure(model.card, ONE_STEP, folder)
    policy = build(OneStepModel, read_shape(OneStepConfig, model.card, folder), model, folder)
    return policy.requires_grad_(False).eval(), model.card
