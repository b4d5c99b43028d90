"""Files that are written whole or not at all.

A file is written beside its target under a name of its own, `.NAME.PID-RANDOM.partial`, flushed to the disk and
renamed.
"""

import errno
import fcntl
import io
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from vdd_ros.locks import is_same, locking

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARTIAL = ".partial"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a full disk, or of a file at its size limit."""
UPDATE_WAIT_S = 60.0
_NAME_BYTES = 200
"""Bytes of the target's name kept in the name of its partial file; file systems allow 255 bytes in all."""
_OLD = "old"
"""Name of the replaced folder inside a partial folder."""
_open_partials: set[str] = set()


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield a path beside `file` to write to; rename it to `file` when the block succeeds, otherwise remove it.

    Makes the folder if it is missing. A link is followed: its target is replaced, and the link stays. The new file has
    the permissions of the old one. Partial files of the same target left by killed processes are removed. If the target
    is not an ordinary file, such as /dev/stdout, it is written when the block succeeds.

    Raises:
        OSError: The path is not writable (before the block), nothing was written, or the disk is full.
    """
    target = _resolved(file)
    old = _status(target)
    if old is not None and not stat.S_ISREG(old.st_mode):
        with _copying(file, old) as aside:
            yield aside
        return
    if old is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is write-protected; name another or change its mode", str(file))
    with _making(target.parent):
        _remove_leftovers(target)
        aside, handle = _create_partial(target)
        try:
            with _naming(file):
                yield aside
                _finish(aside, target, old)
        finally:
            aside.unlink(missing_ok=True)
            _open_partials.discard(str(aside))
            os.close(handle)


@contextmanager
def _making(folder: Path) -> Iterator[None]:
    """Create a folder for the block; if the block fails, a new folder is removed if it is empty."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise


@contextmanager
def _naming(place: Path) -> Iterator[None]:
    """Add the file or folder to a system error about a full disk that names none."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno not in NO_ROOM:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(place)) from error


def is_used(folder: Path) -> bool:
    """Return whether a path holds more than leftovers of killed writers; raises OSError."""
    if not folder.exists():
        return False
    return not folder.is_dir() or not all(
        path.name.startswith(".") and path.name.endswith(PARTIAL) for path in folder.iterdir()
    )


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside `folder` to fill; it replaces `folder` when the block succeeds.

    A link is followed. Leftovers of the same target by killed processes are removed. If a process was killed after it
    set the old folder aside, the old folder is restored first.

    Raises:
        OSError: The system refuses a folder.
    """
    target = _resolved(folder)
    with _making(target.parent):
        _remove_leftover_folders(target)
        work = target.with_name(f"{_partial_stem(target)}{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")
        work.mkdir()
        new, old = work / "new", work / _OLD
        try:
            new.mkdir()
            with _naming(folder):
                yield new
            if target.exists():
                target.rename(old)
            try:
                new.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
            flush_folder(target.parent)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _resolved(file: Path) -> Path:
    """Follow links; the last part need not exist."""
    target = Path(os.path.realpath(file))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(file))
    return target


def _status(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except FileNotFoundError:
        return None


@contextmanager
def _copying(file: Path, old: os.stat_result) -> Iterator[Path]:
    """Yield a temporary path, whose content goes to a pipe or device when the block succeeds."""
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a folder has the name of the file; choose another name", str(file))
    with tempfile.TemporaryDirectory(prefix="vdd_ros.") as folder:
        aside = Path(folder) / file.name
        yield aside
        with aside.open("rb") as source, file.open("wb") as sink:
            shutil.copyfileobj(source, sink)


def _create_partial(target: Path) -> tuple[Path, int]:
    """Make an empty file beside a target and lock it, so that others know that its writer is alive."""
    stem = _partial_stem(target)
    while True:
        aside = target.with_name(f"{stem}{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")
        _open_partials.add(str(aside))
        handle = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o666)
        with suppress(OSError):  # without locks the process number must suffice
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_same(handle, aside):
            return aside, handle
        os.close(handle)  # another process removed it as a leftover before it was locked
        _open_partials.discard(str(aside))


