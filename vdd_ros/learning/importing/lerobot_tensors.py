"""Tensors of a LeRobot DiffusionPolicy: read from safetensors, and renamed to those of our U-Net."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from vdd_ros.errors import CheckpointError
from vdd_ros.learning.diffusion.discrete import UNetTeacherConfig
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.checkpoint import MAX_BYTES, check_tensors
from vdd_ros.learning.fit.shapes import shapes_only
from vdd_ros.text import printable

MODEL = "model.safetensors"
PREFIX = "diffusion."
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_PICKLED = (b"PK", *(b"\x80" + bytes([protocol]) for protocol in range(2, 6)))
"""First bytes of pickles, and of archives around them."""
_NETWORK = "network."
_BLOCK = {
    "first": "conv1.block.0",
    "first_norm": "conv1.block.1",
    "second": "conv2.block.0",
    "second_norm": "conv2.block.1",
    "level": "cond_encoder.1",
    "state": "cond_encoder.1",
    "skip": "residual_conv",
}
_HALVES = {"first": "0", "second": "1", "shorten": "2", "lengthen": "2"}
_LEVELS = {"down": "down_modules", "up": "up_modules"}
_REST = {
    "embed_step.first": "diffusion_step_encoder.1",
    "embed_step.second": "diffusion_step_encoder.3",
    "last": "final_conv.0.block.0",
    "last_norm": "final_conv.0.block.1",
    "read": "final_conv.1",
}


def read_tensors(file: Path) -> tuple[dict[str, Tensor], str]:
    """Read a file of safetensors whole; anything else, such as a pickle, is refused unopened.

    Returns:
        The tensors by name, and the hex digest of the file.

    Raises:
        CheckpointError: The file is missing, too large, truncated or not safetensors.
    """
    where = printable(file)
    if not file.is_file():
        raise CheckpointError(f"'{where}' is missing{_pickled(file.parent)}; copy the checkpoint again, with all files")
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


def load_network(shape: UNetTeacherConfig, tensors: Mapping[str, Tensor], folder: Path) -> Teacher:
    """Return a teacher with the network of a checkpoint.

    Args:
        shape: From config.json.
        tensors: Of the model, without statistics.
        folder: The checkpoint, for errors.

    Raises:
        CheckpointError: A tensor is missing, unknown, of another shape or not finite.
    """
    with shapes_only():  # sizes that the file does not have cost nothing
        empty = Teacher(shape)
    wanted = [name for name in empty.state_dict() if name.startswith(_NETWORK)]
    theirs = {name: lerobot_name(name.removeprefix(_NETWORK)) for name in wanted}
    if missing := sorted({*theirs.values()} - tensors.keys()):
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise _contradicting(folder, f"it lacks {missing[0]}{more}")
    if unknown := sorted(tensors.keys() - {*theirs.values()}):
        raise _contradicting(folder, f"it has {printable(unknown[0])}, which is not part of that network")
    if wrong := [name for name, one in tensors.items() if not one.is_floating_point()]:
        raise _contradicting(folder, f"{printable(wrong[0])} is not of floating-point numbers")
    renamed = {name: _part(name, tensors[other], shape.step_features) for name, other in theirs.items()}
    network = {name.removeprefix(_NETWORK): tensor for name, tensor in renamed.items()}
    try:
        check_tensors(cast(nn.Module, empty.network), network, "the tensors")
    except CheckpointError as error:
        raise _contradicting(folder, _in_their_words(str(error), theirs)) from error
    teacher = Teacher(shape)
    teacher.load_state_dict({**teacher.state_dict(), **renamed})
    return teacher


def lerobot_name(name: str) -> str:
    """Return LeRobot's name of a tensor of our U-Net, such as `down.0.first.level.bias`."""
    module, _, kind = name.rpartition(".")
    if module in _REST:
        return f"{PREFIX}unet.{_REST[module]}.{kind}"
    if found := re.fullmatch(r"middle\.(\d+)\.(\w+)", module):
        return f"{PREFIX}unet.mid_modules.{found[1]}.{_BLOCK[found[2]]}.{kind}"
    found = re.fullmatch(r"(down|up)\.(\d+)\.(\w+)(?:\.(\w+))?", module)
    if found is None:
        raise KeyError(name)
    rest = f".{_BLOCK[found[4]]}" if found[4] else ""
    return f"{PREFIX}unet.{_LEVELS[found[1]]}.{found[2]}.{_HALVES[found[3]]}{rest}.{kind}"


def _part(name: str, tensor: Tensor, step_features: int) -> Tensor:
    """Return our part of a tensor, float32: LeRobot's layer of a condition reads the step first, then the state."""
    whole = tensor.to(torch.float32)
    if name.endswith(".level.weight"):
        return whole[:, :step_features].contiguous()
    if name.endswith(".state.weight"):
        return whole[:, step_features:].contiguous()
    return whole


def _in_their_words(text: str, theirs: Mapping[str, str]) -> str:
    """Return an error about one of our tensors with LeRobot's name."""
    for name, other in theirs.items():
        text = text.replace(f"the tensors: {name.removeprefix(_NETWORK)} ", f"{other} ")
    return text


def _contradicting(folder: Path, problem: str) -> CheckpointError:
    return CheckpointError(
        f"'{printable(folder / MODEL)}' does not fit its config.json: {problem}; copy the checkpoint again"
    )
