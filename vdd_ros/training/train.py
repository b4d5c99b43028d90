"""Training of diffusion teachers from demonstrations."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.training.checkpoint import Card, load_model, save_model
from vdd_ros.training.dataset import Statistics, Windows
from vdd_ros.training.loop import LoopConfig, TrainingLoop
from vdd_ros.training.runs import load_weights, prepare_folder, read_shape, require_least, require_positive, versions
from vdd_ros.training.teacher import DDPMTeacher, TeacherConfig

TEACHERS = ("ddpm",)


@dataclass(frozen=True)
class TrainConfig:
    """How to train a teacher.

    Attributes:
        steps: Optimiser steps.
        batch: Pairs a step.
        learning_rate: Of AdamW, at the start.
        observation_noise: Deviation of the noise added to observations, in standardised units: it widens the tube
            around the demonstrations in which the teacher knows what to do.
        history, horizon: Observations in, actions out.
        levels: Noise levels that the teacher learns.
        width, blocks, octaves: Size of the denoiser.
        seed: Of weights, batches and noise.
    """

    steps: int = 10_000
    batch: int = 512
    learning_rate: float = 2e-3
    observation_noise: float = 0.03
    history: int = 2
    horizon: int = 1
    levels: int = 64
    width: int = 224
    blocks: int = 4
    octaves: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant.

        Raises:
            ConfigurationError: With the field, its value and what is allowed.
        """
        require_least(1, self, "steps", "batch", "history", "horizon", "blocks", "octaves")
        require_least(2, self, "width", "levels")
        require_least(0, self, "observation_noise")
        require_positive(self, "learning_rate")


def train_teacher(demonstrations: DemonstrationSet, folder: Path, config: TrainConfig, resume: bool = False) -> Card:
    """Train a DDPM teacher and keep it in `folder`, together with its demonstrations, which distillation needs.

    Args:
        demonstrations: What to learn from.
        folder: Checkpoint folder.
        config: Settings.
        resume: Continue the run in `folder`.

    Returns:
        The card of the finished teacher.

    Raises:
        CheckpointError: `folder` holds another run, or none to resume, or one with other settings or demonstrations.
        KeyboardInterrupt: The run was interrupted; a checkpoint is written.
    """
    settings = dataclasses.asdict(config)
    prepare_folder(folder, {**settings, "data_sha256": demonstrations.sha256}, resume)
    demonstrations.save(folder)
    torch.manual_seed(config.seed)
    statistics = Statistics.of(demonstrations)
    windows = Windows.of(demonstrations, statistics, config.history, config.horizon)
    shape = TeacherConfig(
        history=config.history,
        obs_dim=windows.observation.shape[-1],
        horizon=config.horizon,
        act_dim=len(demonstrations.header.action),
        levels=config.levels,
        width=config.width,
        blocks=config.blocks,
        octaves=config.octaves,
    )
    teacher = DDPMTeacher(shape)
    teacher.limit_actions(*statistics.standard_limits())
    loop = TrainingLoop(folder, teacher, LoopConfig(config.steps, config.learning_rate), config.seed)
    if resume:
        loop.resume()

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        index = torch.randint(len(windows), (config.batch,), generator=generator)
        observation = windows.observation[index]
        noise = config.observation_noise * torch.randn(observation.shape, generator=generator)
        value = teacher.loss(observation + noise, windows.action[index], generator)
        return value, {"loss": value.detach()}

    def card() -> Card:
        header = demonstrations.header
        return Card(
            kind="ddpm",
            task=header.task,
            observation=header.observation,
            action=header.action,
            rate_hz=header.rate_hz,
            statistics=statistics.to_lists(),
            model=dataclasses.asdict(shape),
            settings=settings,
            steps=loop.step,
            data_sha256=demonstrations.sha256,
            teacher_sha256=None,
            versions=versions(),
        )

    loop.run(loss, lambda: save_model(folder, loop.averaged.state_dict(), card()), "train")
    return card()


def load_teacher(folder: Path) -> tuple[DDPMTeacher, Card]:
    """Read a trained teacher, frozen.

    Raises:
        CheckpointError: There is none, or it is of another kind.
    """
    card, tensors = load_model(folder, "ddpm")
    teacher = DDPMTeacher(read_shape(TeacherConfig, card, folder))
    load_weights(teacher, tensors, folder)
    return teacher.requires_grad_(False).eval(), card
