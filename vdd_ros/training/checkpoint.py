"""Checkpoints: weights as safetensors, with a card that says what they are; the state of a run for `--resume`.

A folder holds `model.safetensors` (averaged weights, the card in its header), `model.json` (the card, for people) and
`state.safetensors` (everything that `--resume` needs). Each is written aside and renamed.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vdd_ros.errors import CheckpointError
from vdd_ros.files import replacing

MODEL_FILE = "model.safetensors"
CARD_FILE = "model.json"
STATE_FILE = "state.safetensors"
FORMAT_VERSION = 1
_HEADER = "vdd_ros"


@dataclass(frozen=True)
class Card:
    """What a checkpoint is.

    Attributes:
        kind: Of the policy, as in policy files: `ddpm`, `vdd`.
        task: Name of the task.
        observation, action: (name, unit) of the entries.
        rate_hz: Control rate.
        statistics: `observation_` and `action_` `mean` and `std`, `action_low`, `action_high`: lists, SI units.
        model: Arguments of the model's configuration.
        settings: Arguments of the training's configuration.
        steps: Training steps done.
        data_sha256, teacher_sha256: What it was trained on.
        versions: Package versions.
    """

    kind: str
    task: str
    observation: tuple[tuple[str, str], ...]
    action: tuple[tuple[str, str], ...]
    rate_hz: float
    statistics: dict[str, list[float]]
    model: dict[str, Any]
    settings: dict[str, Any]
    steps: int
    data_sha256: str
    teacher_sha256: str | None
    versions: dict[str, str]

    def to_json(self) -> str:
        """Return the card as JSON."""
        return json.dumps({"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}, indent=2)

    @classmethod
    def from_json(cls, text: str, where: Path) -> "Card":
        """Read a card.

        Raises:
            CheckpointError: It is damaged, of another version or lacks a field.
        """
        try:
            fields = dict(json.loads(text))
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"'{where}' has a damaged card ({error}); train or distil it again") from error
        version = fields.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"'{where}' has checkpoint version {version}; this version of vdd_ros reads {FORMAT_VERSION}"
            )
        try:
            for key in ("observation", "action"):
                fields[key] = tuple((name, unit) for name, unit in fields[key])
            return cls(**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"'{where}' has an incomplete card ({error}); train or distil it again") from error


def save_model(folder: Path, tensors: dict[str, Tensor], card: Card) -> None:
    """Write the averaged weights and their card."""
    save_tensors(folder / MODEL_FILE, tensors, card.to_json())
    with replacing(folder / CARD_FILE) as aside:
        aside.write_text(card.to_json() + "\n")


def load_model(folder: Path) -> tuple[Card, dict[str, Tensor]]:
    """Read the averaged weights and their card.

    Raises:
        CheckpointError: There is none, or it is truncated.
    """
    file = folder / MODEL_FILE
    tensors, text = load_tensors(file)
    return Card.from_json(text, file), tensors


def model_sha256(folder: Path) -> str:
    """Return the hex digest of the weights file."""
    return hashlib.sha256((folder / MODEL_FILE).read_bytes()).hexdigest()


def save_tensors(file: Path, tensors: dict[str, Tensor], header: str) -> None:
    """Write tensors and a text, whole or not at all."""
    with replacing(file) as aside:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, aside, metadata={_HEADER: header})


def load_tensors(file: Path) -> tuple[dict[str, Tensor], str]:
    """Read tensors and the text beside them.

    Raises:
        CheckpointError: The file is missing, truncated or not one of ours.
    """
    if not file.is_file():
        raise CheckpointError(
            f"no checkpoint at '{file}'; make one with 'vdd train' or 'vdd distil', or name the folder that holds it"
        )
    try:
        with safe_open(file, framework="pt") as archive:
            header = (archive.metadata() or {}).get(_HEADER)
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"'{file}' is truncated or not a safetensors file ({error}); train again or take another copy"
        ) from error
    if header is None:
        raise CheckpointError(f"'{file}' is a safetensors file, but not a vdd_ros checkpoint: its header lacks a card")
    return tensors, header
