"""Closes one of our own MCAP files properly, in place, after a failed write.

Bags of other programs and of killed recorders are never modified: see `vdd bag mend`.

An MCAP file is a magic, a header and then records, each an opcode (1 byte), a length (8 bytes) and that many bytes. A
file whose writer died ends inside a record and has no footer. Truncated to the last whole record and closed with a
footer, it is a valid file without an index, which every reader scans.
"""

import fcntl
import struct
from pathlib import Path
from typing import BinaryIO

from vdd_ros.errors import RecordingError

_MAGIC = b"\x89MCAP0\r\n"
_RECORD = struct.Struct("<BQ")
_DATA_END = 0x0F
_FOOTER = 0x02
_END = _RECORD.pack(_DATA_END, 4) + bytes(4) + _RECORD.pack(_FOOTER, 20) + bytes(20) + _MAGIC


def lock(file: BinaryIO, *, shared: bool = False) -> bool:
    """Lock an open file until it is closed or its process ends; return False if another process holds it.

    Any number of processes may share a read lock, which excludes writers.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def salvage(path: Path) -> int:
    """Truncate a damaged MCAP file to its last whole record and close it properly.

    If the disk is too full even for the footer (50 bytes), records are dropped one by one. The file only shrinks, so
    only writing the footer can fail.

    Args:
        path: The file.

    Returns:
        The number of bytes cut off.

    Raises:
        RecordingError: If the file is being written, is not MCAP, or has no whole record.
    """
    with path.open("r+b", buffering=0) as file:
        if not lock(file):
            raise RecordingError(f"{path} is being written; stop the recorder, which completes it")
        size = file.seek(0, 2)
        for boundary in reversed(_record_ends(file, size)):
            file.truncate(boundary)
            file.seek(boundary)
            try:
                written = file.write(_END)
            except OSError:
                continue
            if written == len(_END):
                return size - boundary
    raise RecordingError(
        f"{path} ({size} bytes) cannot be salvaged: it is not an MCAP file with at least one whole record"
    )


def _record_ends(file: BinaryIO, size: int) -> list[int]:
    """Return the end offsets of the whole records of the data section."""
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        return []
    ends: list[int] = []
    position = len(_MAGIC)
    while position + _RECORD.size <= size:
        file.seek(position)
        opcode, length = _RECORD.unpack(file.read(_RECORD.size))
        position += _RECORD.size + length
        if opcode in (_DATA_END, _FOOTER) or position > size:
            break
        ends.append(position)
    return ends
