"""The index of a bag that is being written, kept on disk: in memory it would grow with the recording."""

import struct
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

_LENGTH = struct.Struct("<I")


class ChunkIndex:
    """The chunk index records of an MCAP file; replaces the list in rosbags' writer.

    They are in an unnamed temporary file, which vanishes when closed or when the process ends.
    """

    def __init__(self, folder: Path) -> None:
        """Make the file on the disk of an existing folder; raises OSError if that fails."""
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open as long as the bag
        self._count = 0

    def append(self, record: BytesIO) -> None:
        """Append a chunk index record; raises OSError if the disk is full."""
        content = record.getbuffer()
        self._file.seek(0, 2)
        self._file.write(_LENGTH.pack(len(content)))
        self._file.write(content)
        self._file.flush()
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[BytesIO]:
        """Yield the records in order, each positioned at its end, as the writer expects."""
        self._file.seek(0)
        for _ in range(self._count):
            (length,) = _LENGTH.unpack(self._file.read(_LENGTH.size))
            record = BytesIO()
            record.write(self._file.read(length))
            yield record

    def close(self) -> None:
        """Close and discard the file."""
        with suppress(OSError):  # on a full disk, unwritten records are not needed
            self._file.close()
