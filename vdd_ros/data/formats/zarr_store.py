"""The files of a zarr store, in a folder or in a zip file, read with a size limit."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from vdd_ros.data.formats.source import damaged
from vdd_ros.errors import DemonstrationError
from vdd_ros.files import read_ordinary
from vdd_ros.text import printable

_MAX_MEMBERS = 1_000_000


class Store(Protocol):
    """A folder or a zip file with the files of a store."""

    path: Path

    def read(self, name: str, most: int) -> bytes | None:
        """Return the content of a file, None if it is missing; raises DemonstrationError above `most` bytes."""

    def folders(self, name: str) -> list[str]:
        """Return the names of the folders in a folder, in alphabetical order."""


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """Open a store while the block runs; raises DemonstrationError if a zip file is damaged."""
    if path.is_dir():
        yield FolderStore(path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # the library raises nearly anything for a damaged archive
        raise damaged(path, f"is not a readable zip file ({printable(error)})", "copy it again") from error
    with archive:
        yield ZipStore(path, archive)


class FolderStore:
    """A store in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str, most: int) -> bytes | None:
        """See `Store.read`."""
        try:
            content = read_ordinary(self.path / name, most)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise damaged(self.path / name, f"cannot be read ({error.strerror})", "copy the store again") from error
        return _bounded(self.path, name, content, most)

    def folders(self, name: str) -> list[str]:
        """See `Store.folders`."""
        place = self.path / name
        return sorted(child.name for child in place.iterdir() if child.is_dir()) if place.is_dir() else []


class ZipStore:
    """A store in a zip file; of a duplicate name, the last one counts, as in zarr."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        self._members = {info.filename: info for info in archive.infolist()}
        if len(self._members) > _MAX_MEMBERS:
            raise damaged(path, f"holds {len(self._members):,} files", f"at most {_MAX_MEMBERS:,} are read: split it")

    def read(self, name: str, most: int) -> bytes | None:
        """See `Store.read`."""
        info = self._members.get(name)
        if info is None:
            return None
        try:
            with self._archive.open(info) as stream:
                content = stream.read(most + 1)
        except Exception as error:  # for the same reason
            raise damaged(
                self.path, f"has '{printable(name)}', which cannot be read ({printable(error)})", "copy it again"
            ) from error
        return _bounded(self.path, name, content, most)

    def folders(self, name: str) -> list[str]:
        """See `Store.folders`."""
        prefix = f"{name}/"
        below = (member.removeprefix(prefix) for member in self._members if member.startswith(prefix))
        return sorted({first for first, slash, _ in (rest.partition("/") for rest in below) if slash and first})


def _bounded(path: Path, name: str, content: bytes, most: int) -> bytes:
    if len(content) > most:
        raise DemonstrationError(
            f"'{printable(path)}' has '{printable(name)}' of more than {most:,} bytes, the limit for its chunk; write "
            "the store again"
        )
    return content
