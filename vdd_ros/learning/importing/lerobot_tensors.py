"""Tensors of a LeRobot DiffusionPolicy: read from safetensors, and renamed to those of our U-Net."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from vdd_ros.errors import CheckpointError
from vdd_ros.learning.diffusion.discrete import UNetTeacherConfig
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.checkpoint import MAX_BYTES
from vdd_ros.learning.importing.unet_tensors import UNetNames, load_network, unet_part
from vdd_ros.text import printable

MODEL = "model.safetensors"
PREFIX = "diffusion."
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_PICKLED = (b"PK", *(b"\x80" + bytes([protocol]) for protocol in range(2, 6)))
"""First bytes of pickles, and of archives around them."""
NAMES = UNetNames(f"{PREFIX}unet.", ("conv1", "conv2"), "2")


def read_tensors(file: Path) -> tuple[dict[str, Tensor], str]:
    """Read a file of safetensors whole; anything else, such as a pickle, is refused unopened.

    Returns:
        The tensors by name, and the hex digest of the file.

    Raises:
        CheckpointError: The file is missing, too large, truncated or not safetensors.
    """
    where = printable(file)
    if not file.is_file():
        what = "is no ordinary file" if file.exists() else "is missing"
        raise CheckpointError(f"'{where}' {what}{_pickled(file.parent)}; copy the checkpoint again, with all files")
    if (size := file.stat().st_size) > MAX_BYTES:
        raise CheckpointError(f"'{where}' has {size:,} bytes; at most {MAX_BYTES:,} are read")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"'{where}' cannot be read ({error.strerror}); mend its permissions") from error
    if content[:2] in _PICKLED:
        raise CheckpointError(
            f"'{where}' is not safetensors but a pickle, as torch.save writes it, which is never opened, since that "
            "could run any code in it; save the policy with LeRobot's save_pretrained"
        )
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"'{where}' is truncated or not a safetensors file ({printable(error)}); copy the checkpoint again"
        ) from error
    return {name: tensors[name] for name in sorted(tensors)}, hashlib.sha256(content).hexdigest()


def _pickled(folder: Path) -> str:
    """Return a remark about pickles in place of the file."""
    found = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
    return f" ('{printable(found[0])}' may be a pickle, which is never opened)" if found else ""


def load_unet(shape: UNetTeacherConfig, tensors: Mapping[str, Tensor], folder: Path) -> Teacher:
    """Return a teacher with the network of a checkpoint.

    Args:
        shape: From config.json.
        tensors: Of the model, without statistics.
        folder: The checkpoint, for errors.

    Raises:
        CheckpointError: A tensor is missing, unknown, of another shape or not finite.
    """

    def contradicting(problem: str) -> CheckpointError:
        return CheckpointError(
            f"'{printable(folder / MODEL)}' does not fit its config.json: {problem}; copy the checkpoint again"
        )

    return load_network(shape, tensors, NAMES.of, unet_part(shape), contradicting)
