"""What a format of demonstration sets is: the type of the members of the entry-point group `vdd_ros.formats`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vdd_ros.data.demonstrations import DemonstrationSet


@dataclass(frozen=True)
class Format:
    """A way to keep demonstrations in a file or a folder.

    Attributes:
        description: In a few words, such as "HDF5 of robomimic".
        probe: Tells from a path that exists whether it is of this format; cheap, and raises nothing.
        read: Reads a set. Raises DemonstrationError for what is damaged, and runs no code that is in the data. Large
            arrays may be memory-mapped.
        write: Writes a set into a folder, whole or not at all, and returns the file or folder that holds it; None for a
            format that is only read.
    """

    description: str
    probe: Callable[[Path], bool]
    read: Callable[[Path], DemonstrationSet]
    write: Callable[[DemonstrationSet, Path], Path] | None = None
