"""Progress of long work: a bar in a terminal, plain lines at growing intervals in a log file.

Output errors never end the work: if standard error is closed or full, nothing is shown.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Protocol, TextIO, TypeVar

from vdd_ros.text import printable

FIRST_S = 10.0
"""Seconds until the first line of a log file."""
GROWTH = 0.1
"""The next line follows after this share of the elapsed time: 80 lines in 8 hours."""

Item = TypeVar("Item")


class Progress(Protocol):
    """A progress bar or its substitute; a context manager that ends it.

    Attributes:
        n: Units done so far.
    """

    n: int

    def update(self, n: int = 1) -> None:
        """Count `n` more finished units."""

    def set_postfix_str(self, s: str) -> None:
        """Set the text after the count."""

    def write(self, s: str, file: TextIO | None = None) -> None:
        """Show a separate line above the bar; pass sys.stderr as `file`."""

    def __enter__(self) -> "Progress": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def progress(total: int, title: str, unit: str, *, initial: int = 0, disable: bool = False) -> Progress:
    """Return a bar if standard error is a terminal, otherwise plain lines.

    Args:
        total: Units in all.
        title: The work in words.
        unit: Name of a unit, singular.
        initial: Units finished before.
        disable: Show nothing; the environment variable TQDM_DISABLE does the same.
    """
    disable = disable or os.environ.get("TQDM_DISABLE", "").lower() in ("1", "true", "yes")
    if disable or not _in_terminal():
        return Lines(total, title, unit, initial=initial, disable=disable)
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:  # part of an extra; lines show the same
        return Lines(total, title, unit, initial=initial)

    bar: Progress = tqdm(total=total, desc=title, unit=unit, initial=initial, dynamic_ncols=True)
    return bar


def each(items: Iterable[Item], total: int, title: str, unit: str) -> Iterator[Item]:
    """Yield items, and show how many of `total` are finished."""
    with progress(total, title, unit) as bar:
        for item in items:
            yield item
            bar.update()


class Lines:
    """Progress as lines of text on standard error, the last one when the block ends.

    Args:
        total: Units in all.
        title: The work in words.
        unit: Name of a unit, singular.
        initial: Units finished before.
        disable: Show nothing.
        clock: Seconds, ascending.
    """

    def __init__(
        self,
        total: int,
        title: str,
        unit: str,
        *,
        initial: int = 0,
        disable: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.n = initial
        self._total, self._title, self._unit = total, title, unit
        self._disable, self._clock = disable, clock
        self._postfix = ""
        self._began = clock()
        self._next = self._began + FIRST_S

    def update(self, n: int = 1) -> None:
        """Count `n` more finished units; show a line if one is due."""
        self.n += n
        now = self._clock()
        if now >= self._next:
            self._next = now + max(FIRST_S, GROWTH * (now - self._began))
            self._show(now)

    def set_postfix_str(self, s: str) -> None:
        """Set the text after the count."""
        self._postfix = s

    def write(self, s: str, file: TextIO | None = None) -> None:
        """Show a separate line; it always goes to standard error."""
        if not self._disable:
            _write(s)

    def __enter__(self) -> "Lines":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._show(self._clock())

    def _show(self, now: float) -> None:
        if self._disable:
            return
        units = self._unit if self._total == 1 else f"{self._unit}s"
        postfix = f", {self._postfix}" if self._postfix else ""
        _write(f"{self._title}: {self.n:,} of {self._total:,} {units}, {now - self._began:.0f} s{postfix}")


def _in_terminal() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # closed
        return False


def _write(text: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads it, but the work goes on
        print(printable(text, max(len(text), 1)), file=sys.stderr, flush=True)
