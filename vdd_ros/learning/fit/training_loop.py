"""One resumable training loop for every model: optimiser, decay, averaged weights, TensorBoard, checkpoints."""

import copy
import hashlib
import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from vdd_ros.documents import parse_json
from vdd_ros.errors import CheckpointError, ConfigurationError, Terminated
from vdd_ros.learning.configs import Decay, Optimizer
from vdd_ros.learning.fit.checkpoint import (
    SETTINGS_FILE,
    STATE_FILE,
    check_like,
    check_tensors,
    load_tensors,
    save_tensors,
)
from vdd_ros.learning.fit.distributed import agree, average, is_first
from vdd_ros.learning.fit.optimizer import ModuleOptimizer
from vdd_ros.progress import progress
from vdd_ros.text import printable

LossFunction = Callable[[torch.Generator, int], tuple[Tensor, dict[str, Tensor]]]
"""Draws a batch with the generator, given the number of steps done; returns the loss and scalars to log."""


@dataclass(frozen=True)
class LoopConfig:
    """How to optimise.

    Attributes:
        steps: Optimiser steps in all.
        learning_rate: Initial learning rate; decays to 0.
        decay: By a `cosine` or a `linear` ramp.
        warmup_steps: Steps of linear increase before that.
        weight_decay: Decoupled weight decay.
        ema_decay: Decay of the averaged weights, reached by (1 + n) / (10 + n).
        clip_norm: Largest norm of the gradient.
        checkpoint_every_s: Seconds between checkpoints.
        optimizer: Of hidden weight matrices; everything else follows AdamW.
    """

    steps: int
    learning_rate: float
    decay: Decay = "cosine"
    warmup_steps: int = 100
    weight_decay: float = 1e-4
    ema_decay: float = 0.999
    clip_norm: float = 10.0
    checkpoint_every_s: float = 30.0
    optimizer: Optimizer = "muon"

    def rate(self, step: int) -> float:
        """Return the learning rate of step `step`, counted from 0."""
        warm = min(1.0, (step + 1) / max(self.warmup_steps, 1))
        left = 1 - step / self.steps
        return self.learning_rate * warm * (left if self.decay == "linear" else 0.5 * (1 - math.cos(math.pi * left)))


