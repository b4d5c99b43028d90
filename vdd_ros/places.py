"""Output paths of commands, checked before the work begins, so that no result is lost."""

import argparse
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PosixPath
from typing import NoReturn

from vdd_ros.errors import ConfigurationError
from vdd_ros.text import printable

_SPARE = 40
"""Extra bytes in the name of a partial file, compared with that of its target."""


class OutputFile(PosixPath):
    """A file that the command will write; used as `type` of an option, and checked by `check_places`."""


class OutputFolder(PosixPath):
    """A folder that the command will write into; used as `type` of an option, and checked by `check_places`."""


def check_places(args: argparse.Namespace) -> None:
    """Raise an error, before the work begins, if an output path cannot be written.

    Raises:
        ConfigurationError: A file has the name of a folder or vice versa, a path or its file system is write-protected,
            a name is too long, or two arguments name the same file.
    """
    places = list(_paths(args))
    for option, place in places:
        if isinstance(place, OutputFile):
            check_file(option, place)
            _refuse_twice(option, place, places)
        elif isinstance(place, OutputFolder):
            check_folder(option, place)


def check_file(option: str, file: Path) -> None:
    """Refuse a file that cannot be written; its folder need not exist. Raises ConfigurationError."""
    found = _status(option, file)
    if found is not None and stat.S_ISDIR(found.st_mode):
        _refuse(option, file, "is a folder; name a file")
    if found is not None and not os.access(file, os.W_OK):
        _refuse(option, file, "is write-protected; name another file or change its mode")
    if found is None or stat.S_ISREG(found.st_mode):
        real = Path(os.path.realpath(file))
        _status(option, file, real.with_name(real.name[:200] + "x" * _SPARE))
        _check_parent(option, file, real.parent)


def check_folder(option: str, folder: Path) -> None:
    """Refuse a folder that cannot be made or written into. Raises ConfigurationError."""
    found = _status(option, folder)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        _refuse(option, folder, "is a file; name a folder")
    _check_parent(option, folder, Path(os.path.realpath(folder)))


def _check_parent(option: str, place: Path, folder: Path) -> None:
    """Refuse a place below a folder that cannot be made or written into."""
    while _status(option, place, folder) is None:
        folder = folder.parent
    if not folder.is_dir():
        _refuse(option, place, f"cannot be written: {printable(folder)} is a file, not a folder; name another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        _refuse(
            option, place, f"cannot be written: the folder {printable(folder)} is write-protected; name another place"
        )


def _status(option: str, place: Path, looked_at: Path | None = None) -> os.stat_result | None:
    """Return the status of a path, links followed; None if it is missing. Raises ConfigurationError if impossible."""
    try:
        return os.stat(looked_at or place)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        _refuse(option, place, f"cannot be written: {why}; name another place")


def _refuse_twice(option: str, file: Path, places: list[tuple[str, Path]]) -> None:
    """Refuse a file that another argument names too."""
    for other, place in places:
        if place is file:
            continue
        if os.path.realpath(place) == os.path.realpath(file) and not _is_device(file):
            what = "written" if isinstance(place, OutputFile | OutputFolder) else "read"
            _refuse(option, file, f"is {what} by this command too ({other.lstrip('-')}); name another file")


def _is_device(file: Path) -> bool:
    return file.exists() and not file.is_file() and not file.is_dir()


def _paths(args: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    for name, value in vars(args).items():
        for path in value if isinstance(value, list) else [value]:
            if isinstance(path, Path):
                yield f"--{name.replace('_', '-')}", path


def _refuse(option: str, place: Path, why: str) -> NoReturn:
    raise ConfigurationError(f"{option} {printable(place)} {why}")
