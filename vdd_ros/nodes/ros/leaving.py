"""Orderly exit of a process on SIGINT, SIGTERM and SIGHUP, at any moment."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import current_thread
from threading import enumerate as threads

_received: list[int] = []


def asked_to_leave() -> bool:
    """Return whether an exit signal has arrived; long waits in the main thread poll this."""
    return bool(_received)


def leaving_signals() -> list[signal.Signals]:
    """Return the exit signals, including SIGHUP unless ignored as by nohup."""
    hangup = [] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]


@contextmanager
def signals_noted() -> Iterator[list[int]]:
    """Collect exit signals in a list instead of ending the process."""
    _received.clear()
    wanted = leaving_signals()
    before = [signal.signal(number, lambda caught, _: _received.append(caught)) for number in wanted]
    try:
        yield _received
    finally:
        for number, handler in zip(wanted, before, strict=True):
            signal.signal(number, handler)
        _received.clear()


def leave(code: int) -> int:
    """Return the exit code; if a thread is still in native code, end the process with that code at once.

    Python's shutdown would destroy what such a thread uses, and the process would die by a signal. By now the robot has
    been stopped and the node destroyed.
    """
    if any(thread.daemon and thread is not current_thread() for thread in threads()):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    return code
