"""Variational Diffusion Distillation of a teacher into a mixture of experts."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import CheckpointError
from vdd_ros.learning.configs import (
    MixtureConfig,
)
from vdd_ros.learning.diffusion.noise_levels import draw_sigmas
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.card import Card, check_sizes, origin_warning, read_shape, require_structure
from vdd_ros.learning.fit.checkpoint import read_model
from vdd_ros.learning.fit.fit import Recipe, fit
from vdd_ros.learning.fit.run_folder import build, run_folder
from vdd_ros.learning.fit.training_loop import LossFunction
from vdd_ros.learning.fit.windows import Statistics, Windows
from vdd_ros.learning.methods.configs import DistilConfig
from vdd_ros.learning.methods.state_pool import Pool, draw_pool
from vdd_ros.learning.methods.teacher import read_teacher
from vdd_ros.learning.methods.vdd_objective import (
    ExpertUpdate,
    draw_experts,
    expert_weights,
    gating_loss,
    multi_noise_update,
    paper_update,
)
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig, expert_places, plan_revival
from vdd_ros.policy.structure import MIXTURE
from vdd_ros.text import printable

UPDATES: dict[str, Callable[..., ExpertUpdate]] = {"multi-noise": multi_noise_update, "paper": paper_update}


def distil(
    teacher_folder: Path,
    demonstrations: DemonstrationSet,
    folder: Path,
    config: DistilConfig,
    resume: bool = False,
    force: bool = False,
) -> Card:
    """Distil the teacher in `teacher_folder` into a student kept in `folder`.

    Args:
        teacher_folder: Checkpoint of the teacher.
        demonstrations: What the teacher was trained on: it gives the states. The card warns where that is not known,
            or is not so.
        folder: Checkpoint folder of the student.
        config: Settings.
        resume: Continue the run in `folder`.
        force: Replace what `folder` holds, once the new run has ended well.

    Returns:
        The card of the finished student.

    Raises:
        CheckpointError: The teacher is missing or does not fit the demonstrations, or `folder` is the teacher's or
            holds another run.
        HeldError: Another process trains in `folder`.
        ConfigurationError: The teacher does not know the noise levels, or has fewer than `teacher_steps`.
        KeyboardInterrupt: The run was interrupted; a checkpoint is written.
    """
    source = TeacherSource.load(teacher_folder, demonstrations, config.pick_device())
    source.teacher.rounded = config.rounds_teacher(config.pick_device())
    source.teacher.check_range(config.min_noise, config.max_noise)
    source.teacher.visited(config.teacher_steps)
    settings = {**asdict(config), "teacher_sha256": source.sha256, "data_sha256": source.data_sha256}
    with run_folder(
        folder, settings, demonstrations, resume=resume, force=force, teacher_folder=teacher_folder
    ) as begin:
        shape = StudentConfig(**source.dimensions(), **config.shape_settings())
        check_sizes(shape)
        pool = draw_pool(
            source.teacher,
            source.windows,
            copies=config.pool_copies,
            samples=config.pool_samples,
            steps=config.teacher_steps,
            observation_noise=config.observation_noise,
            seed=config.seed,
            only_data=config.gating_on == "data",
        )
        torch.manual_seed(config.seed)
        student = start_student(shape, config, pool, config.seed)
        revive = Revival(student, pool, config)
        loss = vdd_loss(student, source.teacher, pool, config)
        recipe = Recipe(student, loss, shape, (student.trunk, source.teacher.network), revive)  # type: ignore[arg-type]
        begin()
        return fit(folder, recipe, config, lambda made: source.card(MIXTURE, "vdd", made), "distil", resume)


@dataclass(frozen=True)
class TeacherSource:
    """A teacher with demonstrations whose states it is asked at.

    Attributes:
        teacher: Frozen.
        teacher_card: Of the teacher.
        sha256: Of the bytes that it was read from, weights and card.
        windows: Training pairs of the demonstrations, standardised as the teacher's were.
        data_sha256: Of the demonstrations.
        warnings: Why it may not have learned from them.
    """

    teacher: Teacher
    teacher_card: Card
    sha256: str
    windows: Windows
    data_sha256: str
    warnings: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path, demonstrations: DemonstrationSet, device: torch.device) -> "TeacherSource":
        """Read a teacher.

        Raises:
            CheckpointError: There is none, or it observes or commands something else than was demonstrated.
        """
        teacher, model = read_teacher(folder)
        card = model.card
        demonstrations.header.signature.check(
            card.signature,
            "the demonstrations",
            f"the teacher in '{printable(folder)}'",
            "give those that it was trained on (--demos), or others of the same robot and rate",
            CheckpointError,
        )
        shape, statistics = teacher.config, Statistics.from_lists(card.statistics)
        windows = Windows.of(demonstrations, statistics, shape.history, shape.horizon, shape.goal_length, device)
        given = demonstrations.sha256
        warnings = origin_warning(card, given, "the teacher", "it was distilled at the states of")
        return cls(teacher.to(device), card, model.sha256, windows, given, warnings)

    def dimensions(self) -> dict[str, Any]:
        """Return what a student of this teacher takes and gives."""
        shape = self.teacher.config
        return {name: getattr(shape, name) for name in ("history", "obs_dim", "horizon", "act_dim", "goal_length")}

    def card(self, structure: str, method: str, made: dict[str, Any]) -> Card:
        """Return the card of a student of this teacher."""
        return replace(
            self.teacher_card,
            structure=structure,
            method=method,
            teacher_sha256=self.sha256,
            data_sha256=self.data_sha256,
            warnings=(*self.teacher_card.warnings, *self.warnings),
            **made,
        )


def start_student(shape: StudentConfig, config: MixtureConfig, pool: Pool, seed: int) -> MixtureStudent:
    """Build a student where the pool is, its experts at their places."""
    student = MixtureStudent(shape).to(pool.action.device)
    generator = torch.Generator(pool.action.device).manual_seed(seed)
    actions = pool.action.flatten(0, 1)
    student.spread_experts(expert_places(config.expert_start, config.experts, actions, config.start_bound, generator))
    return student


class Revival:
    """Looks after abandoned experts, every so many steps; see `MixtureStudent.split_expert`."""

    def __init__(self, student: MixtureStudent, pool: Pool, config: MixtureConfig, states: int = 2048) -> None:
        """Judge the gating on `states` states of the pool."""
        self._student = student
        self._pool = pool
        self._config = config
        self._states = states

    def __call__(self, step: int, generator: torch.Generator, averaged: nn.Module) -> None:
        """Revive where it is time, in the averaged weights too."""
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


def vdd_loss(student: MixtureStudent, teacher: Teacher, pool: Pool, config: DistilConfig) -> LossFunction:
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
        if config.draws and config.update == "multi-noise":
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


@torch.no_grad()
def gating_scalars(mixture: GaussianMixture) -> dict[str, Tensor]:
    """Return the mean gating entropy in nats, and the number of experts that hold over 1 % of the batch."""
    gating = mixture.log_gating.exp()
    return {
        "gating_entropy": -(gating * mixture.log_gating).sum(-1).mean(),
        "experts_used": (gating.mean(0) > 0.01).sum(),
    }


def load_student(folder: Path) -> tuple[MixtureStudent, Card]:
    """Read a trained mixture, frozen.

    Raises:
        CheckpointError: There is none, it is damaged, or it is of another kind.
    """
    model = read_model(folder)
    require_structure(model.card, MIXTURE, folder)
    student = build(MixtureStudent, read_shape(StudentConfig, model.card, folder), model, folder)
    return student.requires_grad_(False).eval(), model.card
