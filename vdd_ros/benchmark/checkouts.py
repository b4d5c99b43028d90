"""Checkouts of this package, run by their command lines in separate processes that share nothing."""

import hashlib
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vdd_ros.documents import read_json
from vdd_ros.errors import ConfigurationError, ProcessError
from vdd_ros.host.threads import SLEEPING
from vdd_ros.text import printable

TAIL = 300


@dataclass(frozen=True)
class Spent:
    """Time of a command.

    Attributes:
        wall_s: Time from start to end, s.
        cpu_s: Processor time, s.
    """

    wall_s: float
    cpu_s: float


@dataclass
class Processes:
    """Running commands, which another thread can end together."""

    _running: set["subprocess.Popen[bytes]"] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def add(self, process: "subprocess.Popen[bytes]") -> None:
        """Add a process; end it at once after `stop`."""
        with self._lock:
            self._running.add(process)
            if self._stopped:
                process.kill()

    def discard(self, process: "subprocess.Popen[bytes]") -> None:
        """Remove a process that has ended."""
        with self._lock:
            self._running.discard(process)

    def stop(self) -> None:
        """End all processes, and each one that is added later."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()


@dataclass(frozen=True)
class Checkout:
    """A folder that holds a version of this package.

    Attributes:
        name: Name in tables.
        folder: Folder that holds `vdd_ros/`.
        processes: Its running commands.
    """

    name: str
    folder: Path
    processes: Processes = field(default_factory=Processes, compare=False)

    @classmethod
    def of(cls, name: str, folder: Path, processes: Processes | None = None) -> "Checkout":
        """Return the checkout in a folder.

        Raises:
            ConfigurationError: The folder does not hold the package.
        """
        if not (folder / "vdd_ros" / "cli" / "main.py").is_file():
            raise ConfigurationError(
                f"--against '{printable(folder)}' holds no vdd_ros/cli/main.py; name the folder of a checkout, such as "
                "one that 'git worktree add' made"
            )
        return cls(name, folder.resolve(), processes or Processes())

    @property
    def sha256(self) -> str:
        """Hex digest of the package's sources."""
        digest = hashlib.sha256()
        for file in sorted((self.folder / "vdd_ros").rglob("*.py")):
            digest.update(f"{file.relative_to(self.folder)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def run(self, arguments: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Spent:
        """Run `vdd` of this checkout.

        Args:
            arguments: Words of the command line after `vdd`.
            environment: Further variables, which override those of this process.

        Raises:
            ProcessError: The exit code is not 0; the message quotes the end of the output.
        """
        command = [sys.executable, "-m", "vdd_ros.cli.main", *map(str, arguments)]
        began = time.perf_counter()
        with subprocess.Popen(
            command,
            cwd=self.folder,  # python -m looks there first
            env=_environment(self.folder) | dict(environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            self.processes.add(process)
            try:
                said, used = _wait(process)
            except BaseException:
                process.kill()
                raise
            finally:
                self.processes.discard(process)
        if process.returncode:
            end = printable(said.decode(errors="replace").strip()[-TAIL:], TAIL)
            raise ProcessError(f"vdd {arguments[0]} of {self.name} ended with code {process.returncode}: {end}")
        return Spent(time.perf_counter() - began, used.ru_utime + used.ru_stime)

    def score(self, checkpoint: Path, rollouts: int, seed: int, environment: Mapping[str, str]) -> tuple[float, float]:
        """Export and evaluate a checkpoint; return its success rate and entropy. Raises as `run`."""
        policy, record = checkpoint.with_suffix(".onnx"), checkpoint.with_suffix(".json")
        policy.unlink(missing_ok=True)
        self.run(["export", checkpoint, "--out", policy, "--no-novelty"], environment)
        words: list[str | Path] = [
            "evaluate",
            policy,
            "--rollouts",
            str(rollouts),
            "--seeds",
            str(seed),
            "--json",
            record,
        ]
        self.run(words, environment)
        scores = read_json(record, ProcessError)
        pooled = scores.get("pooled") if isinstance(scores, dict) else None
        found = [pooled.get(name) if isinstance(pooled, dict) else None for name in ("success_rate", "entropy")]
        success, entropy = (value if isinstance(value, int | float) else None for value in found)
        if success is None or entropy is None:
            raise ProcessError(f"vdd evaluate of {self.name} wrote no success rate or entropy into {record}")
        return float(success), float(entropy)


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a checkout, without the thread settings of this process."""
    kept = {name: value for name, value in os.environ.items() if SLEEPING.get(name) != value}
    return kept | {"PYTHONPATH": str(folder)}


def _wait(process: "subprocess.Popen[bytes]") -> tuple[bytes, resource.struct_rusage]:
    """Return the output of a process and its resources, at its end."""
    said = process.stdout.read() if process.stdout is not None else b""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return said, used


@contextmanager
def busy_neighbours(number: int) -> Iterator[None]:
    """Run a number of busy processes beside the block."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()
