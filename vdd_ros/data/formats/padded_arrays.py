"""Episodes in arrays of one length, padded after each episode's end, with a mask of the real steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats.source import MAX_EPISODES, MAX_FRAMES, damaged
from vdd_ros.text import printable


def load_array(file: Path, axes: int) -> NDArray[Any]:
    """Map a numeric .npy file into memory.

    Args:
        file: The file.
        axes: Required number of axes.

    Raises:
        DemonstrationError: It is missing, damaged, of objects, or of another shape.
    """
    if not file.is_file():
        raise damaged(file, "is missing", "copy the data set again, with all its files")
    try:
        found = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header is parsed as Python, with different errors in each version
        raise damaged(file, f"is not a readable numpy array ({printable(error)})", "copy it again") from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiub" or found.ndim != axes or 0 in found.shape:
        form = f"{found.dtype}, {found.shape}" if isinstance(found, np.ndarray) else "no array"
        raise damaged(file, f"is {form}, not numbers in {axes} axes", "copy the data set again")
    return found


def lengths_of(file: Path, mask: NDArray[Any]) -> NDArray[np.int64]:
    """Return the lengths of episodes from a mask, (E, T): ones, then zeros.

    Raises:
        DemonstrationError: A row has another form.
    """
    if len(mask) > MAX_EPISODES or mask.size > MAX_FRAMES:
        raise damaged(file, f"has the shape {mask.shape}", f"at most {MAX_FRAMES:,} steps are read: split the data set")
    real = np.asarray(mask) != 0
    lengths = real.sum(axis=1, dtype=np.int64)
    wrong = (real != (np.arange(mask.shape[1]) < lengths[:, None])).any(axis=1) | ~np.isin(mask, (0, 1)).all(axis=1)
    if wrong.any():
        raise damaged(
            file,
            f"is not 1 up to the end of episode {int(np.argmax(wrong))} and 0 after it",
            "copy the data set again",
        )
    return lengths


def frames(values: NDArray[Any], lengths: NDArray[np.int64]) -> Callable[[], NDArray[Any]]:
    """Return a function that reads the real steps of (E, T, n) end to end, (M, n)."""

    def read() -> NDArray[Any]:
        return np.concatenate([values[episode, :length] for episode, length in enumerate(lengths.tolist())])

    return read
