"""A training of a tiny teacher that keeps the loss of each step, alone or shared by several ranks."""

import json
import os
from pathlib import Path
from typing import Any

from torch import Tensor

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.learning.fit.distributed import average, is_first, training_group
from vdd_ros.learning.fit.training_loop import LossFunction, TrainingLoop
from vdd_ros.learning.methods.configs import TrainConfig
from vdd_ros.learning.methods.registry import teacher_method
from vdd_ros.learning.methods.trainer import Trainer

SETTINGS: dict[str, Any] = {"width": 8, "layers": 1, "heads": 2, "history": 2, "batch": 16, "steps": 30, "seed": 3}


def main(backbone: str, optimizer: str, demonstrations: Path, folder: Path, file: Path) -> None:
    losses: list[float] = []
    advance = TrainingLoop._advance

    def noting(loop: TrainingLoop, loss_function: LossFunction) -> dict[str, Tensor]:
        scalars = advance(loop, loss_function)
        losses.append(float(average(scalars)["loss"]))
        return scalars

    setattr(TrainingLoop, "_advance", noting)  # noqa: B010
    config = TrainConfig(backbone=backbone, optimizer=optimizer, device="cpu", **SETTINGS)  # type: ignore[arg-type]
    with training_group(config.batch, cuda=False):
        Trainer(teacher_method(config.teacher), config).run(DemonstrationSet.load(demonstrations), folder)
        if is_first():
            file.write_text(json.dumps({"losses": losses, "world": os.environ.get("WORLD_SIZE", "1")}))
