"""Arrays of zarr stores, versions 2 and 3: whole numbers and floats in regular chunks, in the usual compressions.

The codecs that are read are listed: a store may name others, among them one that unpickles.
"""

import itertools
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats.source import MAX_FRAMES, damaged, needing
from vdd_ros.data.formats.zarr_store import Store
from vdd_ros.documents import Json, JsonObject, parse_json
from vdd_ros.errors import DemonstrationError
from vdd_ros.text import printable

_MAX_METADATA = 16 << 20
_MAX_AXES = 6
MAX_CHUNK_BYTES = 1 << 30
MAX_CHUNKS = 10_000_000
_SLACK = 1 << 16
"""Bytes by which a chunk that does not compress may be longer in the store."""
CODECS = ("blosc", "zstd", "lz4", "zlib", "gzip")


@dataclass(frozen=True)
class ZarrArray:
    """An array of a store.

    Attributes:
        name: Path in the store.
        shape: Of the whole array.
        chunks: Shape of a chunk.
        dtype: Number type, with byte order.
        order: Of the numbers in a chunk, "C" or "F".
        fill: Value of chunks that are not stored.
        codecs: Names of the compressions, in the order in which they are undone.
        key: Returns the file of a chunk, from its indices.
        problem: Why it cannot be read, the end of a sentence; empty if it can.
    """

    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    order: str
    fill: float | int | bool
    codecs: tuple[str, ...]
    key: Callable[[tuple[int, ...]], str]
    problem: str = ""

    def read(self, store: Store) -> NDArray[Any]:
        """Read all numbers, in the machine's byte order.

        Raises:
            DemonstrationError: numcodecs is missing, or a chunk is damaged.
        """
        found = np.full(self.shape, self.fill, self.dtype.newbyteorder("="))
        counts = (math.ceil(size / chunk) for size, chunk in zip(self.shape, self.chunks, strict=True))
        for index in itertools.product(*map(range, counts)):
            content = store.read(self.key(index), self._chunk_bytes + _SLACK)
            if content is None:
                continue
            place = tuple(slice(i * chunk, (i + 1) * chunk) for i, chunk in zip(index, self.chunks, strict=True))
            target = found[place]
            target[...] = self._chunk(store, index, content)[tuple(map(slice, target.shape))]
        return found

    @property
    def _chunk_bytes(self) -> int:
        return math.prod(self.chunks) * self.dtype.itemsize

    def _chunk(self, store: Store, index: tuple[int, ...], content: bytes) -> NDArray[Any]:
        for codec in self.codecs:
            try:
                content = _decoded(codec, content, self._chunk_bytes, f"'{printable(store.path)}', a zarr store,")
            except (ValueError, RuntimeError, zlib.error) as error:
                raise damaged(
                    store.path,
                    f"has the damaged chunk '{printable(self.key(index))}' ({printable(error)})",
                    "copy it again",
                ) from error
        if len(content) != self._chunk_bytes:
            raise damaged(
                store.path,
                f"has {len(content):,} bytes in the chunk '{printable(self.key(index))}' instead of "
                f"{self._chunk_bytes:,}",
                "copy it again",
            )
        values: NDArray[Any] = np.frombuffer(content, self.dtype).reshape(
            self.chunks, order="F" if self.order == "F" else "C"
        )
        return values


def _decoded(codec: str, content: bytes, expected: int, what: str) -> bytes:
    """Undo one compression; raises ValueError, RuntimeError or zlib.error if it does not give `expected` bytes."""
    if codec in ("zlib", "gzip"):
        unpacking = zlib.decompressobj(wbits=31 if codec == "gzip" else 15)
        found = unpacking.decompress(content, expected + 1)
        if not unpacking.eof and len(found) <= expected:
            raise ValueError("it was cut off")
        return found
    if codec == "blosc":
        _check_blosc(content, expected)
    with needing("numcodecs", what):
        from numcodecs import get_codec
    out = np.empty(expected, np.uint8)  # the libraries refuse what does not fit
    found = get_codec({"id": codec}).decode(content, out=out)
    return bytes(memoryview(found).cast("B"))


def _check_blosc(content: bytes, expected: int) -> None:
    """Check the sizes in the header of a Blosc buffer, which the library trusts; raises ValueError."""
    if len(content) < 16:
        raise ValueError("it was cut off")
    unpacked, packed = (int.from_bytes(content[start : start + 4], "little") for start in (4, 12))
    if packed != len(content) or unpacked != expected:
        raise ValueError(f"it says {packed:,} bytes for {unpacked:,}, but has {len(content):,} for {expected:,}")


def read_array(store: Store, name: str) -> ZarrArray | None:
    """Read what a store says of an array.

    Args:
        store: The store.
        name: Path of the array in it.

    Returns:
        None if there is no such array.

    Raises:
        DemonstrationError: Its metadata is damaged.
    """
    for file, read in ((".zarray", _read_v2), ("zarr.json", _read_v3)):
        place = f"{name}/{file}"
        content = store.read(place, _MAX_METADATA)
        if content is None:
            continue
        fields = parse_json(content, f"{store.path}/{place}", DemonstrationError)
        try:
            if not isinstance(fields, dict):
                raise ValueError("it is no JSON object")
            if file == "zarr.json" and fields.get("node_type") != "array":
                return None
            return read(name, fields)
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(
                store.path, f"describes the array '{printable(name)}' wrongly ({printable(error)})", "write it again"
            ) from error
    return None


