"""Locks against a second writer.

A lock is a hidden file with an advisory lock (flock) and the name of its holder; the kernel releases it when the
process ends for any reason.
"""

import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vdd_ros.errors import HeldError
from vdd_ros.text import printable

LOCK_FILE = ".vdd_ros.lock"
_POLL_S = 0.01
_NOTE_BYTES = 600


@contextmanager
def holding(folder: Path, *, shared: bool = False, wait_s: float = 0.0) -> Iterator[None]:
    """Lock a folder against other processes while the block runs; the lock ends with the process.

    Args:
        folder: Created if missing, and then removed if still empty at the end.
        shared: Share the lock with other shared holders, but not with an exclusive one.
        wait_s: Longest wait for the lock, in seconds.

    Raises:
        HeldError: Another process holds it; the message names it.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locking(folder / LOCK_FILE, f"the folder '{folder}'", shared=shared, wait_s=wait_s):
            yield
    finally:
        if is_new:
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def locking(lock: Path, what: str, *, shared: bool = False, wait_s: float = 0.0) -> Iterator[None]:
    """Hold a lock file, created and removed here; `what` names the protected object in errors.

    Raises:
        HeldError: Another process holds it; the message names it.
        OSError: The file cannot be created, or its file system has no locks.
    """
    handle = _acquire(lock, what, shared, time.monotonic() + wait_s)
    try:
        yield
    finally:
        _release(lock, handle)


def _acquire(lock: Path, what: str, shared: bool, deadline: float) -> int:
    """Open and lock a file, and write this process's identity into it; a link is refused, not followed."""
    handle = -1
    try:
        while True:
            handle = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            if _try_lock(handle, shared):
                if is_same(handle, lock):
                    _note_holder(handle)
                    return handle
            elif time.monotonic() >= deadline:
                raise HeldError(f"{what} is in use by {_holder(handle)}; wait until that has ended or name another")
            else:
                time.sleep(_POLL_S)
            os.close(handle)  # its holder may have removed it: try again with the new file of that name
            handle = -1
    except BaseException as error:
        if handle >= 0:
            os.close(handle)
        if isinstance(error, OSError):
            reason = f"locking failed here ({error.strerror}); name another place"
            raise OSError(error.errno, reason, str(lock)) from error
        raise


def _try_lock(handle: int, shared: bool) -> bool:
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _release(lock: Path, handle: int) -> None:
    """Remove a lock file unless others share it, and free it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_same(handle, lock):
            lock.unlink()
    except OSError:  # shared, or the folder is gone: the lock is released in any case
        pass
    finally:
        os.close(handle)


def is_same(handle: int, file: Path) -> bool:
    """Return whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(file))
    except FileNotFoundError:
        return False


def _note_holder(handle: int) -> None:
    command = " ".join([Path(sys.argv[0] or "python").name, *sys.argv[1:]])
    note = f"{os.getpid()} {socket.gethostname()} {command}".encode(errors="replace")
    os.ftruncate(handle, 0)
    os.pwrite(handle, note[:_NOTE_BYTES], 0)


def _holder(handle: int) -> str:
    """Describe the holder of a lock: process, command, and computer if it is another one."""
    note = os.pread(handle, _NOTE_BYTES, 0).decode(errors="replace")
    pid, _, rest = note.partition(" ")
    host, _, command = rest.partition(" ")
    if not pid.isdecimal():
        return "another process"
    place = "" if host == socket.gethostname() else f" on {host}"
    return f"process {pid}{printable(place)} ({printable(command)})"
