"""How a process is asked to leave, and how it leaves: SIGINT, SIGTERM and SIGHUP at any moment."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import current_thread
from threading import enumerate as threads

_received: list[int] = []


def asked_to_leave() -> bool:
    """Tell whether such a signal has come; who waits long in the main thread asks this again and again."""
    return bool(_received)


def leaving_signals() -> list[signal.Signals]:
    """Return the signals that ask to leave: also that of a terminal that is gone, unless it is ignored as by nohup."""
    hangup = [] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]


@contextmanager
def signals_noted() -> Iterator[list[int]]:
    """Collect the signals that ask to leave in a list instead of ending the process."""
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
    """Return the exit code; where a thread is still in somebody's native code, end the process with it at once.

    Python would take down what such a thread uses, and the process would end with a signal instead of its code. By now
    the robot was told to stop and the node is gone.
    """
    if any(thread.daemon and thread is not current_thread() for thread in threads()):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    return code