def _read_v2(name: str, fields: JsonObject) -> ZarrArray:
    shape, chunks = _sizes(fields["shape"], 0), _sizes(fields["chunks"], 1)
    separator = str(fields.get("dimension_separator", "."))
    compressor = fields.get("compressor")
    codec = compressor.get("id") if isinstance(compressor, dict) else None
    codecs = () if compressor is None else (str(codec),)
    kind = fields["dtype"]
    problem = ""
    if fields.get("filters"):
        problem = "has filters, which are not read"
    if not isinstance(kind, str) or np.dtype(kind).kind not in "fiub":
        problem, kind = f"is of {printable(kind)}, which are no numbers", "u1"
    order = str(fields.get("order", "C"))
    return _array(name, shape, chunks, np.dtype(kind), order, fields.get("fill_value"), codecs, separator, "", problem)


def _read_v3(name: str, fields: JsonObject) -> ZarrArray:
    shape = _sizes(fields["shape"], 0)
    kind, problem, little, names = fields["data_type"], "", True, []
    grid, encoding = _part(fields["chunk_grid"]), _part(fields["chunk_key_encoding"])
    if grid[0] != "regular":
        raise ValueError(f"its chunks are {printable(grid[0])}, not regular")
    chunks = _sizes(grid[1]["chunk_shape"], 1)
    codecs = fields["codecs"]
    for codec in codecs if isinstance(codecs, list) else []:
        codec_name, settings = _part(codec)
        if codec_name == "bytes":
            little = settings.get("endian", "little") == "little"
        else:
            names.append(codec_name)
    if not isinstance(kind, str) or kind not in ("bool", *_NUMBERS):
        problem, kind = f"is of {printable(kind)}, which are no numbers", "uint8"
    dtype = np.dtype(str(kind)).newbyteorder("<" if little else ">")
    separator = str(encoding[1].get("separator", "/" if encoding[0] == "default" else "."))
    prefix = "c" if encoding[0] == "default" else ""
    return _array(
        name, shape, chunks, dtype, "C", fields["fill_value"], tuple(reversed(names)), separator, prefix, problem
    )


_NUMBERS = tuple(
    f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64) if (kind, bits) != ("float", 8)
)


def _array(
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: np.dtype[Any],
    order: str,
    fill: Json,
    codecs: tuple[str, ...],
    separator: str,
    prefix: str,
    problem: str,
) -> ZarrArray:
    if len(shape) != len(chunks) or separator not in (".", "/") or order not in ("C", "F"):
        raise ValueError("its shape, chunks, separator or order are none")
    if math.prod(chunks) * dtype.itemsize > MAX_CHUNK_BYTES:
        problem = problem or f"has chunks of more than {MAX_CHUNK_BYTES:,} bytes"
    if math.prod(math.ceil(size / chunk) for size, chunk in zip(shape, chunks, strict=True)) > MAX_CHUNKS:
        problem = problem or f"has more than {MAX_CHUNKS:,} chunks"
    if unknown := [codec for codec in codecs if codec not in CODECS]:
        problem = problem or (
            f"is compressed with '{printable(unknown[0])}', which is not read; {', '.join(CODECS)} are"
        )

    def key(index: tuple[int, ...]) -> str:
        parts = [*([prefix] if prefix else []), *map(str, index)]
        return f"{name}/{separator.join(parts)}" if parts else f"{name}/0"

    return ZarrArray(name, shape, chunks, dtype, order, _fill(fill, dtype), codecs, key, problem)


def _sizes(value: Json, least: int) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > _MAX_AXES:
        raise ValueError(f"{printable(value)} is no list of at most {_MAX_AXES} sizes")
    if not all(type(size) is int and least <= size <= MAX_FRAMES for size in value):
        raise ValueError(f"{printable(value)} are no sizes")
    return tuple(size for size in value if isinstance(size, int))


def _part(value: Json) -> tuple[str, JsonObject]:
    """Return name and settings of a part of the metadata of version 3."""
    if isinstance(value, str):
        return value, {}
    if not isinstance(value, dict):
        raise ValueError(f"{printable(value)} is no part of it")
    settings = value.get("configuration", {})
    return str(value["name"]), settings if isinstance(settings, dict) else {}


def _fill(value: Json, dtype: np.dtype[Any]) -> float | int | bool:
    """Return the value of chunks that are not stored; what is no number of the type is taken for 0."""
    if isinstance(value, str) and dtype.kind == "f":
        return float(value.replace("Infinity", "inf")) if value in ("NaN", "Infinity", "-Infinity") else math.nan
    if isinstance(value, bool | int | float) and (dtype.kind == "f" or float(value).is_integer()):
        return value
    return 0
