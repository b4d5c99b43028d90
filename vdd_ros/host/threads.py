"""The number of threads of a long computation, and their behaviour at barriers.

Threads that spin at a barrier are the fastest if every core is free. If another process takes a core, each barrier
costs a whole time slice: with one busy neighbour on two cores, 100 steps of a teacher took 31.0 s with two threads that
spin, 9.2 s with two that sleep, and 6.7 s with one. Threads that sleep at once gain nothing from a second core on some
machines (docs/speed.md). So threads spin for a fraction of a millisecond and then sleep. At most one computes per free
core, and a training repeatedly times its steps with fewer and more threads (`learning.fit.thread_trial`).
"""

import math
import os
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from vdd_ros.errors import ConfigurationError
from vdd_ros.text import counted, printable

MOST_THREADS = 8
"""Larger numbers were not measured; the tensors of a step are small."""
TOO_MANY_THREADS = 1024
"""Beyond this, threads may fail to start, and then the libraries end the process."""
_MOST_DIGITS = 20
"""Leading zeros included."""
_SHOWN = 40
LOOK_S = 0.25
STAT = Path("/proc/stat")
QUOTA = Path("/sys/fs/cgroup/cpu.max")
SLEEPING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "20000", "OPENBLAS_NUM_THREADS": "1"}
"""Variables that a command sets in its environment; a process that chooses its own threads must not inherit them."""


@dataclass(frozen=True)
class ThreadCount:
    """A number of threads, and its reason.

    Attributes:
        threads: The number, at least 1.
        reason: A few words for a table.
        is_asked: Whether a user chose the number.
    """

    threads: int
    reason: str
    is_asked: bool = False


def sleep_at_barriers(environment: MutableMapping[str, str] = os.environ) -> None:
    """Make OpenMP threads sleep at barriers after a short spin, and limit numpy's BLAS to one thread.

    Existing settings stay; with an existing wait policy, the spin length is left alone too. The libraries read the
    environment when they are loaded: call this before numpy and torch are imported.
    """
    has_policy = "OMP_WAIT_POLICY" in environment
    for name, value in SLEEPING.items():
        if name != "GOMP_SPINCOUNT" or not has_policy:
            environment.setdefault(name, value)


def choose_threads(asked: int | None = None) -> ThreadCount:
    """Return the number of threads to compute with.

    Args:
        asked: The user's number; None: OMP_NUM_THREADS if it is set, otherwise the number of free cores, at most
            `MOST_THREADS`.

    Raises:
        ConfigurationError: The number is below 1, or OMP_NUM_THREADS is not a number.
    """
    if asked is not None:
        return ThreadCount(_checked(asked, "--threads"), "as asked", is_asked=True)
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given:
        first = given.partition(",")[0].strip()  # a list has one number per nesting level
        is_number = first.isascii() and first.isdigit() and len(first) <= _MOST_DIGITS
        threads = _checked(int(first) if is_number else 0, "OMP_NUM_THREADS", given)
        return ThreadCount(threads, "OMP_NUM_THREADS", is_asked=True)
    return threads_on(free_cores())


def threads_on(free: float) -> ThreadCount:
    """Return the number of threads for a number of free cores, at most `MOST_THREADS`."""
    cores = usable_cores()
    threads = min(max(1, math.floor(free + 0.5)), cores, MOST_THREADS)
    return ThreadCount(threads, f"{free:.1f} of {counted(cores, 'core')} free")


def _checked(threads: int, name: str, given: str | None = None) -> int:
    if not 1 <= threads <= TOO_MANY_THREADS:
        shown = threads if given is None else f"'{printable(given, _SHOWN)}'"
        raise ConfigurationError(f"{name} is {shown}; it must be a whole number from 1 to {TOO_MANY_THREADS}")
    return threads


def usable_cores() -> int:
    """Return the number of cores that this process may use, by affinity and control-group quota."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = QUOTA.read_text(encoding="ascii").split()
        return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores


def free_cores(look_s: float = LOOK_S) -> float:
    """Return the number of usable cores that were idle while this process slept for `look_s`; all if Linux hides it."""
    meter = CoreMeter(own=lambda: 0.0)  # it sleeps
    time.sleep(look_s)
    return meter.free()


class CoreMeter:
    """Counts the usable cores that other processes leave free."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter, own: Callable[[], float] = time.process_time):
        """Begin to count.

        Args:
            clock: Seconds.
            own: Processor time of this process, s.
        """
        self._clock, self._own = clock, own
        self._before = self._now()

    def free(self) -> float:
        """Return their mean number since the last call, or since the start; all if Linux hides it."""
        (cores, began, own_before), self._before = self._before, self._now()
        after, now, own = self._before
        usable = float(usable_cores())
        shares = [_idle_share(cores[core], after[core]) for core in cores.keys() & after.keys()]
        if not shares:
            return usable
        own_cores = (own - own_before) / (now - began) if now > began else 0.0
        return min(sum(shares) + own_cores, usable)

    def _now(self) -> tuple[dict[int, tuple[int, int]], float, float]:
        return _times(), self._clock(), self._own()


def _idle_share(before: tuple[int, int], after: tuple[int, int]) -> float:
    idle, total = after[0] - before[0], after[1] - before[1]
    return min(1.0, max(0.0, idle / total)) if total > 0 else 1.0


def _times() -> dict[int, tuple[int, int]]:
    """Return idle and total time of each usable core, in ticks of the kernel's clock."""
    try:
        lines = STAT.read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    usable, found = os.sched_getaffinity(0), {}
    for line in lines:
        name, *numbers = line.split()
        core = name.removeprefix("cpu")
        if core.isdigit() and int(core) in usable:
            ticks = [int(number) for number in numbers[:8]]  # user nice system idle iowait irq softirq steal
            found[int(core)] = ticks[3] + ticks[4], sum(ticks)
    return found
