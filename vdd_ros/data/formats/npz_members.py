"""Members of an .npz archive: arrays whose headers are checked before their numbers are read."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.text import printable

_MAX_NPY_HEADER = 4_096


class Member(NamedTuple):
    """The header of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int | None
    """Offset of its first number in the file, if it can be mapped."""

    @property
    def bytes(self) -> int:
        """Size of its numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


@contextmanager
def opened(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """Open an array's bytes; raises ValueError if they are encrypted or packed in an unknown way."""
    info = archive.getinfo(f"{name}.npy")
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"'{name}' is encrypted or packed in a way unknown to numpy")
    with archive.open(info) as stream:
        yield stream


def look(archive: zipfile.ZipFile, name: str, *, mapped_from: int | None = None) -> Member:
    """Read the header of an array.

    Args:
        archive: The archive.
        name: Name of the array.
        mapped_from: Size in bytes from which it may be mapped; None: it may not.

    Raises:
        ValueError: The archive holds another number of bytes, or no plain numbers.
    """
    with opened(archive, name) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"'{name}' has version {version} of numpy's format, not 1 or 2")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream, max_header_size=_MAX_NPY_HEADER)
        member = Member(shape, dtype, None)
        if member.dtype.hasobject:
            raise ValueError(f"'{name}' holds Python objects, which are never loaded")
        info = archive.getinfo(f"{name}.npy")
        there = info.file_size - stream.tell()
        if min(shape, default=0) < 0 or member.bytes != there:
            raise ValueError(f"'{name}' states the shape {shape}, but has {there:,} bytes")
        is_stored = info.compress_type == zipfile.ZIP_STORED
        if mapped_from is not None and is_stored and not fortran and there >= mapped_from:
            return member._replace(offset=_begin(Path(str(archive.filename)), info) + stream.tell())
    return member


def _begin(path: Path, info: zipfile.ZipInfo) -> int:
    """Return the offset of a stored member's data in the file: after its own header of 30 bytes and two texts."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        fixed = file.read(30)
    return info.header_offset + 30 + int.from_bytes(fixed[26:28], "little") + int.from_bytes(fixed[28:30], "little")


def read_member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Read an array; Python objects are never loaded."""
    with opened(archive, name) as stream:
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False, max_header_size=_MAX_NPY_HEADER)
    return array


def read_arrays(file: Path, most_bytes: int) -> dict[str, NDArray[Any]]:
    """Read an .npz archive of any arrays, their sizes checked before they are read.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It is no such archive, or too large. Damaged archives raise other errors too.
    """
    with zipfile.ZipFile(file) as archive:
        names = [info.filename for info in archive.infolist()]
        if foreign := [name for name in names if not name.endswith(".npy")]:
            raise ValueError(f"it holds '{printable(foreign[0])}', which is no array")
        arrays = [name.removesuffix(".npy") for name in names]
        if (total := sum(look(archive, name).bytes for name in arrays)) > most_bytes:
            raise ValueError(f"its arrays have {total:,} bytes; at most {most_bytes:,} are read")
        return {name: read_member(archive, name) for name in arrays}
