"""Which policy files a node reads at all: of ordinary ones, those that its parameters allow."""

import re
from dataclasses import replace
from pathlib import Path

from vdd_ros.errors import ConfigurationError, PolicyFileError
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.text import printable

ANYWHERE, NOWHERE = "any", "none"
_KERNEL = ("/proc", "/sys", "/dev")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Allowed:
    """The policy files that `~/load_policy` may load.

    Args:
        folder: `any`, `none`, or the folder, at any depth, in which they must lie once links are followed.
        digests: Their SHA-256 digests, separated by commas or spaces; empty for any.

    Raises:
        ConfigurationError: The folder is none, or a digest is no SHA-256.
    """

    def __init__(self, folder: str = ANYWHERE, digests: str = "") -> None:
        self.digests = frozenset(word.lower() for word in re.split(r"[\s,]+", digests) if word)
        if wrong := sorted(word for word in self.digests if not _DIGEST.fullmatch(word)):
            raise ConfigurationError(
                f"parameter load_policy_sha256 holds {printable(wrong[0])!r}; a SHA-256 has 64 hexadecimal digits, as "
                "`sha256sum FILE` prints it; separate several by commas"
            )
        self._nowhere = folder == NOWHERE
        self._folder: Path | None = None
        if folder not in (ANYWHERE, NOWHERE):
            try:
                self._folder = Path(folder).expanduser().resolve(strict=True)
            except (OSError, RuntimeError, ValueError):
                self._folder = None
            if not folder or self._folder is None or not self._folder.is_dir():
                raise ConfigurationError(
                    f"parameter load_policy_from is {printable(folder)!r}; give {ANYWHERE}, {NOWHERE}, or a folder "
                    "that exists"
                )

    def read(self, path: str) -> PolicyFile:
        """Return the content of a file, if it may be loaded: read once, so that what was checked is what acts.

        Raises:
            ConfigurationError: The parameters forbid it.
            PolicyFileError: It is no ordinary file; see `PolicyFile.read`.
        """
        if self._nowhere:
            raise ConfigurationError("this node loads no other policy: its parameter load_policy_from is 'none'")
        real = _real(path)
        # Before it is told what there is: this answer goes to whoever asks.
        if self._folder is not None and (real is None or not real.is_relative_to(self._folder)):
            raise ConfigurationError(
                f"{printable(path)} is not in {self._folder}, the only folder that this node loads policies from "
                "(parameter load_policy_from)"
            )
        if real is not None and any(real.is_relative_to(folder) for folder in _KERNEL):
            raise PolicyFileError(
                f"{printable(path)} is a file of the kernel. Give the path of an .onnx file made by vdd export."
            )
        file = replace(PolicyFile.read(real or path, self._folder), path=Path(path))
        if self.digests and file.sha256 not in self.digests:
            raise ConfigurationError(
                f"{printable(path)} has the SHA-256 {file.sha256}, which is not among those that this node loads "
                "(parameter load_policy_sha256)"
            )
        return file


def _real(path: str) -> Path | None:
    """Return where a path leads, links followed, whether there is anything or not; None where that cannot be said."""
    try:
        return Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # links in a circle, no such user, a null character
        return None
