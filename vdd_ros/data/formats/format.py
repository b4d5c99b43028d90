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
        description: A few words, such as "HDF5 of robomimic".
        probe: Returns whether an existing path is of this format; cheap, and raises nothing.
        read: Reads a set. Raises DemonstrationError for damaged data, and runs no code from the data. Large
            arrays may be memory-mapped.
        write: Writes a set into a folder, whole or not at all, and returns its file or folder; None for a read-only
            format.
        open: Opens data that may lack names, units or rate, so that a description can supply them (docs/formats.md);
            None for a format that always has them.
        dtype: Its type of single numbers, "float64" or "float32".
    """

    description: str
    probe: Callable[[Path], bool]
    read: Callable[[Path], DemonstrationSet]
    write: Callable[[DemonstrationSet, Path], Path] | None = None
    open: Callable[[Path], Source] | None = None
    dtype: str = FLOAT64
