"""A data set of another program before names, units and selection are settled: its keys."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats.choice import KeyChoice
from vdd_ros.errors import DemonstrationError
from vdd_ros.text import printable

UNKNOWN = "unknown"
"""Unit of a number whose data set states none; it converts to no other unit."""
EXTRA = "formats"
"""Extra of setup.py with the libraries."""
MAX_BYTES = 4 << 30
"""Limit on all keys that are read into memory."""
MAX_FRAMES = 100_000_000
"""Limit on the frames: five weeks at 30 Hz."""
MAX_EPISODES = 10_000_000


@dataclass(frozen=True)
class Column:
    """One key of a data set: a vector or an array for each frame.

    Attributes:
        key: Name of the key in the data set.
        shape: Shape of one frame; () for a number.
        dtype: numpy's name of the number type in the data set.
        read: Reads all frames: (M, *shape) of `dtype`, episodes end to end. Raises DemonstrationError.
        base: Name of its numbers without their index; by default the key.
        names: Names of the numbers of a vector; empty if the data set has none.
        units: Their units, or one for all; empty if neither data set nor format states them.
        problem: Why it is unreadable, as the end of a sentence; empty if it is readable.
        note: A further sentence for errors about non-finite frames; may be empty.
    """

    key: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], NDArray[Any]]
    base: str = ""
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    problem: str = ""
    note: str = ""

    @property
    def size(self) -> int:
        """Numbers of one frame."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Source:
    """A data set of another program.

    Attributes:
        path: File or folder.
        kind: Its kind, such as "a LeRobot data set (v3.0)".
        task: Name of its task.
        lengths: (E,) frames of each episode, at least 1.
        columns: All keys, in order.
        rate_hz: Frames per second; None if the data set states none.
        observation: Keys, or parts of them, that the format marks as observed; may be empty.
        action: Those that it marks as commanded, likewise.
        subsets: Numbers of the episodes of each named part, such as "train".
    """

    path: Path
    kind: str
    task: str
    lengths: NDArray[np.int64]
    columns: tuple[Column, ...]
    rate_hz: float | None = None
    observation: tuple[str | KeyChoice, ...] = ()
    action: tuple[str | KeyChoice, ...] = ()
    subsets: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def marked(self, role: str) -> tuple[KeyChoice, ...]:
        """Return the format's marks of "observation" or "action"."""
        marks = self.observation if role == "observation" else self.action
        return tuple(KeyChoice(mark) if isinstance(mark, str) else mark for mark in marks)

    @property
    def frames(self) -> int:
        """Frames of all episodes."""
        return int(self.lengths.sum())

    @property
    def title(self) -> str:
        """Path and kind, the beginning of a sentence."""
        return f"'{printable(self.path)}', {self.kind},"

    def column(self, key: str) -> Column | None:
        """Return a key's column; None if there is none."""
        return next((column for column in self.columns if column.key == key), None)


def damaged(path: Path, problem: str, mend: str) -> DemonstrationError:
    """Return the error for a file that contradicts its format; `mend` is the end of a sentence."""
    return DemonstrationError(f"'{printable(path)}' {problem}; {mend}")


def check_lengths(path: Path, lengths: NDArray[np.int64], frames: int | None = None) -> None:
    """Refuse episodes with inconsistent lengths.

    Args:
        path: Path named in the error.
        lengths: (E,) frames of each episode.
        frames: Total number of frames; None: any number.

    Raises:
        DemonstrationError: There is no episode, or one without a frame, or their sum differs.
    """
    if not len(lengths):
        raise damaged(path, "holds no episode", "record some, or name another data set")
    if lengths.min() < 1:
        which = int(np.argmin(lengths))
        raise damaged(path, f"has an episode without a frame, number {which}", "remove that episode")
    total = sum(map(int, lengths))
    if frames is not None and total != frames:
        raise damaged(
            path,
            f"has {frames:,} frames, but the lengths of its {len(lengths):,} episodes add up to {total:,}",
            "copy or convert it again",
        )
    if total > MAX_FRAMES:
        raise damaged(path, f"has {total:,} frames", f"at most {MAX_FRAMES:,} are read: split it")


@contextmanager
def needing(package: str, what: str) -> Iterator[None]:
    """Raise an error that names the extra if the block cannot import an optional package.

    Args:
        package: Its import name.
        what: The data that need it, as the beginning of a sentence.

    Raises:
        DemonstrationError: The package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise DemonstrationError(
            f"{what} needs {package}, which is not installed; the extra '{EXTRA}' contains it: "
            f"pip install 'vdd_ros[{EXTRA}]'"
        ) from error
