"""What every model's training shares: how to optimise, on which device, what to keep."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vdd_ros.errors import ConfigurationError
from vdd_ros.training.backbones import Shape
from vdd_ros.training.checkpoint import Card, save_model
from vdd_ros.training.checks import require_choice, require_least, require_positive
from vdd_ros.training.loop import Decay, LoopConfig, LossFunction, TrainingLoop
from vdd_ros.training.memory import keep_freed_memory
from vdd_ros.training.runs import versions

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How to optimise a model.

    Attributes:
        steps: Optimiser steps.
        batch: States a step.
        learning_rate: Of AdamW, at the start.
        decay: Of the learning rate to 0: `cosine` or `linear`.
        weight_decay: Of AdamW.
        ema_decay: Of the averaged weights that are kept, reached by (1 + n) / (10 + n).
        observation_noise: Deviation of the noise added to observations, in standardised units: it widens the tube
            around the demonstrations in which the policy knows what to do.
        seed: Of weights, batches and noise.
        device: Where to compute; `auto` takes CUDA where there is one.
        precision: Of the networks' matrix products: `bfloat16` is mixed precision, for CUDA.
        compile: Whether to compile the networks with torch.compile first: a minute, repaid by long runs on CUDA.
    """

    steps: int
    batch: int
    learning_rate: float
    decay: Decay = "cosine"
    weight_decay: float = 1e-4
    ema_decay: float = 0.999
    observation_noise: float = 0.03
    seed: int = 0
    device: Device = "auto"
    precision: Precision = "float32"
    compile: bool = False

    def check_fit(self) -> None:
        """Refuse values that cannot be meant.

        Raises:
            ConfigurationError: With the field, its value and what is allowed.
        """
        for name, choices in (("decay", Decay), ("device", Device), ("precision", Precision)):
            require_choice(self, name, choices)
        require_least(1, self, "steps", "batch")
        require_least(0, self, "observation_noise", "weight_decay")
        require_positive(self, "learning_rate")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ConfigurationError(f"ema_decay is {self.ema_decay}; it must be at least 0 and below 1")

    def pick_device(self) -> torch.device:
        """Return the device.

        Raises:
            ConfigurationError: There is no CUDA although it was asked for.
        """
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ConfigurationError("device is 'cuda', but torch finds none here; use --device cpu, or install CUDA")
        return torch.device("cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Recipe:
    """A model and its loss.

    Attributes:
        module: Trained; its averaged weights are kept.
        loss: Of one batch.
        shape: Of the module, for the card.
        compiled: Networks that --compile compiles.
        after_step: Called after each optimiser step.
        kept: Name of the submodule whose averaged weights are kept; empty for the whole module.
    """

    module: nn.Module
    loss: LossFunction
    shape: Shape
    compiled: tuple[nn.Module, ...] = ()
    after_step: Callable[[int, torch.Generator, nn.Module], None] = lambda step, generator, averaged: None
    kept: str = ""


def fit(
    folder: Path, recipe: Recipe, config: FitConfig, card: Callable[[dict[str, Any]], Card], label: str, resume: bool
) -> Card:
    """Train a model to the end, or go on where a run stopped, and keep it in `folder`.

    Args:
        folder: Checkpoint folder, prepared.
        recipe: What to train.
        config: How.
        card: Makes the card from the fields `model`, `settings`, `steps` and `versions`.
        label: Of the progress bar.
        resume: Continue the run in `folder`.

    Returns:
        The card of the finished model.

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
    )
    keep_freed_memory()
    loop = TrainingLoop(folder, recipe.module, optimisation, config.seed)
    if resume:
        loop.resume()
    if config.compile:
        for network in recipe.compiled:
            network.compile()
    device = next(recipe.module.parameters()).device

    def loss(generator: torch.Generator, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            return recipe.loss(generator, step)

    def finished() -> Card:
        return card(
            {
                "model": asdict(recipe.shape),
                "settings": asdict(config),
                "steps": loop.step,
                "versions": versions(),
            }
        )

    def save() -> None:
        save_model(folder, loop.averaged.get_submodule(recipe.kept).state_dict(), finished())

    loop.run(loss, save, label, recipe.after_step)
    return finished()
