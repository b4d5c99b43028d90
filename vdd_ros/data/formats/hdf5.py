"""HDF5 files with one group per episode: keys, lengths and frames, read without running any code."""

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
_MAX_TEXT = 1 << 20


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
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # the library raises all of these
        raise damaged(path, f"is damaged ({printable(error)})", "copy it again, or record it again") from error


def numbered(group: "h5py.Group", prefix: str, path: Path) -> list[str]:
    """Return the members PREFIX0, PREFIX1, … of a group ordered by number; HDF5 lists 10 before 2."""
    pattern = re.compile(re.escape(prefix) + r"(\d{1,9})")
    found = {int(match[1]): name for name in group if (match := pattern.fullmatch(name))}
    if len(found) > MAX_EPISODES:
        raise damaged(path, f"holds {len(found):,} episodes", f"at most {MAX_EPISODES:,} are read: split it")
    return [found[number] for number in sorted(found)]


def dataset(group: "h5py.Group", name: str, path: Path) -> "h5py.Dataset":
    """Return an array of a group in the file itself.

    Raises:
        DemonstrationError: It is missing, not an array, in another file, or of objects.
    """
    import h5py

    full = f"{group.name.rstrip('/')}/{name}"
    link, where = group, f"has '{printable(full)}'"
    for part in name.split("/"):
        if not isinstance(link, h5py.Group) or part not in link:
            raise damaged(path, f"lacks '{printable(full)}'", "record or convert it again")
        if isinstance(link.get(part, getlink=True), h5py.ExternalLink):
            raise damaged(path, f"{where} in another file", "copy its content into this file")
        link = link[part]
    if not isinstance(link, h5py.Dataset) or link.external or link.is_virtual:
        raise damaged(path, f"{where}, which is not an array of this file", "record or convert it again")
    return link


def keys(group: "h5py.Group", path: Path) -> dict[str, "h5py.Dataset"]:
    """Return the arrays below a group, by their path in it, in alphabetical order."""
    import h5py

    found: dict[str, h5py.Dataset] = {}

    def collect(place: "h5py.Group", prefix: str, depth: int) -> None:
        for name in sorted(place):
            link = place.get(name, getlink=True)
            child = place.get(name) if isinstance(link, h5py.HardLink) else None
            if isinstance(child, h5py.Group) and depth < _MAX_DEPTH:
                collect(child, f"{prefix}{name}/", depth + 1)
            elif isinstance(child, h5py.Dataset):
                found[f"{prefix}{name}"] = child
            if len(found) > _MAX_KEYS:
                raise damaged(path, f"has more than {_MAX_KEYS:,} arrays in an episode", "split it")

    collect(group, "", 0)
    return found


def text(value: object) -> str:
    """Return an attribute or element as text: h5py gives texts, bytes and numpy's own."""
    if isinstance(value, bytes):
        return bytes(value[:_MAX_TEXT]).decode("utf-8", "replace")
    return str(value)[:_MAX_TEXT]


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
