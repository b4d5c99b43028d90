"""Which policy files a node may read: ordinary files permitted by its parameters."""

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
        folder: `any`, `none`, or the folder that must contain them, at any depth, links resolved.
        digests: Permitted SHA-256 digests, separated by commas or spaces; empty: any.

    Raises:
        ConfigurationError: The folder does not exist, or a digest is not a SHA-256.
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
        """Return the content of a permitted file, read once, so the checked bytes are the ones that act.

        Raises:
            ConfigurationError: The parameters forbid it.
            PolicyFileError: The path is not an ordinary file; see `PolicyFile.read`.
        """
        if self._nowhere:
            raise ConfigurationError("this node loads no other policy: its parameter load_policy_from is 'none'")
        real = _real(path)
        # Before revealing what exists: any caller gets this reply.
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
    """Return the resolved path, existing or not; None if it cannot be resolved."""
    try:
        return Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # link cycle, unknown user, null character
        return None
