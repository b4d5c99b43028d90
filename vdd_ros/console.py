"""Output of commands. Every line that `vdd` prints is escaped here, so that foreign text cannot control a terminal."""

import os
import sys
from typing import TextIO

from vdd_ros.text import printable


def show(*lines: str) -> None:
    """Print results to standard output; control characters except line breaks are escaped."""
    print(safe("\n".join(lines)))


def tell(text: str) -> None:
    """Print a remark or an error to standard error; a closed stream is ignored."""
    try:
        print(safe(text), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        silence(sys.stderr, 2)


def safe(text: str) -> str:
    """Return text of several lines, with all control and format characters except line breaks escaped."""
    return "\n".join(printable(line, max(len(line), 1)) for line in text.split("\n"))


def silence(stream: TextIO | None, descriptor: int) -> None:
    """Discard the buffered output of a closed stream, also at the interpreter's exit."""
    try:
        if stream is None or stream.fileno() != descriptor:
            return
    except (OSError, ValueError):  # not a real file
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
