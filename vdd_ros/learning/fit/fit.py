"""Training common to all models: optimisation, device, checkpoints."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vdd_ros.learning.configs import FitConfig
from vdd_ros.learning.fit.checkpoint import save_model
from vdd_ros.learning.fit.distributed import share_gradients
from vdd_ros.learning.fit.memory import keep_freed_memory
from vdd_ros.learning.fit.metadata import CheckpointMetadata, TrainedModel
from vdd_ros.learning.fit.run_folder import versions
from vdd_ros.learning.fit.thread_trial import ThreadTrial
from vdd_ros.learning.fit.training_loop import LoopConfig, LossFunction, TrainingLoop
from vdd_ros.learning.networks.backbones import NetworkConfig


@dataclass(frozen=True)
class TrainingJob:
    """A model and its loss.

    Attributes:
        module: The module to train; its averaged weights are saved.
        loss: Loss of one batch.
        shape: Shape of the module, for the metadata.
        compiled: Networks that --compile compiles.
        after_step: Called after each optimiser step.
        kept: Name of the submodule whose averaged weights are saved; empty for the whole module.
    """

    module: nn.Module
    loss: LossFunction
    shape: NetworkConfig
    compiled: tuple[nn.Module, ...] = ()
    after_step: Callable[[int, torch.Generator, nn.Module], None] = lambda step, generator, averaged: None
    kept: str = ""


def fit(
    folder: Path,
    job: TrainingJob,
    config: FitConfig,
    describe: Callable[[TrainedModel], CheckpointMetadata],
    label: str,
    resume: bool,
    trial: ThreadTrial | None = None,
) -> CheckpointMetadata:
    """Train a model to the end, or resume a run, and save it in `folder`.

    Args:
        folder: Checkpoint folder, prepared.
        job: The model and its loss.
        config: Settings of the optimisation.
        describe: Makes the metadata of a trained model.
        label: Of the progress bar.
        resume: Continue the run in `folder`.
        trial: Chooses the number of threads, on a CPU; None leaves it unchanged.

    Returns:
        The metadata of the finished model.

    Raises:
        CheckpointError: There is nothing to resume.
        KeyboardInterrupt: The run was interrupted; a checkpoint is written.
    """
    optimisation = LoopConfig(
        config.steps,
        config.learning_rate,
        decay=config.decay,
        weight_decay=config.weight_decay,
        ema_decay=config.ema_decay,
        optimizer=config.optimizer,
    )
    keep_freed_memory()
    loop = TrainingLoop(folder, job.module, optimisation, config.seed)
    if resume:
        loop.resume()
    if config.compile:
        for network in job.compiled:
            network.compile()
    device = next(job.module.parameters()).device

    has_trial = trial is not None and device.type == "cpu" and not config.compile  # compiled code is for a thread count

    def loss(generator: torch.Generator, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        if trial is not None and has_trial:
            trial.next_step()
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            return job.loss(generator, step)

    def finished() -> CheckpointMetadata:
        return describe(
            {
                "model": asdict(job.shape),
                "settings": asdict(config),
                "steps": loop.step,
                "versions": versions(),
            }
        )

    def save() -> None:
        save_model(folder, loop.averaged.get_submodule(job.kept).state_dict(), finished())

    loop.run(share_gradients(job.module, loss), save, label, job.after_step)
    return finished()
