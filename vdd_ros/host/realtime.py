"""The host of a control loop: facts, granted real-time settings, and wake-up jitter."""

import ctypes
import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vdd_ros.errors import ConfigurationError
from vdd_ros.host.facts import MachineFacts, machine_facts

HIGHEST_CORE = 65535
_MCL_CURRENT_AND_FUTURE = 3


@dataclass(frozen=True)
class HostSettings:
    """Real-time settings of the thread that ticks.

    Attributes:
        fifo_priority: Priority under SCHED_FIFO, 1 to 99; 0 keeps the ordinary scheduler.
        cpu_affinity: Cores that the thread may run on, such as `2,3`; empty for all.
        lock_memory: Whether all pages of the process are locked in memory.

    Raises:
        ConfigurationError: A value is not allowed.
    """

    fifo_priority: int = 0
    cpu_affinity: str = ""
    lock_memory: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.fifo_priority <= 99:
            raise ConfigurationError(f"fifo_priority is {self.fifo_priority}; it must be 0 (off) to 99.")
        self.cores()

    def cores(self) -> set[int]:
        """Return the cores of `cpu_affinity`."""
        words = [word.strip() for word in self.cpu_affinity.split(",") if word.strip()]
        if not all(word.isdecimal() and len(word) <= 5 and int(word) <= HIGHEST_CORE for word in words):
            raise ConfigurationError(
                f"cpu_affinity is {self.cpu_affinity!r}; it must be core numbers (0 to {HIGHEST_CORE}), such as 2,3."
            )
        return {int(word) for word in words}


def settle(settings: HostSettings) -> list[str]:
    """Apply the settings to the calling thread, as far as the host allows.

    Returns:
        A text for each refused setting, with reason and remedy.
    """
    problems = []
    if settings.fifo_priority:
        problems += _attempt(
            lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(settings.fifo_priority)),
            f"SCHED_FIFO with priority {settings.fifo_priority}",
            f"allow it with the line '{_user()} - rtprio {settings.fifo_priority}' in /etc/security/limits.conf and "
            "log in again, or with the capability CAP_SYS_NICE",
        )
    if cores := settings.cores():
        allowed = sorted(os.sched_getaffinity(0))
        problems += _attempt(
            lambda: os.sched_setaffinity(0, cores),
            f"the cores {settings.cpu_affinity}",
            f"choose among {', '.join(map(str, allowed))}",
        )
    if settings.lock_memory:
        problems += _attempt(
            _lock_memory,
            "locked memory",
            f"allow it with the line '{_user()} - memlock unlimited' in /etc/security/limits.conf and log in again, or "
            "with the capability CAP_IPC_LOCK",
        )
    return problems


def _attempt(action: Callable[[], object], what: str, mend: str) -> list[str]:
    try:
        action()
    except (OSError, AttributeError) as error:
        return [f"the host refuses {what} ({error}); {mend}"]
    return []


def _lock_memory() -> None:
    if os.geteuid() != 0 and resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY:
        raise PermissionError("the limit of locked memory is finite, and allocations beyond it would fail later")
    if ctypes.CDLL(None, use_errno=True).mlockall(_MCL_CURRENT_AND_FUTURE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _user() -> str:
    return os.environ.get("USER") or str(os.getuid())


class HostFacts(MachineFacts):
    """Facts of the host that affect latency.

    Attributes:
        governor: Frequency governors of the cores; None if the kernel names none.
        kernel: Its release.
        preempt_rt: Whether the kernel is fully preemptible.
        clock_source: Source of the clocks; None if the kernel hides it.
        rtprio_limit: Highest SCHED_FIFO priority of this user; -1: unlimited.
        memlock_limit: Memory that this user may lock, bytes; -1: unlimited.
        load: Runnable threads, mean over the last minute.
    """

    governor: str | None
    kernel: str
    preempt_rt: bool
    clock_source: str | None
    rtprio_limit: int
    memlock_limit: int
    load: float


def host_facts() -> HostFacts:
    """Return the facts that affect latency: processor, kernel, clocks, limits."""
    governors = {_read(file) for file in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")}
    return {
        **machine_facts(),
        "governor": ", ".join(sorted(filter(None, governors))) or None,
        "kernel": platform.release(),
        "preempt_rt": _read(Path("/sys/kernel/realtime")) == "1" or "PREEMPT_RT" in platform.version(),
        "clock_source": _read(Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")),
        "rtprio_limit": resource.getrlimit(resource.RLIMIT_RTPRIO)[0],
        "memlock_limit": resource.getrlimit(resource.RLIMIT_MEMLOCK)[0],
        "load": os.getloadavg()[0],
    }


@dataclass(frozen=True)
class Jitter:
    """Delay of a thread's wake-up after a timed sleep.

    Attributes:
        p50_s, p99_s, max_s: Median, 99th percentile and maximum, seconds.
        count: Number of sleeps.
    """

    p50_s: float
    p99_s: float
    max_s: float
    count: int


def measure_jitter(count: int = 500, period_s: float = 0.001) -> Jitter:
    """Measure the wake-up delay of an idle control loop: `count` sleeps, due every `period_s` seconds."""
    late = np.empty(count)
    due = time.monotonic() + period_s
    for number in range(count):
        time.sleep(max(0.0, due - time.monotonic()))
        late[number] = time.monotonic() - due
        due += period_s
    p50, p99 = np.percentile(late, (50, 99)).tolist()
    return Jitter(p50, p99, float(late.max()), count)


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return None
