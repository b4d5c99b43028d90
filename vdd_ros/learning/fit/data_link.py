"""The link from a checkpoint to its demonstrations: a path relative to its folder, and their SHA-256.

The link is `demonstrations.json` in the checkpoint's folder. Demonstrations that were never written to a file are saved
in the folder itself. A student links to the set that it was distilled with, which need not be its teacher's.
"""

import json
import os
import re
from pathlib import Path

from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
from vdd_ros.documents import read_json
from vdd_ros.errors import DemonstrationError
from vdd_ros.files import replacing
from vdd_ros.text import printable

LINK_FILE = "demonstrations.json"
_MAX_PATH = 4_096
_MAX_BYTES = 1 << 16


def write_link(folder: Path, demonstrations: DemonstrationSet) -> None:
    """Link a checkpoint's folder to the file of its demonstrations, or to the copy that the folder keeps."""
    file = demonstrations.file
    if file is None or not file.exists():
        file = folder / FILE_NAME
    link = {"sha256": demonstrations.sha256, "path": os.path.relpath(file.resolve(), folder.resolve())}
    with replacing(folder / LINK_FILE) as aside:
        aside.write_text(json.dumps(link, indent=2) + "\n")


def load_linked(folder: Path) -> DemonstrationSet:
    """Read the demonstrations that a checkpoint was made with.

    Raises:
        DemonstrationError: The link is missing or damaged, or its target is missing or has another SHA-256.
    """
    if not (folder / LINK_FILE).exists():
        if (folder / FILE_NAME).exists():
            return DemonstrationSet.load(folder / FILE_NAME)
        raise DemonstrationError(
            f"'{printable(folder)}' has neither demonstrations nor a link to them; name its training data: --demos PATH"
        )
    path, sha256 = _read_link(folder / LINK_FILE)
    file = folder / path
    if not file.exists():
        raise DemonstrationError(
            f"the demonstrations that '{printable(folder)}' learned from (sha256 {sha256[:12]}) are not at "
            f"'{printable(file)}' any more; give them: --demos PATH"
        )
    found = DemonstrationSet.load(file)
    if found.sha256 != sha256:
        raise DemonstrationError(
            f"'{printable(file)}' holds other demonstrations (sha256 {found.sha256[:12]}) than '{printable(folder)}' "
            f"learned from ({sha256[:12]}); give those: --demos PATH"
        )
    return found


def _read_link(link: Path) -> tuple[str, str]:
    """Return path and SHA-256 of a link; raises DemonstrationError if it is damaged."""
    fields = read_json(link, DemonstrationError, max_bytes=_MAX_BYTES)
    path, sha256 = (fields.get(name) if isinstance(fields, dict) else None for name in ("path", "sha256"))
    good = isinstance(path, str) and path and printable(path, _MAX_PATH) == path
    if not good or not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise DemonstrationError(
            f"'{printable(link)}' is damaged: it lacks a path or a SHA-256; name what the checkpoint learned from: "
            "--demos PATH"
        )
    return str(path), sha256
