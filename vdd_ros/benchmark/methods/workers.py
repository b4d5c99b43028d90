"""Several processes at one matrix: which one this is, how it picks its cells, and helpers of its own."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from vdd_ros.benchmark.methods.maker import BusyError, Maker
from vdd_ros.benchmark.methods.matrix import Cell
from vdd_ros.console import tell
from vdd_ros.errors import ConfigurationError, ProcessError, Terminated
from vdd_ros.progress import progress as shown

POLL_S = 0.5


@dataclass(frozen=True)
class Place:
    """Which of several processes this is, as torchrun says it.

    Attributes:
        rank: From 0.
        world: Number of processes.
        local_rank, local_world: The same on this machine.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Place":
        """Read RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE; without them this process is the only one.

        Raises:
            ConfigurationError: They contradict each other or are no numbers.
        """
        given = [environment.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")]
        if given[:2] == ["", ""]:
            return cls()
        rank, world = given[:2]
        local_rank, local_world = given[2] or rank, given[3] or world
        try:
            place = cls(int(rank), int(world), int(local_rank), int(local_world))
        except ValueError:
            place = cls(rank=-1)
        if not 0 <= place.rank < place.world or not 0 <= place.local_rank < place.local_world <= place.world:
            raise ConfigurationError(
                f"RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE are {given}; let torchrun set them, or unset them"
            )
        return place

    def environment(self) -> dict[str, str]:
        """Return what `of` reads."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        values = (self.rank, self.world, self.local_rank, self.local_world)
        return {name: str(value) for name, value in zip(names, values, strict=True)}

    def order(self, cells: list[Cell]) -> list[Cell]:
        """Return all cells, the share of this process first: every world-th, and then those that others leave over."""
        others = [cell for number, cell in enumerate(cells) if number % self.world != self.rank]
        return cells[self.rank :: self.world] + others

    def settle(self) -> None:
        """Take this process's share of the machine: its cores, and its CUDA device where there are some."""
        import torch

        if self.local_world > 1:
            torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // self.local_world))
        if torch.cuda.is_available():
            torch.cuda.set_device(self.local_rank % torch.cuda.device_count())


@dataclass
class Progress:
    """What has become of the cells.

    Attributes:
        finished: Labels.
        failed: Label to why.
    """

    finished: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def work_through(cells: list[Cell], maker: Maker, progress: Progress) -> None:
    """Make cells in order, leaving aside those that another process is at; return when every one has ended.

    Raises:
        KeyboardInterrupt: The process was interrupted.
    """
    left, waiting = list(cells), ""
    with shown(len(cells), "cells", "cell") as bar:
        while left:
            busy: list[str] = []
            for cell in list(left):
                bar.set_postfix_str(cell.label)
                try:
                    record = maker.make(cell)
                    progress.finished.append(cell.label)
                    text = f"{cell.label}: success {record['success']:.3f}, entropy {record['entropy']:.3f}"
                except BusyError as reason:
                    busy.append(str(reason))
                    continue
                except ProcessError as reason:
                    progress.failed[cell.label] = str(reason)
                    text = f"{cell.label} failed: {reason}"
                bar.write(text, file=sys.stderr)
                bar.update()
                left.remove(cell)
            if len(busy) == len(left) > 0:
                if waiting != busy[0]:
                    waiting = busy[0]
                    bar.write(f"waiting for {waiting}, which another process is at", file=sys.stderr)
                time.sleep(POLL_S)


@contextmanager
def helpers(args: argparse.Namespace, number: int) -> Iterator[None]:
    """Start processes that work through the same cells; end them with the block, in order if it was interrupted.

    Their output goes to logs in the folder of the work. They are in sessions of their own, so that Ctrl-C in a
    terminal reaches only this process, which tells them once.
    """
    running = []
    logs = args.work / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    threads = max(1, len(os.sched_getaffinity(0)) // (number + 1))
    command = [sys.executable, "-m", "vdd_ros.cli.main", "benchmark", *_arguments(args)]
    try:
        for rank in range(1, number + 1):
            place = Place(rank, number + 1, rank, number + 1)
            environment = os.environ | place.environment() | {"OMP_NUM_THREADS": str(threads)}
            with _log(logs, rank).open("wb") as log:
                running.append(
                    subprocess.Popen(
                        command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                    )
                )
        yield
    except BaseException:
        for process in running:
            process.send_signal(signal.SIGTERM)
        raise
    finally:
        codes = [process.wait() for process in running]
    for rank, code in enumerate(codes, start=1):
        if code:
            tell(f"process {rank} ended with code {code}; see {_log(logs, rank)}")


def _log(logs: Path, rank: int) -> Path:
    return logs / f"process_{rank}.log"


def _arguments(args: argparse.Namespace) -> list[str]:
    """Return the command line that gives these arguments, for one process."""
    words: list[str] = []
    for name, value in vars(args).items():
        if name in ("run", "jobs") or value is None or value is False:
            continue
        values = [] if value is True else value if isinstance(value, list) else [value]
        words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return words


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM interrupt like Ctrl-C."""

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated(number)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
