"""A terminal behind a child's standard error, so that it shows its bars as to a person."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence

_WINDOW = struct.pack("HHHH", 40, 200, 0, 0)


class OnTerminal:
    """A `vdd` command whose standard error is a terminal.

    Attributes:
        process: The command.
        said: What it said so far.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._own, side = os.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, _WINDOW)
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vdd_ros.cli.main", *argv],
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
            stderr=side,
        )
        os.close(side)

    def read_until(self, pattern: str) -> None:
        """Read what it says until that matches; fails once it has ended."""
        while not re.search(pattern, self.said):
            assert self._read(), self.said

    def read_to_the_end(self) -> int:
        """Read until it has ended; return its exit code."""
        while self._read():
            pass
        return self.process.wait()

    def kill(self) -> None:
        """End it if it still runs."""
        self.process.kill()
        self.process.wait()
        os.close(self._own)

    def _read(self) -> bool:
        try:
            more = os.read(self._own, 4096)
        except OSError:  # of a terminal whose other side is closed
            return False
        self.said += more.decode(errors="replace")
        return bool(more)
