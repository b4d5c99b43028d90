"""Codecs of the chunks of zarr stores: only the filters, compressions and checksums listed here.

A store may name any codec, including one that unpickles. Filters are undone by numcodecs, which wrote them.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats.crc32c import crc32c
from vdd_ros.data.formats.source import needing
from vdd_ros.documents import JsonObject
from vdd_ros.text import printable

COMPRESSIONS = ("blosc", "zstd", "lz4", "zlib", "gzip")
FILTERS = ("delta", "fixedscaleoffset", "quantize", "astype", "bitround", "packbits", "shuffle")
CHECKSUM = "crc32c"
DAMAGES = (ValueError, TypeError, RuntimeError, zlib.error, OverflowError, MemoryError)
"""Exceptions of `Encoding.decode` for a damaged chunk."""
_NUMBER_TYPE = re.compile(r"[<>|=]?[fiub][0-9]{1,2}|(float|u?int)[0-9]{1,2}|bool")
_IMAGES = ("imagecodecs", "jpeg", "png", "webp")


class UnreadCodec(ValueError):
    """A codec is unsupported; the message is the end of a sentence about its array."""


def number_type(name: object) -> np.dtype[Any] | None:
    """Return the number type with a name such as `<f4`; None if it is not a number type."""
    if not isinstance(name, str) or not _NUMBER_TYPE.fullmatch(name):
        return None
    try:
        found = np.dtype(name)
    except TypeError:
        return None
    return found if found.kind in "fiub" else None


@dataclass(frozen=True)
class Codec:
    """A codec by name, without the prefix of numcodecs, with its settings."""

    name: str
    settings: JsonObject = field(default_factory=dict)

    def dtype(self, setting: str, default: np.dtype[Any]) -> np.dtype[Any]:
        """Return a number type from its settings, such as `astype`; raises TypeError or ValueError for others."""
        value = self.settings.get(setting)
        found = default if value is None else number_type(value)
        if found is None:
            raise ValueError(f"the codec {printable(self.name)} has the type {printable(value)}")
        return found


class _Step(NamedTuple):
    """Input of a codec when writing a chunk: its number type and bytes; bytes None after a compression."""

    dtype: np.dtype[Any]
    size: int | None


@dataclass(frozen=True)
class Encoding:
    """Encoding of the numbers of a chunk as bytes.

    Attributes:
        shape: Shape of the chunk.
        dtype: Number type, with byte order.
        axes: Axes of the chunk in storage order, the last one fastest.
        codecs: Codecs in the order of application; none of them moves axes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: tuple[int, ...]
    codecs: tuple[Codec, ...]

    @property
    def size(self) -> int:
        """Size of the numbers, in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def most(self) -> int:
        """Largest size of the numbers between filters, in bytes; compressions should reduce it."""
        return max(step.size or 0 for step in self._steps())

    def problem(self) -> str:
        """Return why such chunks are unreadable, as the end of a sentence; empty if they are readable.

        Raises:
            TypeError, ValueError: A codec has impossible settings.
        """
        try:
            list(self._steps())
        except UnreadCodec as error:
            return str(error)
        return ""

    def _steps(self) -> Iterator[_Step]:
        """Yield the input of each codec, and the output of the last one."""
        step = _Step(self.dtype, self.size)
        for codec in self.codecs:
            yield step
            step = _encoded(codec, step)
        yield step

    def decode(self, content: bytes, what: str) -> NDArray[Any]:
        """Return the numbers of a chunk.

        Args:
            content: The stored bytes.
            what: The store, as the beginning of a sentence.

        Raises:
            DemonstrationError: numcodecs is missing.
            ValueError, TypeError, RuntimeError, OverflowError, MemoryError, zlib.error: The chunk is damaged.
        """
        steps = list(self._steps())
        _check_size(content, steps[-1])
        for codec, step in reversed(list(zip(self.codecs, steps, strict=False))):
            content = _decoded(codec, content, step, what)
            _check_size(content, step)
        stored = np.frombuffer(content, self.dtype).reshape([self.shape[axis] for axis in self.axes])
        values: NDArray[Any] = stored.transpose(np.argsort(self.axes))
        return values


def _check_size(content: bytes, step: _Step) -> None:
    if step.size is not None and len(content) != step.size:
        raise ValueError(f"it has {len(content):,} bytes instead of {step.size:,}")


def _encoded(codec: Codec, step: _Step) -> _Step:
    """Return a codec's output when writing a chunk; raises UnreadCodec if it cannot be undone here."""
    if codec.name == CHECKSUM:
        if codec.settings.get("location", "end") != "end":
            raise UnreadCodec("has checksums before its chunks, which are not supported")
        return _Step(step.dtype, None if step.size is None else step.size + 4)
    if codec.name in COMPRESSIONS:
        if step.size is None:
            raise UnreadCodec("is compressed twice, which is not supported")
        return _Step(step.dtype, None)
    if codec.name not in FILTERS:
        raise UnreadCodec(_unread(codec.name))
    if step.size is None:
        raise UnreadCodec(f"has the filter '{codec.name}' after a compression, which is not supported")
    if codec.name in ("bitround", "shuffle"):
        return step
    count = step.size // step.dtype.itemsize
    if codec.name == "packbits":
        return _Step(np.dtype("u1"), 1 + (count + 7) // 8)
    given, kept = _types(codec, step.dtype)
    if given != step.dtype:
        raise UnreadCodec(f"has the filter '{codec.name}' for {given.str} on numbers of {step.dtype.str}")
    return _Step(kept, count * kept.itemsize)


def _unread(name: str) -> str:
    shown = printable(name)
    if any(mark in name.lower() for mark in _IMAGES):
        return f"is in the image codec '{shown}', which is not supported"
    return f"is in the codec '{shown}', which is not supported; {', '.join((*COMPRESSIONS, *FILTERS, CHECKSUM))} are"


def _types(codec: Codec, dtype: np.dtype[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the input and storage number types of a filter."""
    if codec.name == "astype":
        return codec.dtype("decode_dtype", dtype), codec.dtype("encode_dtype", dtype)
    given = codec.dtype("dtype", dtype)
    return given, codec.dtype("astype", given)


def _decoded(codec: Codec, content: bytes, step: _Step, what: str) -> bytes:
    """Undo a codec, and return its input."""
    if codec.name == CHECKSUM:
        return checked(content)
    if codec.name in COMPRESSIONS:
        return _decompressed(codec.name, content, step.size or 0, what)
    count = (step.size or 0) // step.dtype.itemsize
    if codec.name == "bitround":
        return content
    if codec.name == "shuffle":
        return _unshuffled(content, codec.settings.get("elementsize") or 4)
    if codec.name == "packbits":
        bits = np.unpackbits(np.frombuffer(content, np.uint8)[1:], count=count)
        return bits.tobytes()
    kept = np.frombuffer(content, _types(codec, step.dtype)[1])
    return _numbers(codec, kept, step.dtype).tobytes()


def _numbers(codec: Codec, kept: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    with np.errstate(all="ignore"):  # numbers of a damaged chunk
        if codec.name == "delta":
            found = np.empty(len(kept), dtype)
            np.cumsum(kept, out=found)
            return found
        if codec.name == "fixedscaleoffset":
            scale, offset = (codec.settings.get(key) for key in ("scale", "offset"))
            if not isinstance(scale, int | float) or not isinstance(offset, int | float) or not scale:
                raise ValueError("its filter has no scale and offset")
            return (kept / scale + offset).astype(dtype)
        return kept.astype(dtype)


def _unshuffled(content: bytes, size: object) -> bytes:
    if not isinstance(size, int) or not 0 < size <= 1 << 16 or len(content) % size:
        raise ValueError(f"its bytes cannot be in groups of {printable(size)}")
    return np.frombuffer(content, np.uint8).reshape(size, -1).T.tobytes()


def checked(content: bytes) -> bytes:
    """Return the data before a checksum; raises ValueError if the checksum is wrong."""
    if len(content) < 4 or int.from_bytes(content[-4:], "little") != crc32c(content[:-4]):
        raise ValueError("its checksum is wrong")
    return content[:-4]


def _decompressed(codec: str, content: bytes, expected: int, what: str) -> bytes:
    """Undo a compression; raises ValueError, RuntimeError or zlib.error for a size other than `expected`."""
    if codec in ("zlib", "gzip"):
        unpacking = zlib.decompressobj(wbits=31 if codec == "gzip" else 15)
        found = unpacking.decompress(content, expected + 1)
        if not unpacking.eof and len(found) <= expected:
            raise ValueError("it was truncated")
        return found
    if codec == "blosc":
        _check_blosc(content, expected)
    with needing("numcodecs", what):
        from numcodecs import get_codec
    out = np.empty(expected, np.uint8)  # the libraries refuse other sizes
    found = get_codec({"id": codec}).decode(content, out=out)
    return bytes(memoryview(found).cast("B"))


def _check_blosc(content: bytes, expected: int) -> None:
    """Check the sizes in the header of a Blosc buffer, which the library trusts; raises ValueError."""
    if len(content) < 16:
        raise ValueError("it was truncated")
    unpacked, packed = (int.from_bytes(content[start : start + 4], "little") for start in (4, 12))
    if packed != len(content) or unpacked != expected:
        raise ValueError(f"it states {packed:,} bytes for {unpacked:,}, but has {len(content):,} for {expected:,}")