def _partial_stem(target: Path) -> str:
    return f".{os.fsdecode(os.fsencode(target.name)[:_NAME_BYTES])}."


def _partials(target: Path) -> Iterator[tuple[Path, int]]:
    """Yield partial files and folders of a target, left behind or in use, with their writers' process numbers."""
    pattern = re.compile(re.escape(_partial_stem(target)) + r"(\d+)-[0-9a-f]{8}" + re.escape(PARTIAL))
    with os.scandir(target.parent) as entries:
        found = [(Path(entry.path), match) for entry in entries if (match := pattern.fullmatch(entry.name))]
    yield from ((path, int(match[1])) for path, match in found)


def _remove_leftover_folders(target: Path) -> None:
    """Remove partial folders of a target whose writers have ended, and restore a folder that one set aside."""
    for folder, pid in _partials(target):
        if pid == os.getpid() or _is_alive(pid) or not folder.is_dir() or folder.is_symlink():
            continue
        with suppress(OSError):  # it may have vanished, or belong to another user
            if (folder / _OLD).exists() and not target.exists():
                (folder / _OLD).rename(target)
            shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(target: Path) -> None:
    """Remove partial files of a target whose writers have ended."""
    for file, pid in _partials(target):
        own = pid == os.getpid()
        if str(file) in _open_partials if own else _is_alive(pid):
            continue
        with suppress(OSError):  # it may have vanished, be locked from another container, or belong to another user
            handle = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.unlink()
            finally:
                os.close(handle)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _finish(aside: Path, target: Path, old: os.stat_result | None) -> None:
    """Flush a partial file to the disk and rename it to its target."""
    handle = os.open(aside, os.O_RDWR | os.O_CLOEXEC)
    try:
        new = os.fstat(handle)
        if new.st_size == 0:
            raise OSError(errno.ENODATA, "nothing was written; the old file stays", str(target))
        if old is not None:
            if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
                with suppress(PermissionError):  # only root may change a file's owner
                    os.fchown(handle, old.st_uid, old.st_gid)
            os.fchmod(handle, old.st_mode & 0o777)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(aside, target)
    flush_folder(target.parent)


def open_ordinary(file: Path) -> BinaryIO:
    """Open an untrusted file for reading.

    Raises:
        OSError: It cannot be opened, or is not an ordinary file: reading a pipe or a device may block.
    """
    _refuse_special(file, os.stat(file).st_mode)  # before opening: opening some devices has side effects
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _refuse_special(file, os.fstat(handle).st_mode)
    except OSError:
        os.close(handle)
        raise
    return open(handle, "rb")


def read_ordinary(file: Path, most: int) -> bytes:
    """Return the content of an untrusted file, or its first `most` + 1 bytes; raises OSError as `open_ordinary`."""
    with open_ordinary(file) as stream:
        return stream.read(min(os.fstat(stream.fileno()).st_size, most) + 1)


def _refuse_special(file: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    is_folder = stat.S_ISDIR(mode)
    kind = "a folder" if is_folder else "a pipe, socket or device"
    raise OSError(errno.EISDIR if is_folder else errno.EINVAL, f"it is {kind}, not an ordinary file", str(file))


def save_arrays(file: Path, **arrays: "NDArray[Any]") -> None:
    """Write arrays by name into an .npz file, whole or not at all; raises OSError as `replacing` does."""
    import numpy as np

    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    with replacing(file) as aside:
        aside.write_bytes(content.getvalue())


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a renamed file survives a power loss."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # unsupported by some network file systems
            os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def updating(file: Path, wait_s: float = UPDATE_WAIT_S) -> Iterator[None]:
    """Lock a file against other writers while the block reads and replaces it, so that no other change is lost.

    Args:
        file: May be missing; its folder is created.
        wait_s: Longest wait for another writer, in seconds.

    Raises:
        HeldError: Another process still holds it; the message names it.
    """
    target = _resolved(file)
    target.parent.mkdir(parents=True, exist_ok=True)
    with locking(target.with_name(f"{_partial_stem(target)}lock"), f"the file '{file}'", wait_s=wait_s):
        yield
