"""Checkpoints: weights as safetensors with metadata, and the state of a run for `--resume`.

A folder holds `model.safetensors` (averaged weights, the metadata in its header), `model.json` (the same metadata, for
people) and `state.safetensors` (everything that `--resume` needs). Each is written aside and renamed.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from vdd_ros.data.foreign import describe
from vdd_ros.documents import parse_json
from vdd_ros.errors import CheckpointError
from vdd_ros.file_kinds import CHECKPOINT, misplaced
from vdd_ros.files import replacing
from vdd_ros.learning.fit.metadata import MAX_METADATA_BYTES, CheckpointMetadata
from vdd_ros.text import printable

__all__ = [
    "CheckpointMetadata",
    "Model",
    "read_model",
    "load_model",
    "save_model",
    "model_sha256",
    "load_tensors",
    "save_tensors",
    "check_tensors",
    "check_like",
]

MODEL_FILE = "model.safetensors"
METADATA_FILE = "model.json"
STATE_FILE = "state.safetensors"
SETTINGS_FILE = "settings.json"
MAX_BYTES = 8 << 30
"""Largest file of weights; a teacher of the default size has 1.3 MB."""
_HEADER = "vdd_ros"


@dataclass(frozen=True)
class Model:
    """Content of a checkpoint.

    Attributes:
        metadata: Its metadata.
        tensors: Averaged weights by name.
        sha256: Hex digest of the bytes that both were read from.
    """

    metadata: CheckpointMetadata
    tensors: dict[str, Tensor]
    sha256: str


def save_model(folder: Path, tensors: dict[str, Tensor], metadata: CheckpointMetadata) -> None:
    """Write the averaged weights and their metadata; raises CheckpointError if the metadata is invalid."""
    CheckpointMetadata.from_json(metadata.to_json(), folder / MODEL_FILE)
    save_tensors(folder / MODEL_FILE, tensors, metadata.to_json())
    with replacing(folder / METADATA_FILE) as aside:
        aside.write_text(metadata.to_json() + "\n")


def read_model(folder: Path) -> Model:
    """Read the averaged weights, their metadata and the digest of both, all from the same bytes.

    Raises:
        CheckpointError: There is none, it is truncated, its metadata is damaged, or a weight is not finite.
    """
    file = folder / MODEL_FILE
    content = _read(file)
    text = _header(content, file)
    metadata = CheckpointMetadata.from_json(text, file)
    return Model(metadata, _tensors(content, file), hashlib.sha256(content).hexdigest())


def load_model(folder: Path) -> tuple[CheckpointMetadata, dict[str, Tensor]]:
    """Read the averaged weights and their metadata; raises CheckpointError as `read_model` does."""
    model = read_model(folder)
    return model.metadata, model.tensors


def model_sha256(folder: Path) -> str:
    """Return the hex digest of the file of the weights, whose header holds their metadata."""
    return hashlib.sha256((folder / MODEL_FILE).read_bytes()).hexdigest()


def save_tensors(file: Path, tensors: dict[str, Tensor], header: str) -> None:
    """Write tensors and a text, whole or not at all."""
    with replacing(file) as aside:
        aside.write_bytes(save({name: tensor.contiguous() for name, tensor in tensors.items()}, {_HEADER: header}))


def load_tensors(file: Path) -> tuple[dict[str, Tensor], str]:
    """Read tensors and the text beside them.

    Raises:
        CheckpointError: The file is missing, truncated or not one of ours.
    """
    content = _read(file)
    return _tensors(content, file), _header(content, file)


def _read(file: Path) -> bytes:
    if not file.is_file():
        what = "a checkpoint of 'vdd train' or 'vdd distil'"
        if why := misplaced(file.parent, CHECKPOINT, what):
            raise CheckpointError(f"'{printable(file.parent)}' {why}")
        if file.parent.exists() and (known := describe(file.parent)) is not None:
            raise CheckpointError(f"'{printable(file.parent)}' is {known}, not {what}")
        raise CheckpointError(
            f"no checkpoint at '{printable(file)}'; make one with 'vdd train' or 'vdd distil', or name the folder that "
            "holds it"
        )
    if (size := file.stat().st_size) > MAX_BYTES:
        raise CheckpointError(f"'{printable(file)}' has {size:,} bytes; at most {MAX_BYTES:,} are read")
    try:
        return file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"'{printable(file)}' cannot be read ({error.strerror}); mend its permissions") from error


def _header(content: bytes, file: Path) -> str:
    """Return our text in the header of a safetensors file: 8 bytes that say its length, then JSON."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > len(content) - 8:
        raise _damaged(file, "it ends within its header")
    if content[8:9] != b"{":
        raise _damaged(file, "its header is not a JSON object")
    header = parse_json(content[8 : 8 + length], f"the header of '{file}'", CheckpointError)
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    text = metadata.get(_HEADER) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        if (file.parent / "config.json").exists():
            raise CheckpointError(
                f"'{printable(file.parent)}' is a model of another program, as LeRobot keeps it (config.json beside "
                "model.safetensors); `vdd import lerobot` makes a teacher of a DiffusionPolicy"
            )
        raise CheckpointError(
            f"'{printable(file)}' is a safetensors file, but not a vdd_ros checkpoint: its header lacks the metadata; "
            "name a folder that 'vdd train' or 'vdd distil' made"
        )
    if len(text) > MAX_METADATA_BYTES:
        raise CheckpointError(f"'{printable(file)}' has metadata of {len(text):,} characters; train or distil it again")
    return text


def _tensors(content: bytes, file: Path) -> dict[str, Tensor]:
    try:
        tensors = load(content)  # in an order that differs from call to call
        return {name: tensors[name] for name in sorted(tensors)}
    except (SafetensorError, ValueError, KeyError) as error:
        raise _damaged(file, printable(error)) from error


def _damaged(file: Path, reason: str) -> CheckpointError:
    mend = "train again or take another copy"
    if file.name == STATE_FILE:
        mend = "the run cannot be resumed: take another copy, or start it again with --force"
    return CheckpointError(f"'{printable(file)}' is truncated or not a safetensors file ({reason}); {mend}")


def check_tensors(module: nn.Module, tensors: dict[str, Tensor], what: str) -> None:
    """Refuse tensors that are not those of a module: by name, shape, type, and whether they are finite.

    Args:
        module: May be on the device `meta`.
        tensors: By name, as in its `state_dict`.
        what: Their name in errors.

    Raises:
        CheckpointError: With the first that does not fit.
    """
    wanted = module.state_dict()
    if missing := sorted(wanted.keys() - tensors.keys()):
        raise CheckpointError(f"{what} lack {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else ""))
    if unknown := sorted(tensors.keys() - wanted.keys()):
        raise CheckpointError(f"{what} hold {printable(unknown[0])}, which this model does not have")
    parameters = dict(module.named_parameters())
    for name, tensor in tensors.items():
        check_like(wanted[name], tensor, f"{what}: {name}")
        finite = tensor.isfinite() if name in parameters else ~tensor.isnan()  # limits may be infinite
        if not bool(finite.all()):
            raise CheckpointError(f"{what}: {name} is not finite")


def check_like(wanted: Tensor, found: Tensor, what: str) -> None:
    """Refuse a tensor of another shape or type; raises CheckpointError."""
    if found.shape != wanted.shape:
        raise CheckpointError(f"{what} has the shape {list(found.shape)}, not {list(wanted.shape)}")
    if found.dtype != wanted.dtype:
        raise CheckpointError(f"{what} is {_type(found)}, not {_type(wanted)}")


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
