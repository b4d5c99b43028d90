"""Converts demonstrations from any readable to any writable format."""

from pathlib import Path
from typing import NamedTuple

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import FORMATS, get_format, read_demonstrations
from vdd_ros.errors import DemonstrationError
from vdd_ros.files import is_used
from vdd_ros.text import printable


class Converted(NamedTuple):
    """A converted set.

    Attributes:
        place: Written file or folder.
        demonstrations: The set that was read.
        dtype: The format's type of single numbers.
    """

    place: Path
    demonstrations: DemonstrationSet
    dtype: str


def convert(path: Path, name: str, folder: Path, *, force: bool = False) -> Converted:
    """Write demonstrations into a folder, in another format.

    Args:
        path: Demonstrations of any format, or a description of them.
        name: Name of the format to write.
        folder: A missing or empty folder.
        force: Replace an earlier set of the format in the folder.

    Raises:
        DemonstrationError: The demonstrations cannot be read, the format is unknown, only reads, or cannot hold them,
            or the folder is in use.
    """
    chosen = get_format(name)
    if chosen.write is None:
        usable, _ = FORMATS.usable()
        writing = ", ".join(sorted(printable(other) for other, one in usable.items() if one.write is not None))
        raise DemonstrationError(f"the format '{printable(name)}' is read-only; writable formats: {writing}")
    if is_used(folder):
        if not force:
            raise DemonstrationError(f"'{printable(folder)}' is not empty; name another folder, or replace it: --force")
        if path.exists() and folder.resolve() in (path.resolve(), *path.resolve().parents):
            raise DemonstrationError(f"'{printable(folder)}' holds the source demonstrations; name another folder")
    demonstrations = read_demonstrations(path)
    return Converted(chosen.write(demonstrations, folder), demonstrations, chosen.dtype)