class TrainingLoop:
    """Trains a module; `averaged` holds its averaged weights."""

    def __init__(self, folder: Path, module: nn.Module, config: LoopConfig, seed: int) -> None:
        """Prepare a run that keeps its state in `folder`.

        Raises:
            ConfigurationError: `steps` is below 1.
        """
        if config.steps < 1:
            raise ConfigurationError(f"{config.steps} training steps are requested; the number must be at least 1")
        self.module = module
        self.averaged = copy.deepcopy(module).requires_grad_(False)
        self.step = 0
        self._folder = folder
        self._config = config
        self._generator = torch.Generator(next(module.parameters()).device).manual_seed(seed)
        self._optimizer = ModuleOptimizer(module, config.optimizer, config.weight_decay)

    def run(
        self,
        loss_function: LossFunction,
        save: Callable[[], None],
        label: str,
        after_step: Callable[[int, torch.Generator, nn.Module], None] = lambda step, generator, averaged: None,
    ) -> None:
        """Train to the end.

        Args:
            loss_function: Draws a batch and returns its loss.
            save: Writes the model; called with every checkpoint and at the end.
            label: Of the progress bar.
            after_step: Called with the number of steps done, the generator and the averaged module, after each step.

        Raises:
            ConfigurationError: Training diverged; the last checkpoint is from before.
            KeyboardInterrupt: On SIGINT or SIGTERM, after the current step, with a checkpoint written.
        """
        saved_at = time.monotonic()
        first = is_first()
        writer = SummaryWriter(self._folder / "tensorboard", purge_step=self.step + 1) if first else None
        bar = progress(self._config.steps, label, "step", initial=self.step, disable=not first)
        with _stop_requests() as stop, writer or nullcontext(), bar:
            while self.step < self._config.steps:
                scalars = self._advance(loss_function)
                after_step(self.step, self._generator, self.averaged)
                bar.update()
                if self.step % 50 == 0 or self.step == self._config.steps:
                    self._refuse_divergence()
                    for name, value in average(scalars).items():
                        if writer is not None:
                            writer.add_scalar(name, value, self.step)
                    bar.set_postfix_str(" ".join(f"{name} {value:.3g}" for name, value in scalars.items()))
                late = time.monotonic() - saved_at > self._config.checkpoint_every_s
                # Once: a later request waits for the next step, and is saved then.
                reason = agree(stop(), self._generator.device)
                if reason or late:
                    self._keep(save)
                    saved_at = time.monotonic()
                if reason:
                    raise reason
        self._keep(save)

    def _keep(self, save: Callable[[], None]) -> None:
        """Write the state and the model, in the first process only."""
        if is_first():
            self._save_state()
            save()

    def _advance(self, loss_function: LossFunction) -> dict[str, Tensor]:
        loss, scalars = loss_function(self._generator, self.step)
        self._optimizer.clear()
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), self._config.clip_norm)
        self._optimizer.step(self._config.rate(self.step))
        decay = min(self._config.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.parameters()), list(self.module.parameters()), 1 - decay)
        self.step += 1
        return scalars

    def _refuse_divergence(self) -> None:
        """Raise ConfigurationError if a weight, an average or the optimiser's state is not finite."""
        values = [*self.module.parameters(), *self.averaged.parameters(), *self._optimizer.values()]
        if not torch.stack([value.isfinite().all().to(self._generator.device) for value in values]).all():
            raise ConfigurationError(
                f"training diverged: at step {self.step} the weights are not finite any more; start another run with a "
                f"learning rate below {self._config.learning_rate:g}"
            )

    def _dropout_generator(self) -> torch.Generator:
        """Return torch's own generator on the device: dropout takes no other."""
        device = self._generator.device
        return torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator

    def _save_state(self) -> None:
        self._refuse_divergence()
        tensors = {"generator": self._generator.get_state(), "dropout": self._dropout_generator().get_state()}
        tensors |= {f"module.{name}": value for name, value in self.module.state_dict().items()}
        tensors |= {f"averaged.{name}": value for name, value in self.averaged.state_dict().items()}
        tensors |= self._optimizer.state()
        header = {"step": self.step, "settings_sha256": _digest(self._folder / SETTINGS_FILE)}
        save_tensors(self._folder / STATE_FILE, tensors, json.dumps(header))

    def resume(self) -> None:
        """Continue from the state in the folder, exactly as if the run had not been interrupted.

        All of it is checked before any of it is used.

        Raises:
            CheckpointError: There is no state, it is damaged, or it is of another model or run.
        """
        file = self._folder / STATE_FILE
        tensors, header = load_tensors(file)
        try:
            step = self._check_state(tensors, header)
            self._take_state(tensors)
        except (CheckpointError, RuntimeError) as error:  # torch refuses a random state that cannot be
            raise CheckpointError(
                f"'{printable(file)}' does not belong to this run ({error}); resume with the settings that it was "
                "started with, or start it again with --force"
            ) from error
        self.step = step

    def _check_state(self, tensors: dict[str, Tensor], header: str) -> int:
        """Return the number of steps done; raises CheckpointError if this cannot be the run's state."""
        step = self._read_header(header)
        for name, now in (("generator", self._generator), ("dropout", self._dropout_generator())):
            if name not in tensors:
                raise CheckpointError(f"it lacks the random state '{name}'")
            check_like(now.get_state(), tensors[name], f"the random state '{name}'")
        check_tensors(self.module, _below("module.", tensors), "its weights")
        check_tensors(self.averaged, _below("averaged.", tensors), "its averages")
        known = {"generator", "dropout"}
        known |= {f"{kind}.{name}" for kind in ("module", "averaged") for name in self.module.state_dict()}
        known |= self._optimizer.check(tensors, step)
        if unknown := sorted(tensors.keys() - known):
            raise CheckpointError(f"it holds {printable(unknown[0])}, which this model does not have")
        return step

    def _read_header(self, text: str) -> int:
        found = parse_json(text, "its header", CheckpointError)
        header = found if isinstance(found, dict) else {}
        step = header.get("step")
        if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step <= self._config.steps:
            raise CheckpointError(
                f"it was written after {printable(step)} steps; this run has from 0 to {self._config.steps}"
            )
        settings = _digest(self._folder / SETTINGS_FILE)
        if header.get("settings_sha256") != settings:
            raise CheckpointError(f"{SETTINGS_FILE} beside it changed after the state was written")
        return step

    def _take_state(self, tensors: dict[str, Tensor]) -> None:
        self._generator.set_state(tensors["generator"])
        self._dropout_generator().set_state(tensors["dropout"])
        self.module.load_state_dict(_below("module.", tensors))
        self.averaged.load_state_dict(_below("averaged.", tensors))
        self._optimizer.take(tensors)


def _digest(file: Path) -> str | None:
    """Return the hex digest of a file; None if it is missing."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def has_state(folder: Path) -> bool:
    """Return whether `folder` holds a run."""
    return (folder / STATE_FILE).is_file()


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


@contextmanager
def _stop_requests() -> Iterator[Callable[[], KeyboardInterrupt | None]]:
    """Defer what the first SIGINT, SIGTERM or SIGHUP would raise until it is polled; a second one acts as usual."""
    received: list[KeyboardInterrupt] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    before = {number: handler for number, handler in handlers.items() if handler != signal.SIG_IGN}

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(KeyboardInterrupt() if number == signal.SIGINT else Terminated(number))
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: received[0] if received else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
