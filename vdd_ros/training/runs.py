"""What every training run shares: its folder, its settings, the versions it was made with."""

import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from vdd_ros import __version__
from vdd_ros.errors import CheckpointError
from vdd_ros.files import replacing
from vdd_ros.training.checkpoint import Card
from vdd_ros.training.loop import has_state

Config = TypeVar("Config")

SETTINGS_FILE = "settings.json"


def prepare_folder(folder: Path, settings: dict[str, Any], resume: bool) -> None:
    """Make a run's folder and note its settings, or check that a run to resume had the same.

    Raises:
        CheckpointError: `folder` is a file; or holds a run and `resume` is not set; or there is nothing to resume; or
            its settings were others.
    """
    file = folder / SETTINGS_FILE
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"'{folder}' is not a folder; choose another name for the checkpoint's folder")
    if resume:
        if not has_state(folder) or not file.is_file():
            raise CheckpointError(f"'{folder}' holds no run to resume; start one without --resume")
        begun = _read_settings(file)
        changed = [key for key in settings if begun.get(key) != json.loads(json.dumps(settings[key]))]
        if changed:
            pairs = ", ".join(f"{key} {begun.get(key)} -> {settings[key]}" for key in changed)
            raise CheckpointError(f"the run in '{folder}' was started with other settings ({pairs}); give the same")
        return
    if has_state(folder):
        raise CheckpointError(f"'{folder}' already holds a run; continue it with --resume or choose another folder")
    with replacing(file) as aside:
        aside.write_text(json.dumps(settings, indent=2) + "\n")


def _read_settings(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text()))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"'{file}' is damaged ({error}), so the run cannot be resumed; start another") from error


def read_shape(config: Callable[..., Config], card: Card, folder: Path) -> Config:
    """Build the configuration of the model that a card describes.

    Raises:
        CheckpointError: The card describes another model.
    """
    try:
        return config(**card.model)
    except TypeError as error:
        raise CheckpointError(f"the card in '{folder}' describes another model ({error}); make it again") from error


def load_weights(module: nn.Module, tensors: dict[str, Tensor], folder: Path) -> None:
    """Put weights into a module.

    Raises:
        CheckpointError: They do not fit its shape.
    """
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in '{folder}' do not fit their own card ({error}); make it again"
        ) from error


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "vdd_ros": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
    }
