"""Two checkouts of this package, run by their own command lines in processes of their own: nothing is shared."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vdd_ros.documents import read_json
from vdd_ros.errors import ConfigurationError, ProcessError
from vdd_ros.host.threads import SLEEPING
from vdd_ros.text import printable

TAIL = 300


@dataclass(frozen=True)
class Spent:
    """What a command took.

    Attributes:
        wall_s: Seconds from start to end.
        cpu_s: Seconds of processors.
    """

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Checkout:
    """A folder that holds a version of this package.

    Attributes:
        name: In tables.
        folder: Holds `vdd_ros/`.
    """

    name: str
    folder: Path

    @classmethod
    def of(cls, name: str, folder: Path) -> "Checkout":
        """Refuse a folder without the package.

        Raises:
            ConfigurationError: With the folder.
        """
        if not (folder / "vdd_ros" / "cli" / "main.py").is_file():
            raise ConfigurationError(
                f"--against '{printable(folder)}' holds no vdd_ros/cli/main.py; name the folder of a checkout, such as "
                "one that 'git worktree add' made"
            )
        return cls(name, folder.resolve())

    def run(self, arguments: Sequence[str | Path]) -> Spent:
        """Run `vdd` of this checkout.

        Raises:
            ProcessError: It ended with another code than 0; the message has the end of what it said.
        """
        command = [sys.executable, "-m", "vdd_ros.cli.main", *map(str, arguments)]
        began = time.perf_counter()
        with subprocess.Popen(
            command,
            cwd=self.folder,  # python -m looks there first
            env=_environment(self.folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            try:
                said, used = _wait(process)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            end = printable(said.decode(errors="replace").strip()[-TAIL:], TAIL)
            raise ProcessError(f"vdd {arguments[0]} of {self.name} ended with code {process.returncode}: {end}")
        return Spent(time.perf_counter() - began, used.ru_utime + used.ru_stime)

    def score(self, checkpoint: Path, rollouts: int, seed: int, action_steps: int) -> tuple[float, float]:
        """Return success and entropy of a checkpoint in its task; raises as `run`."""
        policy, record = checkpoint.with_suffix(".onnx"), checkpoint.with_suffix(".json")
        self.run(["export", checkpoint, "--out", policy, "--no-novelty"])
        steps = ["--action-steps", str(action_steps)]
        self.run(["evaluate", policy, "--rollouts", str(rollouts), "--seeds", str(seed), *steps, "--json", record])
        pooled = read_json(record, ProcessError)["pooled"]
        return float(pooled["success_rate"]), float(pooled["entropy"])


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a checkout, in which each has to set for itself what this process has set."""
    kept = {name: value for name, value in os.environ.items() if SLEEPING.get(name) != value}
    return kept | {"PYTHONPATH": str(folder)}


def _wait(process: "subprocess.Popen[bytes]") -> tuple[bytes, resource.struct_rusage]:
    """Return what a process says to its end, and what it used."""
    said = process.stdout.read() if process.stdout is not None else b""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return said, used


@contextmanager
def busy_neighbours(number: int) -> Iterator[None]:
    """Let processes that never rest share the machine with the block."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()
