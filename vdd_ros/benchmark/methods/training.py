"""How the models of a benchmark are trained: one table from trainers to the functions that do it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdd_ros.benchmark.methods.matrix import Model
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.learning.configs import FitConfig
from vdd_ros.learning.fit.checkpoint import Card
from vdd_ros.learning.fit.training_loop import has_state
from vdd_ros.learning.methods.configs import ConsistencyConfig, DistilConfig, MixtureFitConfig, TrainConfig
from vdd_ros.learning.methods.consistency import distil_consistency
from vdd_ros.learning.methods.maximum_likelihood import fit_mixture
from vdd_ros.learning.methods.presets import preset
from vdd_ros.learning.methods.teacher import train_teacher
from vdd_ros.learning.methods.vdd import distil

# On these the result does not depend, so that a model keeps its key on another device.
INDIFFERENT = ("device", "compile")


@dataclass(frozen=True)
class Trainer:
    """A configuration, and the function that trains by it: ([teacher's folder,] demonstrations, folder, config)."""

    config: Callable[..., FitConfig]
    function: Callable[..., Card]


TRAINERS = {
    "train": Trainer(TrainConfig, train_teacher),
    "distil": Trainer(DistilConfig, distil),
    "consistency": Trainer(ConsistencyConfig, distil_consistency),
    "mixture": Trainer(MixtureFitConfig, fit_mixture),
}


def make_config(model: Model, device: str, steps: int | None) -> FitConfig:
    """Build the configuration of a model's training: that of its backbone, and what makes it what it is.

    Args:
        model: The model.
        device: `auto`, `cpu` or `cuda`.
        steps: Training steps, or None for as many as usual.

    Raises:
        ConfigurationError: The configuration refuses a value.
    """
    trainer = model.source.trainer
    given: dict[str, Any] = {}
    if trainer != "consistency":  # which has the teacher's backbone
        given = {"backbone": "gpt"} if model.backbone == "gpt" else preset(trainer, model.backbone)
    given |= {**model.settings, "device": device}
    if steps is not None:
        given["steps"] = steps
    return TRAINERS[trainer].config(**given)


def lasting_settings(config: FitConfig) -> dict[str, Any]:
    """Return the settings that the result depends on."""
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in INDIFFERENT}


def train(
    model: Model, config: FitConfig, demonstrations: DemonstrationSet, folder: Path, teacher_folder: Path | None
) -> Card:
    """Train a model to the end; go on where a stopped process left it."""
    sources = (demonstrations,) if teacher_folder is None else (teacher_folder, demonstrations)
    return TRAINERS[model.source.trainer].function(*sources, folder, config, resume=has_state(folder))
