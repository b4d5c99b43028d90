"""The result folder of a command: the earlier result is kept until the new one is complete."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vdd_ros.console import tell
from vdd_ros.documents import read_json, write_json
from vdd_ros.earlier import PREVIOUS, drop_earlier, earlier, set_aside
from vdd_ros.errors import ConfigurationError
from vdd_ros.locks import LOCK_FILE, holding
from vdd_ros.text import printable

REPORT = "report.json"
VIDEO = "episodes.mp4"
OUTPUT = re.compile(
    r"(bag(_\d+|_\w+_alone_\d+)?(\.partial)?|log|episodes\.mp4|report\.(json|html)|(latency|trajectories|soak)\.png"
    r"|(host_monitor|sentinel)\.npz)"  # a sentinel.npz is from an earlier version
)
"""Names of the outputs of demo and soak in their folders; others are the user's, and are left alone."""


@contextmanager
def result_folder(out: Path, made_by: str) -> Iterator[None]:
    """Lock a command's folder, created if missing, while the block fills it.

    An earlier result of the same command is moved aside, and removed when the block succeeds; otherwise standard error
    names its place.

    Args:
        out: The folder.
        made_by: The command, as in `made_by` of its reports.

    Raises:
        ConfigurationError: The folder holds anything other than results of that command.
        HeldError: Another process uses it.
    """
    _check(out, made_by)
    with holding(out):
        _check(out, made_by)
        set_aside(out, [path.name for path in out.iterdir() if OUTPUT.fullmatch(path.name)])
        (out / "log").mkdir(parents=True)
        write_json(out / REPORT, {"made_by": made_by, "status": "running"})
        try:
            yield
        except BaseException:
            if (place := earlier(out)) is not None:
                tell(f"the result before this one is in {place}")
            raise
        drop_earlier(out)


def _check(out: Path, made_by: str) -> None:
    """Refuse a folder with anything in it, unless the command made it."""
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigurationError(f"--out {printable(out)} is not a folder; choose another name")
    if all(path.name in (LOCK_FILE, PREVIOUS) for path in out.iterdir()):
        return
    try:
        report = read_json(out / REPORT, ConfigurationError)
    except ConfigurationError:
        report = None
    if not isinstance(report, dict) or report.get("made_by") != made_by:
        raise ConfigurationError(
            f"--out {printable(out)} exists and was not made by `{made_by}`; remove it or choose another folder"
        )
