"""Trainings by each method, in one call."""

from pathlib import Path
from typing import Any

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.learning.fit.metadata import CheckpointMetadata
from vdd_ros.learning.methods.configs import (
    ConsistencyConfig,
    DistilConfig,
    EMConfig,
    IMCConfig,
    TrainConfig,
)
from vdd_ros.learning.methods.distiller_configs import GeneratorConfig
from vdd_ros.learning.methods.registry import METHODS, all_methods, teacher_method
from vdd_ros.learning.methods.trainer import Trainer


def train_teacher(
    demonstrations: DemonstrationSet, folder: Path, config: TrainConfig, **where: Any
) -> CheckpointMetadata:
    """Train a teacher in `folder`; `where` are further arguments of `Trainer.run`."""
    return Trainer(teacher_method(config.teacher), config).run(demonstrations, folder, **where)


def distil(
    teacher: Path, demonstrations: DemonstrationSet, folder: Path, config: DistilConfig, **where: Any
) -> CheckpointMetadata:
    """Distil a mixture by VDD; as `train_teacher`."""
    return Trainer(METHODS.get("vdd"), config).run(demonstrations, folder, teacher=teacher, **where)


def distil_consistency(
    teacher: Path,
    demonstrations: DemonstrationSet,
    folder: Path,
    config: ConsistencyConfig | GeneratorConfig,
    **where: Any,
) -> CheckpointMetadata:
    """Distil a one-step policy by the method whose settings these are; as `train_teacher`."""
    method = next(one for one in all_methods() if one.config is type(config))
    return Trainer(method, config).run(demonstrations, folder, teacher=teacher, **where)


def fit_mixture(demonstrations: DemonstrationSet, folder: Path, config: EMConfig, **where: Any) -> CheckpointMetadata:
    """Fit a mixture by EM or IMC, as the settings are; as `train_teacher`."""
    method = METHODS.get("imc" if isinstance(config, IMCConfig) else "em")
    return Trainer(method, config).run(demonstrations, folder, **where)
