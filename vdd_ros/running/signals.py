"""Signal handling of a command that must end other processes in order."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from vdd_ros.errors import Terminated


@contextlib.contextmanager
def interruptible_once() -> Iterator[None]:
    """Raise on the first SIGINT, SIGTERM or SIGHUP in the block, and ignore further ones.

    Further signals must not disturb the shutdown of the nodes. The earlier handlers are restored at the end.

    Raises:
        KeyboardInterrupt: SIGINT arrived.
        Terminated: SIGTERM or SIGHUP arrived.
    """
    wanted = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]

    def interrupt(received: int, _frame: FrameType | None) -> None:
        for number in wanted:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt if received == signal.SIGINT else Terminated(received)

    before = [signal.signal(number, interrupt) for number in wanted]
    try:
        yield
    finally:
        for number, handler in zip(wanted, before, strict=True):
            signal.signal(number, handler)
