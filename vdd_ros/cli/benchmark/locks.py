"""Folders that one process holds at a time, and clocks that go on where a stopped process left them."""

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vdd_ros.cli.report import write_json

KEEP_EVERY_S = 5.0


@contextmanager
def holding(folder: Path, *, shared: bool = False, wait: bool = False) -> Iterator[bool]:
    """Hold a folder against other processes; it is free again when the block or the process ends.

    Args:
        folder: Made if it is missing.
        shared: Several may hold it, but not together with one that holds it alone.
        wait: Wait until it is free.

    Yields:
        Whether it is held: always if `wait`, else only if it was free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
            held = True
        except BlockingIOError:
            held = False
        yield held
    finally:
        os.close(handle)


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
    """Return what a clock says; 0 before it was started."""
    return float((read_json(file) or {"seconds": 0.0})["seconds"])


def read_json(file: Path) -> dict[str, Any] | None:
    """Read a JSON object that was written whole; None if there is none yet."""
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return content
