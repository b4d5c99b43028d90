"""Clocks that go on where a stopped process left them, and other JSON objects in the folder of the work."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vdd_ros.documents import read_json as read_document
from vdd_ros.documents import write_json
from vdd_ros.errors import ConfigurationError
from vdd_ros.text import printable

KEEP_EVERY_S = 5.0


@contextmanager
def timed(file: Path) -> Iterator[None]:
    """Add the time that the block takes to the seconds in a file, every few seconds, so that a kill loses few."""
    before, start, ended = read_seconds(file), time.monotonic(), threading.Event()

    def keep() -> None:
        write_json(file, {"seconds": before + time.monotonic() - start})

    def keep_on() -> None:
        while not ended.wait(KEEP_EVERY_S):
            keep()

    thread = threading.Thread(target=keep_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        keep()


def read_seconds(file: Path) -> float:
    """Return what a clock says; 0 before it was started; raises ConfigurationError if the file is no clock's."""
    clock = read_json(file)
    seconds = 0.0 if clock is None else clock.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise ConfigurationError(f"{printable(file)} holds no number of seconds; remove it")
    return float(seconds)


def read_json(file: Path) -> dict[str, Any] | None:
    """Read a JSON object; None if there is none yet; raises ConfigurationError if the file holds anything else."""
    if not file.exists():
        return None
    content = read_document(file, ConfigurationError)
    if not isinstance(content, dict):
        raise ConfigurationError(f"{printable(file)} holds no JSON object; remove it, and it is made again")
    return content
