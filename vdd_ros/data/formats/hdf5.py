"""HDF5 files with one group per episode: keys, lengths and frames, read without running any code."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats.source import MAX_EPISODES, MAX_FRAMES, Column, damaged, needing
from vdd_ros.errors import DemonstrationError
from vdd_ros.text import printable

if TYPE_CHECKING:
    import h5py

MAGIC = b"\x89HDF\r\n\x1a\n"
_MAX_DEPTH = 4
_MAX_KEYS = 1_024
_MAX_LINKS = 32
"""Limit on the links followed within a file for one array."""
MAX_CHUNK_BYTES = 1 << 30
"""Size limit of a chunk, which is unpacked whole."""
MAX_TEXT = 1 << 20
"""Size limit of an attribute, or of a name in a list, in bytes."""


def is_hdf5(file: Path) -> bool:
    """Return whether a file begins like HDF5; raises nothing."""
    try:
        with file.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def holds(file: Path, test: Callable[["h5py.File"], bool]) -> bool:
    """Return whether an HDF5 file passes a test; True if h5py is missing, which reading reports; raises nothing."""
    if not is_hdf5(file):
        return False
    try:
        import h5py
    except ModuleNotFoundError:
        return True
    try:
        with h5py.File(file, "r", locking=False) as opened:
            return test(opened)
    except Exception:  # a damaged file makes the library raise nearly anything
        return False


@contextmanager
def opened(path: Path) -> Iterator["h5py.File"]:
    """Open an HDF5 file while the block runs.

    Raises:
        DemonstrationError: h5py is missing, or the file cannot be read.
    """
    with needing("h5py", f"'{printable(path)}', an HDF5 file,"):
        import h5py
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except DemonstrationError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:  # all from the library
        raise damaged(path, f"is damaged ({printable(error)})", "copy it again, or record it again") from error


def numbered(group: "h5py.Group", prefix: str, path: Path) -> list[str]:
    """Return the members PREFIX0, PREFIX1, … of a group ordered by number; HDF5 lists 10 before 2."""
    pattern = re.compile(re.escape(prefix) + r"(\d{1,9})")
    found = {int(match[1]): name for name in group if (match := pattern.fullmatch(name))}
    if len(found) > MAX_EPISODES:
        raise damaged(path, f"holds {len(found):,} episodes", f"at most {MAX_EPISODES:,} are read: split it")
    return [found[number] for number in sorted(found)]


def member(group: "h5py.Group", name: str, path: Path) -> "h5py.Group | h5py.Dataset | h5py.Datatype | None":
    """Return the object with a name; None if there is none.

    Every part of the name is checked before it is followed: HDF5 itself opens any file that a link names, and opening a
    pipe blocks.

    Raises:
        DemonstrationError: It is in another file, or behind circular links.
    """
    import h5py

    where = f"has '{printable(_full(group, name))}'"
    place, waiting, followed = group, name.split("/")[::-1], 0
    while waiting:
        part = waiting.pop()
        if part in ("", "."):
            continue
        link = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
        if link is None:
            return None
        if isinstance(link, h5py.HardLink):
            place = place[part]
            continue
        if not isinstance(link, h5py.SoftLink):
            raise damaged(path, f"{where} in another file", "copy its content into this file")
        followed += 1
        if followed > _MAX_LINKS:
            raise damaged(path, f"{where} behind more than {_MAX_LINKS} links", "record or convert it again")
        place = place.file["/"] if link.path.startswith("/") else place
        waiting += link.path.split("/")[::-1]
    return place


def group(parent: "h5py.Group", name: str, path: Path) -> "h5py.Group":
    """Return a group of a group; raises DemonstrationError if it is missing, not a group, or in another file."""
    import h5py

    found = member(parent, name, path)
    if not isinstance(found, h5py.Group):
        raise damaged(path, f"has no group '{printable(_full(parent, name))}'", "record or convert it again")
    return found


def dataset(group: "h5py.Group", name: str, path: Path) -> "h5py.Dataset":
    """Return an array of a group in the file itself.

    Raises:
        DemonstrationError: It is missing, not an array, in another file, of objects, or in chunks that are too large.
    """
    import h5py

    found = member(group, name, path)
    if found is None:
        raise damaged(path, f"lacks '{printable(_full(group, name))}'", "record or convert it again")
    where = f"has '{printable(_full(group, name))}'"
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise damaged(path, f"{where}, which is not an array of this file", "record or convert it again")
    if found.chunks and math.prod(found.chunks) * found.dtype.itemsize > MAX_CHUNK_BYTES:
        raise damaged(
            path, f"{where} in chunks of {found.chunks}", f"at most {MAX_CHUNK_BYTES:,} bytes are read: write it again"
        )
    return found


def _full(group: "h5py.Group", name: str) -> str:
    return f"{group.name.rstrip('/')}/{name}"


def keys(group: "h5py.Group", path: Path) -> dict[str, "h5py.Dataset"]:
    """Return the arrays below a group, by their path in it, in alphabetical order; links are skipped."""
    import h5py

    found: dict[str, h5py.Dataset] = {}
    count = 0

    def collect(place: "h5py.Group", prefix: str, depth: int) -> None:
        nonlocal count
        for name in sorted(place):
            count += 1
            if count > _MAX_KEYS:  # a group may contain itself
                raise damaged(path, f"has more than {_MAX_KEYS:,} arrays and groups in an episode", "split it")
            link = place.get(name, getlink=True)
            child = place.get(name) if isinstance(link, h5py.HardLink) else None
            if isinstance(child, h5py.Group) and depth < _MAX_DEPTH:
                collect(child, f"{prefix}{name}/", depth + 1)
            elif isinstance(child, h5py.Dataset):
                found[f"{prefix}{name}"] = child

    collect(group, "", 0)
    return found


def text(value: object) -> str:
    """Return an attribute or element as text: h5py gives texts, bytes and numpy's own."""
    if isinstance(value, bytes):
        return bytes(value[:MAX_TEXT]).decode("utf-8", "replace")
    return str(value)[:MAX_TEXT]


