"""The training of a benchmark's models: each by its method, with settings that fit its backbone."""

import dataclasses
from pathlib import Path
from typing import Any

from vdd_ros.benchmark.methods.matrix import Model, method_of
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.learning.configs import BackboneConfig, FitConfig
from vdd_ros.learning.fit.checkpoint import CheckpointMetadata
from vdd_ros.learning.fit.training_loop import has_state
from vdd_ros.learning.methods.preset_choice import preset_settings
from vdd_ros.learning.methods.trainer import Trainer
from vdd_ros.tasks import get_task

# Settings that do not change the result, so that a model keeps its key on another device.
INDIFFERENT = ("device", "compile")


def make_config(model: Model, device: str, steps: int | None) -> FitConfig:
    """Build the configuration of a model's training: its task's preset for its backbone, and the model's own settings.

    That is the preset named after the backbone: the method's, and in its place the task's.

    Args:
        model: The model.
        device: `auto`, `cpu` or `cuda`.
        steps: Training steps; None for the default.

    Raises:
        ConfigurationError: The configuration refuses a value.
    """
    method = method_of(model.source)
    given: dict[str, Any] = {}
    if issubclass(method.config, BackboneConfig):  # else it has the teacher's
        given = {"backbone": model.backbone}
    given |= preset_settings(method, model.backbone, get_task(model.task))
    given |= {**model.settings, "device": device}
    if steps is not None:
        given["steps"] = steps
    return method.config(**given)


def lasting_settings(config: FitConfig) -> dict[str, object]:
    """Return the settings that the result depends on, by name."""
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in INDIFFERENT}


def train(
    model: Model, config: FitConfig, demonstrations: DemonstrationSet, folder: Path, teacher_folder: Path | None
) -> CheckpointMetadata:
    """Train a model to the end; continue where a stopped process left it.

    Args:
        model: The model.
        config: Its settings; see `make_config`.
        demonstrations: Data of its task.
        folder: Folder of its checkpoint.
        teacher_folder: Checkpoint of its teacher; None without one.

    Raises:
        VddError: The training fails.
    """
    trainer = Trainer(method_of(model.source), config)
    return trainer.run(demonstrations, folder, teacher=teacher_folder, resume=has_state(folder))
