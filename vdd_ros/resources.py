"""Finds the files that ship beside the code: policies, robot files, parameter files, launch files."""

from pathlib import Path

from vdd_ros.errors import ConfigurationError

_PACKAGE = "vdd_ros"


def path(relative: str | Path) -> Path:
    """Find a shipped file or folder.

    It belongs to the running code: beside the package in a source checkout (also an editable or symlinked one),
    otherwise in `share/vdd_ros` of the package's prefix, for pip and colcon alike.

    Args:
        relative: path below the shared folder, such as `models/avoiding_student.onnx`.

    Returns:
        Its absolute path.

    Raises:
        ConfigurationError: nothing of that name is shipped; the message lists the searched folders.
    """
    if Path(relative).is_absolute():
        raise ConfigurationError(f"{relative} is an absolute path; give one below models/, config/ or launch/")
    candidates = [root / relative for root in _roots()]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    looked = "\n".join(f"  {candidate}" for candidate in candidates) or "  (no installation of vdd_ros has such files)"
    raise ConfigurationError(
        f"vdd_ros ships no {relative}. Looked for:\n{looked}\n"
        "Check the name, or install the package again with pip or colcon so that its data files are there."
    )


def _roots() -> list[Path]:
    """List the folders that hold models/, config/ and launch/ of this code, the checkout before a prefix."""
    package = Path(__file__).resolve().parent
    checkout = [package.parent] if (package.parent / "package.xml").is_file() else []
    shares = [parent / "share" / _PACKAGE for parent in package.parents]
    return checkout + [share for share in shares if share.is_dir()]
