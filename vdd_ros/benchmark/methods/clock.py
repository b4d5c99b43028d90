"""Clocks that survive a stopped process, and other JSON objects in the work folder."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vdd_ros.documents import JsonObject, write_json
from vdd_ros.documents import read_json as read_document
from vdd_ros.errors import ConfigurationError
from vdd_ros.text import printable

KEEP_EVERY_S = 5.0


@contextmanager
def timed(file: Path) -> Iterator[None]:
    """Add the time of the block to the seconds in a file, every `KEEP_EVERY_S`, so that a kill loses little."""
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
    """Return the seconds of a clock, 0 before its start; raises ConfigurationError if the file holds anything else."""
    clock = read_json(file)
    seconds = 0.0 if clock is None else clock.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise ConfigurationError(f"{printable(file)} holds no number of seconds; remove it")
    return float(seconds)


def read_json(file: Path) -> "JsonObject | None":
    """Read a JSON object; None if the file is missing; raises ConfigurationError if it holds anything else."""
    if not file.exists():
        return None
    content = read_document(file, ConfigurationError)
    if not isinstance(content, dict):
        raise ConfigurationError(f"{printable(file)} holds no JSON object; remove it, and it is made again")
    return content
