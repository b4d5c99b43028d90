"""Earlier results in a folder: moved aside when a run begins, removed when it succeeds."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from vdd_ros.files import flush_folder

PREVIOUS = ".vdd_ros.previous"
_MOVING = ".vdd_ros.moving"


def set_aside(folder: Path, names: Iterable[str]) -> None:
    """Move an earlier result into the hidden subfolder `PREVIOUS`.

    If that folder exists, the run after it failed: its remains are removed, and the older result stays. Other files are
    left alone.

    Args:
        folder: The folder of the result.
        names: Files and folders in it that belong to the result; some may be missing.
    """
    previous, moving = folder / PREVIOUS, folder / _MOVING
    found = [folder / name for name in names if os.path.lexists(folder / name)]
    if previous.exists():
        for path in found:
            _remove(path)
        return
    if not found and not moving.exists():
        return
    moving.mkdir(exist_ok=True)  # completes what a killed process left unfinished
    for path in found:
        os.replace(path, moving / path.name)
    os.replace(moving, previous)
    flush_folder(folder)


def drop_earlier(folder: Path) -> None:
    """Remove the earlier result."""
    if (folder / PREVIOUS).exists():
        shutil.rmtree(folder / PREVIOUS)


def earlier(folder: Path) -> Path | None:
    """Return the path of the result before an unfinished run; None without one."""
    return folder / PREVIOUS if (folder / PREVIOUS).exists() else None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
