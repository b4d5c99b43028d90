"""A policy file's bytes, read once: the hashed bytes are the ones checked and executed."""

import os
import stat
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from vdd_ros.errors import PolicyFileError
from vdd_ros.file_kinds import POLICY, misplaced
from vdd_ros.text import printable

MAX_FILE_BYTES = 512 << 20
"""Size of a policy file: 128 million float32 weights. The limit is checked before the first byte is read."""


@dataclass(frozen=True)
class PolicyFile:
    """The content of an ordinary file that may be a policy. Create one with `PolicyFile.read`.

    Attributes:
        path: Path it was read from.
        content: All of it.
        sha256: Hash of `content`, 64 hexadecimal digits.
    """

    path: Path
    content: bytes
    sha256: str

    @classmethod
    def read(cls, path: str | Path, folder: Path | None = None) -> "PolicyFile":
        """Read a file once, whole.

        Args:
            path: The file.
            folder: Folder that must contain it, links resolved, at the moment of opening.

        Raises:
            PolicyFileError: It does not exist, is not an ordinary file (a folder, a pipe, a device), exceeds
                `MAX_FILE_BYTES`, cannot be read, or lies outside `folder`.
        """
        try:
            _check(path, os.stat(path))  # before opening: opening some devices has side effects
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
            _refuse(path, "grew while it was read. Load it again once it is complete")
        return cls(Path(path), content, sha256(content).hexdigest())


def opened(file: "str | Path | PolicyFile") -> PolicyFile:
    """Return the policy file, reading it first if given a path.

    Raises:
        PolicyFileError: As `PolicyFile.read`.
    """
    return file if isinstance(file, PolicyFile) else PolicyFile.read(file)


def _lies_in(folder: Path, descriptor: int) -> bool:
    """Return whether an open file lies in a folder; True if the system cannot say."""
    link = f"/proc/self/fd/{descriptor}"
    return not os.path.islink(link) or Path(os.readlink(link)).is_relative_to(folder)


def _check(path: str | Path, found: os.stat_result) -> None:
    """Refuse special files and files above the size limit."""
    if not stat.S_ISREG(found.st_mode):
        if stat.S_ISDIR(found.st_mode) and (why := misplaced(Path(path), POLICY, "a policy file")):
            _refuse(path, why)
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
