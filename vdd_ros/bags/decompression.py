"""Decompression for bags, with a limit: a few bytes can expand to gigabytes."""

import sys
from typing import Any

from vdd_ros.errors import RecordingError

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""No serialised message begins like this: its first byte is zero."""

MOST_BYTES = 1 << 30


def unpack(compression: str, packed: bytes, most: int) -> tuple[bytes, bool]:
    """Unpack as many bytes as possible.

    Args:
        compression: `zstd` or `lz4`.
        packed: The bytes; if truncated, the data before the cut is returned.
        most: Limit on the unpacked bytes; anything above counts as damage.

    Returns:
        The unpacked bytes, and whether they are complete.

    Raises:
        RecordingError: The library is not installed.
    """
    decompressor = _decompressor(compression)
    parts: list[bytes] = []
    size = 0
    try:
        while not decompressor.eof:
            part = decompressor.decompress(packed, max_length=min(most + 1 - size, 1 << 24))
            packed = b""
            if not part and decompressor.needs_input:
                break
            parts.append(part)
            size += len(part)
            if size > most:
                return b"", False
    except Exception:  # each library raises its own errors for damaged bytes
        return b"".join(parts), False
    return b"".join(parts), bool(decompressor.eof)


def zstd_file(file: Any) -> Any:
    """Return a file that unpacks another one as it is read; a truncated file raises EOFError at its end."""
    return _zstd().ZstdFile(file, "rb")


def _decompressor(compression: str) -> Any:
    if compression == "lz4":
        try:
            import lz4.frame
        except ImportError as error:
            raise _absent("lz4") from error
        return lz4.frame.LZ4FrameDecompressor()
    return _zstd().ZstdDecompressor()


def _zstd() -> Any:
    """Return the standard library's module, from Python 3.14 on, or its backport."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        try:
            from backports import zstd
        except ImportError as error:
            raise _absent("backports.zstd") from error
    return zstd


def _absent(package: str) -> RecordingError:
    return RecordingError(f"the bag is compressed, and {package} is not installed: pip install {package}")
