"""A process that wakes every millisecond and records preemptions: of itself and of the nodes.

Run as `python -m vdd_ros.host.monitor FILE PID...`; SIGTERM or SIGINT ends it, and FILE (.npz) holds the record.
"""

import gc
import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ProcessError

PERIOD_S = 0.001
LEAST_S = 0.0002
"""Shorter preemptions are dropped."""
FIND_WAKES = 300
"""Wake-ups between two searches for new threads."""
DDS_THREADS = "dds."
END_DEADLINE_S = 10.0
_MODULE = "vdd_ros.host.monitor"

Floats = NDArray[np.float64]


def _nothing() -> Floats:
    return np.empty((0, 2))


@dataclass(frozen=True)
class Preemptions:
    """Intervals in which a runnable thread was not running.

    Attributes:
        spans: (n, 2) begin and end, seconds since the epoch; they may overlap.
    """

    spans: Floats = field(default_factory=_nothing)

    def within(self, begin_s: float, end_s: float) -> float:
        """Return the preempted time between two instants, in seconds."""
        spans = np.clip(self.spans[self.spans[:, 0].argsort()], begin_s, end_s)
        covered = np.maximum.accumulate(np.concatenate([[begin_s], spans[:-1, 1]]))
        return float(np.maximum(spans[:, 1] - np.maximum(spans[:, 0], covered[: len(spans)]), 0.0).sum())


class HostMonitor:
    """The monitoring process; it runs while the context is open.

    Args:
        file: Its record, .npz.
        pids: Node to process number.

    Attributes:
        own: Preemptions of the monitor, which woke late.
        nodes: Node to its preemptions: a thread of it waited for a core.
        wakes: Number of wake-ups of the monitor.
        failure: Why the record is incomplete and unreliable; empty if it is complete.
    """

    def __init__(self, file: Path, pids: Mapping[str, int]) -> None:
        self._file = file
        self._pids = pids
        self.own = Preemptions()
        self.nodes = {name: Preemptions() for name in pids}
        self.wakes = 0
        self.failure = ""

    def __enter__(self) -> "HostMonitor":
        command = [sys.executable, "-m", _MODULE, str(self._file), *map(str, self._pids.values())]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, start_new_session=True, stderr=log)
        return self

    def check(self) -> None:
        """Raise ProcessError if it has ended by itself."""
        if self._process.poll() is not None:
            self._fail()
            raise ProcessError(self.failure)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        alone = self._process.poll() is not None
        self._process.terminate()
        try:
            self._process.wait(END_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if alone or self._process.returncode != 0 or not self._file.is_file():
            self._fail()
            return
        with np.load(self._file, allow_pickle=False) as found:
            self.own, self.wakes = Preemptions(found["own"]), int(found["wakes"])
            self.nodes = {name: Preemptions(found[f"pid_{pid}"]) for name, pid in self._pids.items()}

    @property
    def _log(self) -> Path:
        return self._file.with_suffix(".log")

    def _fail(self) -> None:
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        told = "".join(f": {line}" for line in said)
        code = self._process.returncode
        self.failure = f"the host monitor ended with exit code {code}, so preemptions were not recorded{told}"


class _Waiting:
    """Time for which a node's threads have waited for a core, as counted by the kernel.

    Only threads that may run Python count: one that waits while it holds the interpreter blocks the others. DDS threads
    are recognised by their names.

    Attributes:
        spans: Begin and end of every wait, in sequence.
    """

    def __init__(self, pid: int) -> None:
        self._tasks = Path(f"/proc/{pid}/task")
        self._threads: dict[str, tuple[int, float]] = {}
        self.spans = array("d")

    def find_threads(self) -> None:
        """Follow new threads."""
        with suppress(OSError):
            for task in self._tasks.iterdir():
                if task.name not in self._threads and not (task / "comm").read_text().startswith(DDS_THREADS):
                    file = os.open(task / "schedstat", os.O_RDONLY)
                    self._threads[task.name] = file, _waited_s(file)

    def look(self) -> None:
        """Record each thread's waiting time since the last call; the kernel counts a wait when it ends."""
        now = time.time()
        for name, (file, before_s) in self._threads.items():
            after_s = _waited_s(file)
            if (waited_s := after_s - before_s) > LEAST_S:
                self.spans.extend((now - waited_s, now))
            self._threads[name] = file, after_s


def _waited_s(file: int) -> float:
    """Return the second number of schedstat, the time on a run queue; 0 if the thread has ended."""
    try:
        return int(os.pread(file, 100, 0).split()[1]) * 1e-9
    except (OSError, IndexError):
        return 0.0


def watch(file: Path, pids: Sequence[int]) -> None:
    """Wake every `PERIOD_S` until a signal arrives, then write the record.

    After a late wake-up the next one is due a period later, so one pause of the host is one late wake-up.
    """
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda caught, _: ended.append(caught))
    gc.disable()
    own, waiting = array("d"), {pid: _Waiting(pid) for pid in pids}
    wakes = 0
    while not ended:
        if wakes % FIND_WAKES == 0:
            for one in waiting.values():
                one.find_threads()
        before = time.monotonic()
        time.sleep(PERIOD_S)
        lost = time.monotonic() - before - PERIOD_S
        wakes += 1
        if lost > LEAST_S:
            now = time.time()
            own.extend((now - lost, now))
        for one in waiting.values():
            one.look()
    spans = {f"pid_{pid}": np.array(one.spans).reshape(-1, 2) for pid, one in waiting.items()}
    np.savez(file, own=np.array(own).reshape(-1, 2), wakes=wakes, **spans)  # type: ignore[arg-type]


if __name__ == "__main__":
    watch(Path(sys.argv[1]), [int(pid) for pid in sys.argv[2:]])
