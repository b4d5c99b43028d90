"""The tick thread and its deadlines."""

import ctypes
import sys
import time
from collections.abc import Callable
from threading import Event, Thread

from rclpy.node import Node

from vdd_ros.nodes.ros.containment import ending

SWITCH_INTERVAL_S = 1e-4
SLICE_NS = 50_000_000
STOP_S = 2.0
_ABSOLUTE = 1


class _TimeSpec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def _clock_nanosleep() -> Callable[[int], None]:
    """Return a function that sleeps until an instant of `time.monotonic_ns`; a signal may end it early."""
    function = getattr(ctypes.CDLL(None), "clock_nanosleep", None)
    spec = _TimeSpec()
    pointer, clock = ctypes.byref(spec), int(time.CLOCK_MONOTONIC)

    def sleep(until_ns: int) -> None:
        if function is None:  # on macOS
            time.sleep(max(0, until_ns - time.monotonic_ns()) * 1e-9)
            return
        spec.seconds, spec.nanoseconds = divmod(until_ns, 1_000_000_000)
        function(clock, _ABSOLUTE, pointer, None)

    return sleep


class Deadlines:
    """Instants one period apart on the monotonic clock; missed ones are skipped without shifting the rest.

    Attributes:
        due_ns: The next instant, of `time.monotonic_ns`.
    """

    def __init__(self, period_s: float, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._period_ns = round(period_s * 1e9)
        self._now_ns = now_ns
        self.due_ns = now_ns() + self._period_ns

    def step(self) -> None:
        """Advance to the first instant in the future."""
        behind = self._now_ns() - self.due_ns
        self.due_ns += self._period_ns * (1 + max(0, behind) // self._period_ns)


class TickThread:
    """Repeats a step until stopped.

    Meanwhile Python's switch interval is 0.1 ms rather than 5 ms: that bounds a tick's wait for an executor callback,
    such as the diagnostics.

    Args:
        begin: Called first, in the thread.
        step: Called repeatedly.
        failed: Called with the exception of `begin` or `step` that ends the thread, unless the thread was abandoned.
    """

    def __init__(
        self, begin: Callable[[], None], step: Callable[["TickThread"], None], failed: Callable[[Exception], None]
    ) -> None:
        self._begin = begin
        self._step = step
        self._failed = failed
        self._stopped = Event()
        self._abandoned = False
        self._sleep = _clock_nanosleep()
        self._switch_interval_s = sys.getswitchinterval()
        self._thread = Thread(target=self._run, name="tick", daemon=True)
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._thread.start()

    def sleep_until(self, instant_ns: int) -> bool:
        """Sleep until an instant of `time.monotonic_ns`; return False if the thread is to stop."""
        while (now_ns := time.monotonic_ns()) < instant_ns and not self._stopped.is_set():
            self._sleep(min(instant_ns, now_ns + SLICE_NS))
        return not self._stopped.is_set()

    @property
    def stopping(self) -> bool:
        """Whether the thread is to end."""
        return self._stopped.is_set()

    @property
    def running(self) -> bool:
        """Whether the thread has not ended yet."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float = STOP_S) -> bool:
        """End the thread after the current step.

        Args:
            timeout_s: Longest wait for the end of that step, in seconds; then the thread is abandoned.

        Returns:
            Whether it has ended.
        """
        self._stopped.set()
        self._thread.join(timeout_s)
        self._abandoned = self._thread.is_alive()
        sys.setswitchinterval(self._switch_interval_s)
        return not self._abandoned

    def _run(self) -> None:
        try:
            self._begin()
            while not self._stopped.is_set():
                self._step(self)
        except Exception as error:  # an executor would raise it; a thread must hand it over
            if not self._abandoned:
                self._failed(error)


def end_executor(node: Node, error: Exception) -> None:
    """Make a thread's error end the spinning of its node, which is useless without that thread."""

    def end() -> None:
        raise ending(node, error)

    if node.executor is None:
        node.get_logger().fatal(f"{error!r} in a thread of a node that nothing spins")
    else:
        node.executor.create_task(end)