def episode_column(
    path: Path, key: str, sample: "h5py.Dataset", episodes: Sequence[str], lengths: NDArray[np.int64], base: str
) -> Column:
    """Return the column of one key.

    Args:
        path: The file.
        key: Key of the array in an episode's group.
        sample: The array of the first episode.
        episodes: Groups of all episodes.
        lengths: (E,) frames to read of each; an array may have one more, the observation after the last action.
        base: Name of its numbers without their index.
    """
    shape, dtype = tuple(int(size) for size in sample.shape[1:]), sample.dtype
    problem = ""
    if dtype.kind not in "fiub":
        problem = f"holds {'objects' if dtype.kind == 'O' else printable(dtype)}, which are not numbers"
    elif sample.ndim == 0 or 0 in shape:
        problem = f"has the shape {sample.shape}, without a number for each frame"

    def read() -> NDArray[Any]:
        found = np.empty((int(lengths.sum()), *shape), dtype)
        with opened(path) as file:
            start = 0
            for episode, length in zip(episodes, lengths.tolist(), strict=True):
                values = dataset(file, f"{episode}/{key}", path)
                same = tuple(values.shape[1:]) == shape and values.dtype == dtype
                if not same or values.ndim == 0 or values.shape[0] not in (length, length + 1):
                    raise damaged(
                        path,
                        f"has '{printable(episode)}/{printable(key)}' of {printable(values.dtype)} and the shape "
                        f"{values.shape}; with {length:,} actions in this episode, and the first episode's shape, it "
                        f"should be {printable(dtype)}, {(length, *shape)}",
                        "remove that episode, or convert the file again",
                    )
                found[start : start + length] = values[:length]
                start += length
        return found

    return Column(key, shape, dtype.name if not problem else "object", read, base, problem=problem)


def actions_length(path: Path, episode: str, values: "h5py.Dataset") -> int:
    """Return the number of an episode's actions; raises DemonstrationError if it is implausible."""
    length = int(values.shape[0]) if values.ndim else 0
    if not 1 <= length <= MAX_FRAMES:
        raise damaged(path, f"has {length:,} actions in '{printable(episode)}'", "remove that episode")
    return length
