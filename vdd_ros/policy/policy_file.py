"""A policy file's bytes: read once, so that what is hashed is what is checked and what acts."""

import os
import stat
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from vdd_ros.errors import PolicyFileError
from vdd_ros.text import printable

MAX_FILE_BYTES = 512 << 20
"""Size of a policy file: 128 million float32 weights. The limit is checked before the first byte is read."""


@dataclass(frozen=True)
class PolicyFile:
    """The content of an ordinary file that may be a policy. Make one with `PolicyFile.read`.

    Attributes:
        path: Where it was read.
        content: All of it.
        sha256: Of `content`, 64 hexadecimal digits.
    """

    path: Path
    content: bytes
    sha256: str

    @classmethod
    def read(cls, path: str | Path, folder: Path | None = None) -> "PolicyFile":
        """Read a file once, whole.

        Args:
            path: The file.
            folder: Where it must lie, links followed, when it is opened, whatever the path led to before.

        Raises:
            PolicyFileError: There is none, it is no ordinary file (a folder, a pipe, a device), has more than
                `MAX_FILE_BYTES`, cannot be read, or lies elsewhere.
        """
        try:
            _check(path, os.stat(path))  # before it is opened: opening some devices acts
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
                _check(path, os.fstat(stream.fileno()))
                if folder is not None and not _lies_in(folder, stream.fileno()):
                    _refuse(path, f"leads out of {printable(folder)} by now. Give a file that stays there")
                content = stream.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            _refuse(path, "is not a file: nothing has that name. Give the path of an .onnx file made by vdd export")
        except (OSError, ValueError) as error:  # ValueError: a name with a null character
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            _refuse(path, f"cannot be read ({reason}). Check the path and its permissions")
        if len(content) > MAX_FILE_BYTES:
            _refuse(path, "grew while it was read. Load it again when it is written")
        return cls(Path(path), content, sha256(content).hexdigest())


def opened(file: "str | Path | PolicyFile") -> PolicyFile:
    """Return a policy file that is read; a path is read now.

    Raises:
        PolicyFileError: As `PolicyFile.read`.
    """
    return file if isinstance(file, PolicyFile) else PolicyFile.read(file)


def _lies_in(folder: Path, descriptor: int) -> bool:
    """Return whether an open file lies in a folder; True where the system does not tell."""
    link = f"/proc/self/fd/{descriptor}"
    return not os.path.islink(link) or Path(os.readlink(link)).is_relative_to(folder)


def _check(path: str | Path, found: os.stat_result) -> None:
    """Refuse what is no ordinary file, and what is too large."""
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, socket or device"
        _refuse(path, f"is not a file but {kind}. Give the path of an .onnx file made by vdd export")
    if found.st_size > MAX_FILE_BYTES:
        _refuse(
            path,
            f"has {found.st_size / 1e6:,.0f} MB; a policy file has at most {MAX_FILE_BYTES / 1e6:,.0f} MB. Check that "
            "it is one, or train a smaller network",
        )


def _refuse(path: str | Path, problem: str) -> NoReturn:
    raise PolicyFileError(f"{printable(path)} {problem}.")
