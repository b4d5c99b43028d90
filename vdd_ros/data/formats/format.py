"""Interface of demonstration formats: the type of members of the entry-point group `vdd_ros.formats`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats.source import Source

FLOAT64 = "float64"


@dataclass(frozen=True)
class Format:
    """A file or folder format of demonstrations.

    Attributes:
        description: In a few words, such as "HDF5 of robomimic".
        probe: Returns whether an existing path is of this format; cheap, and raises nothing.
        read: Reads a set. Raises DemonstrationError for damaged data, and runs no code from the data. Large
            arrays may be memory-mapped.
        write: Writes a set into a folder, whole or not at all, and returns the file or folder that holds it; None for a
            format that is only read.
        open: Opens data that need not state names, units or rate, so that a description can (docs/formats.md); None for
            a format that always states them.
        dtype: Number type in which it keeps single numbers, "float64" or "float32".
    """

    description: str
    probe: Callable[[Path], bool]
    read: Callable[[Path], DemonstrationSet]
    write: Callable[[DemonstrationSet, Path], Path] | None = None
    open: Callable[[Path], Source] | None = None
    dtype: str = FLOAT64
