"""ROS domains of which each is one run's: nodes of two demos in one domain would command each other's robot."""

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from vdd_ros.errors import ProcessError

DOMAINS = range(1, 101)
"""Those whose ports are below Linux's ephemeral ones, without the default, 0."""


def take_domain() -> tuple[int, int]:
    """Take a domain that no other run on this machine has, nor the environment's own.

    Returns:
        The domain, and the descriptor of the file that is locked for it: the domain is free again once every process
        that has the descriptor has closed it or ended, so that nodes which outlive a killed run keep theirs.

    Raises:
        ProcessError: All are taken, or no file can be made for their locks.
    """
    folder = Path(tempfile.gettempdir()) / "vdd_ros.domains"
    own = os.environ.get("ROS_DOMAIN_ID")
    first = os.getpid() % len(DOMAINS)
    try:
        folder.mkdir(exist_ok=True)
        with suppress(PermissionError):  # another user made it
            folder.chmod(0o1777)
        for number in (*DOMAINS[first:], *DOMAINS[:first]):
            if str(number) != own and (handle := _lock(folder / str(number))) is not None:
                return number, handle
    except OSError as error:
        raise ProcessError(f"no ROS domain can be locked in {folder}: {error}; make the folder writable") from error
    raise ProcessError(
        f"every ROS domain from {DOMAINS[0]} to {DOMAINS[-1]} is taken by another demo or soak; end one of them"
    )


def _lock(file: Path) -> int | None:
    """Lock a file, made if it is missing, and return its descriptor; None if it is locked already."""
    with suppress(FileExistsError):  # another user's file may be opened, but not with O_CREAT alone
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o644))
    handle = os.open(file, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
