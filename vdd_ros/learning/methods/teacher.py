"""Training of diffusion teachers from demonstrations."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.learning.diffusion.teacher import Teacher, TeacherConfig
from vdd_ros.learning.fit.card import Card, check_sizes, read_shape, require_structure
from vdd_ros.learning.fit.checkpoint import Model, read_model
from vdd_ros.learning.fit.fit import Recipe, fit
from vdd_ros.learning.fit.run_folder import build, run_folder
from vdd_ros.learning.fit.windows import Statistics, Windows
from vdd_ros.learning.methods.configs import TrainConfig
from vdd_ros.policy.structure import DIFFUSION


def train_teacher(
    demonstrations: DemonstrationSet, folder: Path, config: TrainConfig, resume: bool = False, force: bool = False
) -> Card:
    """Train a teacher and keep it in `folder`, together with its demonstrations, which distillation needs.

    Args:
        demonstrations: What to learn from.
        folder: Checkpoint folder.
        config: Settings.
        resume: Continue the run in `folder`.
        force: Replace what `folder` holds, once the new run has ended well.

    Returns:
        The card of the finished teacher.

    Raises:
        CheckpointError: `folder` holds another run, or none to resume, or one with other settings or demonstrations.
        HeldError: Another process trains in `folder`.
        KeyboardInterrupt: The run was interrupted; a checkpoint is written.
    """
    settings = {**asdict(config), "data_sha256": demonstrations.sha256}
    with run_folder(folder, settings, demonstrations, resume=resume, force=force) as begin:
        statistics = Statistics.of(demonstrations, config.least_deviation)
        recipe = _recipe(demonstrations, statistics, config)

        def card(fields: dict[str, Any]) -> Card:
            return card_of(demonstrations, statistics, DIFFUSION, config.teacher, fields)

        begin()
        return fit(folder, recipe, config, card, "train", resume)


def _recipe(demonstrations: DemonstrationSet, statistics: Statistics, config: TrainConfig) -> Recipe:
    """Return an untrained teacher and its loss."""
    device = config.pick_device()
    torch.manual_seed(config.seed)
    windows = Windows.of(demonstrations, statistics, config.history, config.horizon, config.goal_length, device)
    shape = TeacherConfig(
        kind=config.teacher,
        levels=config.levels,
        sigma_min=config.sigma_min,
        sigma_max=config.sigma_max,
        sigma_data=config.sigma_data,
        **config.dimensions(demonstrations.header),
        **config.backbone_settings(),
    )
    check_sizes(shape)
    teacher = Teacher(shape)
    teacher.limit_actions(*statistics.standard_limits())
    teacher.to(device)

    def loss(generator: torch.Generator, _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        index = torch.randint(len(windows), (config.batch,), generator=generator, device=device)
        observation = with_noise(windows.observation[index], config.observation_noise, generator)
        goal = windows.draw_goals(index, generator)
        value = teacher.loss(observation, goal, windows.action[index], config.draws, generator)
        return value, {"loss": value.detach()}

    return Recipe(teacher, loss, shape, (teacher.network,))  # type: ignore[arg-type]


def with_noise(observation: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Add noise to observations."""
    noise = torch.randn(observation.shape, generator=generator, device=generator.device)
    return observation + deviation * noise


def card_of(
    demonstrations: DemonstrationSet, statistics: Statistics, structure: str, method: str, fields: dict[str, Any]
) -> Card:
    """Return the card of a model that was trained on demonstrations."""
    header = demonstrations.header
    return Card(
        structure=structure,
        method=method,
        task=header.task,
        observation=header.observation,
        action=header.action,
        rate_hz=header.rate_hz,
        statistics=statistics.to_lists(),
        data_sha256=demonstrations.sha256,
        teacher_sha256=None,
        **fields,
    )


def load_teacher(folder: Path) -> tuple[Teacher, Card]:
    """Read a trained teacher, frozen.

    Raises:
        CheckpointError: There is none, it is damaged, or it is of another kind.
    """
    teacher, model = read_teacher(folder)
    return teacher, model.card


def read_teacher(folder: Path) -> tuple[Teacher, Model]:
    """Read a trained teacher, frozen, with the checkpoint that it was read from; raises as `load_teacher` does."""
    model = read_model(folder)
    require_structure(model.card, DIFFUSION, folder)
    teacher = build(Teacher, read_shape(TeacherConfig, model.card, folder), model, folder)
    return teacher.requires_grad_(False).eval(), model
