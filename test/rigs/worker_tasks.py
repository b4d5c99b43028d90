"""Tasks for workers in tests; in a module of their own, so that other processes can import them."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def square(number: int) -> int:
    return number * number


def fail(text: str) -> None:
    raise ValueError(text)


class Unsendable:
    """A result that no other process can be given."""

    def __init__(self, _: object) -> None:
        self.number = 1

    def __reduce__(self) -> str:
        raise TypeError("cannot be sent")


class Unreadable:
    """A result that can be sent, but not read."""

    def __init__(self, _: object) -> None:
        self.number = 1

    def __setstate__(self, state: object) -> None:
        raise TypeError("cannot be read")


def process(_: object) -> int:
    return os.getpid()


def niceness(_: object) -> int:
    return os.nice(0)


def environment(name: str) -> str | None:
    return os.environ.get(name)


def die_at_first(payload: tuple[Path, int]) -> int:
    """Kill the own process by SIGKILL so many times, counted in a folder; then return how often this was begun."""
    folder, deaths = payload
    begun = len(list(folder.iterdir()))
    (folder / str(begun)).touch()
    if begun < deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return begun + 1


def die_and_do(payload: tuple[Path, Callable[[Any], Any], Any]) -> Any:
    """Kill the own process by SIGKILL at the first time, counted in a folder; then do what was to be done."""
    folder, function, task = payload
    die_at_first((folder, 1))
    return function(task)


def wait_for_an_end(folder: Path) -> None:
    """Wait until somebody interrupts; note the process, and that it could end in order."""
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        (folder / "aside").write_text(str(os.getpid()))
        (folder / "aside").rename(folder / "begun")
        while True:
            time.sleep(0.05)
    finally:
        (folder / "ended").touch()
