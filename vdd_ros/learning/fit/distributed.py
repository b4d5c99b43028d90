"""One training in several processes, as torchrun starts them: each computes its rows of every batch, one writes.

All processes draw the whole batch, levels and noise included, from generators of the same seed, and compute their own
rows of it. DistributedDataParallel averages the gradients, so that the steps are those of one process.
"""

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from vdd_ros.errors import ConfigurationError, ProcessError

LossFunction = Callable[[torch.Generator, int], tuple[Tensor, dict[str, Tensor]]]
Kept = TypeVar("Kept", Tensor, Tensor | None)

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others, which may load data more slowly."""


@dataclass(frozen=True)
class WorkerRank:
    """The place of this process among several.

    Attributes:
        rank: From 0.
        world: Number of processes.
        local_rank: Number among those on this machine, from 0.
        local_world: Number of processes on this machine.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "WorkerRank":
        """Read RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE; without them this process is the only one.

        Raises:
            ConfigurationError: They contradict each other or are not numbers.
        """
        given = [environment.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")]
        if given[:2] == ["", ""]:
            return cls()
        rank, world = given[:2]
        local_rank, local_world = given[2] or rank, given[3] or world
        try:
            found = cls(int(rank), int(world), int(local_rank), int(local_world))
        except ValueError:
            found = cls(rank=-1)
        if not 0 <= found.rank < found.world or not 0 <= found.local_rank < found.local_world <= found.world:
            raise ConfigurationError(
                f"RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE are {given}; let torchrun set them, or unset them"
            )
        return found


@contextmanager
def training_group(batch: int, *, cuda: bool) -> Iterator[None]:
    """Let the processes that torchrun started train together while the block runs; alone, nothing changes.

    Args:
        batch: Rows of a batch, shared evenly.
        cuda: Whether they train on GPUs; each takes one of its machine.

    Raises:
        ConfigurationError: The batch cannot be shared evenly, or torchrun's variables contradict each other.
        ProcessError: Another process of the training ended.
    """
    place = WorkerRank.of(os.environ)
    if place.world == 1:
        yield
        return
    if batch % place.world:
        raise ConfigurationError(
            f"--batch is {batch}, which {place.world} processes cannot share evenly; give a multiple of {place.world}"
        )
    # If DistributedDataParallel imports it while there is a group, its functions keep that group as a default for good.
    # Gloo's threads then outlive it, and one that drops a tensor while Python ends aborts the process.
    importlib.import_module("torch.distributed.nn")
    if cuda:
        torch.cuda.set_device(place.local_rank % torch.cuda.device_count())
    distributed.init_process_group("nccl" if cuda else "gloo", timeout=TIMEOUT)
    try:
        yield
    except RuntimeError as error:
        if place.rank > 0 and isinstance(error, (distributed.DistBackendError, distributed.DistNetworkError)):
            raise ProcessError(f"another process of this training ended ({error}); see its own message") from error
        raise
    finally:
        distributed.destroy_process_group()


def is_first() -> bool:
    """Return whether this process writes: the only one, or the first of its group."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def refuse_several() -> None:
    """Raise ConfigurationError if torchrun started several processes of a command that cannot share a training."""
    place = WorkerRank.of(os.environ)
    if place.world > 1 and not distributed.is_initialized():
        raise ConfigurationError(
            f"torchrun started {place.world} processes, but only `vdd train` can share a training; start this command "
            "by itself"
        )


def wait_for_all() -> None:
    """Wait until every process of the group is here."""
    if distributed.is_initialized():
        distributed.barrier()


def own_rows(batch: Kept) -> Kept:
    """Return this process's rows of a tensor whose first dimension is the batch; None stays None."""
    if batch is None or not distributed.is_initialized():
        return batch
    return batch.chunk(distributed.get_world_size())[distributed.get_rank()]


def share_gradients(module: nn.Module, loss: LossFunction) -> LossFunction:
    """Return a loss function whose gradients are averaged over the group; alone, the same one.

    Args:
        module: Whose parameters are trained; those of the first process are given to all.
        loss: Computes the mean over this process's rows.
    """
    if not distributed.is_initialized():
        return loss
    return DistributedDataParallel(_Loss(module, loss), find_unused_parameters=True)


def average(scalars: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return scalars averaged over the group, which all of its processes call."""
    if not distributed.is_initialized():
        return scalars
    values = torch.stack([value.detach() for value in scalars.values()])
    distributed.all_reduce(values)
    return dict(zip(scalars, values / distributed.get_world_size(), strict=True))


def agree(reason: KeyboardInterrupt | None, device: torch.device) -> KeyboardInterrupt | None:
    """Return a reason to stop if any process of the group has one, so that all stop after the same step."""
    if not distributed.is_initialized():
        return reason
    stops = torch.tensor(float(reason is not None), device=device)
    distributed.all_reduce(stops)
    return reason or (KeyboardInterrupt() if stops > 0 else None)


class _Loss(nn.Module):
    """A loss as a module, whose forward pass DistributedDataParallel can watch."""

    def __init__(self, module: nn.Module, loss: LossFunction) -> None:
        super().__init__()
        self.module = module
        self._loss = loss

    def forward(self, generator: torch.Generator, step: int) -> Any:
        return self._loss(generator, step)
