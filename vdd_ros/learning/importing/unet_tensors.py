"""Tensors of another program's network, renamed to those of ours; the names of the U-Nets of Diffusion Policy.

LeRobot and diffusion_policy keep the same U-Net under different names. Both have one layer for the condition, which
reads the step first, then the state; ours has two.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn, cast

import torch
from torch import Tensor, nn

from vdd_ros.errors import CheckpointError
from vdd_ros.learning.diffusion.discrete import UNetTeacherConfig
from vdd_ros.learning.diffusion.teacher import Teacher, TeacherConfig
from vdd_ros.learning.fit.checkpoint import check_tensors
from vdd_ros.learning.fit.shapes import shapes_only
from vdd_ros.text import printable

_NETWORK = "network."
_CONDITION = {"level": "cond_encoder.1", "state": "cond_encoder.1", "skip": "residual_conv"}
_LEVELS = {"down": "down_modules", "up": "up_modules"}
_HALVES = {"first": "0", "second": "1"}
_REST = {
    "embed_step.first": "diffusion_step_encoder.1",
    "embed_step.second": "diffusion_step_encoder.3",
    "last": "final_conv.0.block.0",
    "last_norm": "final_conv.0.block.1",
    "read": "final_conv.1",
}


@dataclass(frozen=True)
class UNetNames:
    """A program's names of the U-Net's tensors.

    Attributes:
        prefix: In front of every name.
        halves: Names of the two convolutions of a residual block.
        resampling: Name of the convolution that ends a level.
    """

    prefix: str
    halves: tuple[str, str]
    resampling: str

    def of(self, name: str) -> str:
        """Return the program's name of a tensor of ours, such as `down.0.first.level.bias`."""
        module, _, kind = name.rpartition(".")
        return f"{self.prefix}{self._module(module)}.{kind}"

    def _module(self, module: str) -> str:
        if module in _REST:
            return _REST[module]
        if found := re.fullmatch(r"middle\.(\d+)\.(\w+)", module):
            return f"mid_modules.{found[1]}.{self._layer(found[2])}"
        found = re.fullmatch(r"(down|up)\.(\d+)\.(\w+)(?:\.(\w+))?", module)
        if found is None:
            raise KeyError(module)
        level = f"{_LEVELS[found[1]]}.{found[2]}"
        return f"{level}.{_HALVES[found[3]]}.{self._layer(found[4])}" if found[4] else f"{level}.{self.resampling}"

    def _layer(self, name: str) -> str:
        if name in _CONDITION:
            return _CONDITION[name]
        half = self.halves[0 if name.startswith("first") else 1]
        return f"{half}.block.{1 if name.endswith('_norm') else 0}"


def unet_part(shape: UNetTeacherConfig) -> Callable[[str, Tensor], Tensor]:
    """Return the function from our name and a tensor of theirs to our part of it."""

    def part(name: str, tensor: Tensor) -> Tensor:
        if name.endswith(".level.weight"):
            return tensor[:, : shape.step_features].contiguous()
        return tensor[:, shape.step_features :].contiguous() if name.endswith(".state.weight") else tensor

    return part


def load_network(
    shape: TeacherConfig,
    tensors: Mapping[str, Tensor],
    name_of: Callable[[str], str],
    part_of: Callable[[str, Tensor], Tensor],
    refuse: Callable[[str], CheckpointError],
) -> Teacher:
    """Return a teacher with the network of another program.

    Args:
        shape: Of the teacher.
        tensors: Of the other network, by its names; nothing else.
        name_of: From our name of a tensor to theirs.
        part_of: From our name and their tensor to ours.
        refuse: From a problem, the end of a sentence about the tensors, to the error.

    Raises:
        CheckpointError: A tensor is missing, unknown, of another shape or not finite.
    """
    with shapes_only():  # sizes that the file does not have cost nothing
        empty = Teacher(shape)
    wanted = [name for name in empty.state_dict() if name.startswith(_NETWORK)]
    theirs = {name: name_of(name.removeprefix(_NETWORK)) for name in wanted}
    if missing := sorted({*theirs.values()} - tensors.keys()):
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise refuse(f"it lacks {missing[0]}{more}")
    if unknown := sorted(tensors.keys() - {*theirs.values()}):
        raise refuse(f"it has {printable(unknown[0])}, which is not part of that network")
    if wrong := [name for name, one in tensors.items() if not one.is_floating_point()]:
        raise refuse(f"{printable(wrong[0])} is not of floating-point numbers")
    renamed = {name: part_of(name, tensors[other].to(torch.float32)) for name, other in theirs.items()}
    network = {name.removeprefix(_NETWORK): tensor for name, tensor in renamed.items()}
    try:
        check_tensors(cast(nn.Module, empty.network), network, "the tensors")
    except CheckpointError as error:
        _refuse_in_their_words(str(error), theirs, refuse, error)
    teacher = Teacher(shape)
    teacher.load_state_dict({**teacher.state_dict(), **renamed})
    return teacher


def _refuse_in_their_words(
    text: str, theirs: Mapping[str, str], refuse: Callable[[str], CheckpointError], error: CheckpointError
) -> NoReturn:
    """Raise an error about one of our tensors with the other program's name."""
    for name, other in theirs.items():
        text = text.replace(f"the tensors: {name.removeprefix(_NETWORK)} ", f"{other} ")
    raise refuse(text) from error
