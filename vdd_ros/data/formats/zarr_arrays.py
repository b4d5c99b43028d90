"""Arrays of zarr stores, versions 2 and 3: whole numbers and floats in regular chunks, in the usual codecs."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats.source import MAX_FRAMES, damaged
from vdd_ros.data.formats.zarr_codecs import CHECKSUM, DAMAGES, FILTERS, Codec, Encoding, number_type
from vdd_ros.data.formats.zarr_shards import Shards
from vdd_ros.data.formats.zarr_store import Store
from vdd_ros.documents import Json, JsonObject, parse_json
from vdd_ros.errors import DemonstrationError
from vdd_ros.text import printable

_MAX_METADATA = 16 << 20
_MAX_AXES = 6
MAX_CHUNK_BYTES = 1 << 30
"""Size limit of a chunk, or of all chunks of a shard."""
MAX_CHUNKS = 10_000_000
MAX_CHUNKS_OF_SHARD = 1 << 20
_SLACK = 1 << 16
"""Bytes by which an incompressible chunk may be longer in the store."""


@dataclass(frozen=True)
class ZarrArray:
    """An array of a store.

    Attributes:
        name: Path in the store.
        shape: Shape of the whole array.
        files: Shape of a file's content: a chunk or a shard.
        encoding: Encoding of a chunk.
        shards: Layout of shards; None if each chunk has its own file.
        fill: Value of chunks that are not stored.
        key: Returns the file of a chunk or shard, from its indices.
        problem: Why it is unreadable, as the end of a sentence; empty if it is readable.
    """

    name: str
    shape: tuple[int, ...]
    files: tuple[int, ...]
    encoding: Encoding
    shards: Shards | None
    fill: float | int | bool
    key: Callable[[tuple[int, ...]], str]
    problem: str = ""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Number type, with byte order."""
        return self.encoding.dtype

    def read(self, store: Store) -> NDArray[Any]:
        """Read all numbers, in the machine's byte order.

        Raises:
            DemonstrationError: numcodecs is missing, or a chunk is damaged.
        """
        found = np.full(self.shape, self.fill, self.dtype.newbyteorder("="))
        counts = (math.ceil(size / part) for size, part in zip(self.shape, self.files, strict=True))
        for index in itertools.product(*map(range, counts)):
            content = store.read(self.key(index), self._most)
            if content is None:
                continue
            try:
                for start, values in self._chunks(store, index, content):
                    target = found[tuple(slice(at, at + size) for at, size in zip(start, values.shape, strict=True))]
                    target[...] = values[tuple(map(slice, target.shape))]
            except DAMAGES as error:
                raise damaged(
                    store.path,
                    f"has the damaged chunk '{printable(self.key(index))}' ({printable(error)})",
                    "copy it again",
                ) from error
        return found

    @property
    def _most(self) -> int:
        """Limit on the bytes of a file."""
        if self.shards is None:
            return self.encoding.most + _SLACK
        chunks = math.prod(self.shards.counts) * (self.encoding.most + _SLACK)
        return min(chunks, 2 * MAX_CHUNK_BYTES) + self.shards.index_size

    def _chunks(
        self, store: Store, index: tuple[int, ...], content: bytes
    ) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
        """Yield first index in the array and values of each chunk of a file."""
        what = f"'{printable(store.path)}', a zarr store,"
        first = tuple(i * size for i, size in zip(index, self.files, strict=True))
        if self.shards is None:
            yield first, self.encoding.decode(content, what)
            return
        for place, part in self.shards.chunks(content):
            inside = zip(first, place, self.encoding.shape, strict=True)
            start = tuple(at + i * size for at, i, size in inside)
            if all(at < size for at, size in zip(start, self.shape, strict=True)):
                yield start, self.encoding.decode(part, what)


def read_array(store: Store, name: str) -> ZarrArray | None:
    """Read an array's metadata from a store.

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
                raise ValueError("it is not a JSON object")
            if file == "zarr.json" and fields.get("node_type") != "array":
                return None
            return read(name, fields)
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(
                store.path,
                f"has invalid metadata of the array '{printable(name)}' ({printable(error)})",
                "write it again",
            ) from error
    return None


def _read_v2(name: str, fields: JsonObject) -> ZarrArray:
    shape, chunks = _sizes(fields["shape"], 0), _sizes(fields["chunks"], 1)
    separator = str(fields.get("dimension_separator", "."))
    compressor, filters = fields.get("compressor"), fields.get("filters") or []
    codecs = [*(filters if isinstance(filters, list) else [filters]), *([] if compressor is None else [compressor])]
    dtype, problem = number_type(fields["dtype"]), ""
    if dtype is None:
        problem, dtype = f"is of {printable(fields['dtype'])}, which are not numbers", np.dtype("u1")
    order = str(fields.get("order", "C"))
    if order not in ("C", "F"):
        raise ValueError(f"its order is {printable(order)}")
    axes = tuple(range(len(chunks)))[:: -1 if order == "F" else 1]
    encoding = Encoding(chunks, dtype, axes, tuple(map(_codec_v2, codecs)))
    return _array(name, shape, chunks, encoding, None, fields.get("fill_value"), separator, "", problem)


def _codec_v2(fields: Json) -> Codec:
    if not isinstance(fields, dict):
        raise ValueError(f"{printable(fields)} is not a codec")
    return Codec(str(fields["id"]), fields)


def _read_v3(name: str, fields: JsonObject) -> ZarrArray:
    shape, kind, problem = _sizes(fields["shape"], 0), fields["data_type"], ""
    grid, keys = _part(fields["chunk_grid"]), _part(fields["chunk_key_encoding"])
    if grid.name != "regular":
        raise ValueError(f"its chunks are {printable(grid.name)}, not regular")
    files = _sizes(grid.settings["chunk_shape"], 1)
    if not isinstance(kind, str) or kind not in ("bool", *_NUMBERS):
        problem, kind = f"is of {printable(kind)}, which are not numbers", "uint8"
    dtype, codecs, shards = np.dtype(str(kind)), _parts(fields["codecs"]), None
    chunks = files
    if "sharding_indexed" in [codec.name for codec in codecs]:
        if len(codecs) > 1:
            problem = problem or "has codecs around its shards, which are not read"
        inside = next(codec for codec in codecs if codec.name == "sharding_indexed").settings
        chunks, codecs = _sizes(inside["chunk_shape"], 1), _parts(inside["codecs"])
        shards = _shards(files, chunks, inside)
        if "sharding_indexed" in [codec.name for codec in codecs]:
            problem = problem or "has shards in shards, which are not read"
    encoding, unread = _encoding_v3(chunks, dtype, codecs)
    separator = str(keys.settings.get("separator", "/" if keys.name == "default" else "."))
    prefix = "c" if keys.name == "default" else ""
    return _array(name, shape, files, encoding, shards, fields["fill_value"], separator, prefix, problem or unread)


def _encoding_v3(chunks: tuple[int, ...], dtype: np.dtype[Any], codecs: "list[_Part]") -> tuple[Encoding, str]:
    """Return the encoding of a chunk, and why it cannot be read."""
    axes, kept, problem = tuple(range(len(chunks))), [], ""
    for codec in codecs:
        if codec.name == "bytes" and codec.settings.get("endian", "little") != "little":
            dtype = dtype.newbyteorder(">")
        elif codec.name == "transpose":
            moved = codec.settings["order"]
            if not isinstance(moved, list) or sorted(map(str, moved)) != sorted(map(str, axes)):
                raise ValueError(f"it moves its axes by {printable(moved)}")
            axes = tuple(axes[int(str(axis))] for axis in moved)
        elif codec.name != "bytes":
            kept.append(Codec(codec.name.removeprefix("numcodecs."), codec.settings))
    moved_or_swapped = axes != tuple(range(len(chunks))) or dtype.byteorder == ">"
    if moved_or_swapped and any(codec.name in FILTERS and codec.name != "shuffle" for codec in kept):
        problem = "has filters on moved axes or swapped bytes, which are not read"
    return Encoding(chunks, dtype, axes, tuple(kept)), problem


def _shards(files: tuple[int, ...], chunks: tuple[int, ...], settings: JsonObject) -> Shards:
    if len(files) != len(chunks) or any(size % chunk for size, chunk in zip(files, chunks, strict=True)):
        raise ValueError(f"its shards of {files} cannot hold chunks of {chunks}")
    location, codecs = str(settings.get("index_location", "end")), _parts(settings["index_codecs"])
    names = [codec.name for codec in codecs]
    if names not in (["bytes"], ["bytes", CHECKSUM]) or location not in ("start", "end"):
        raise ValueError(f"the index of its shards is in {printable(', '.join(names))} at the {printable(location)}")
    counts = tuple(size // chunk for size, chunk in zip(files, chunks, strict=True))
    if math.prod(counts) > MAX_CHUNKS_OF_SHARD:
        raise ValueError(f"its shards hold {math.prod(counts):,} chunks each; at most {MAX_CHUNKS_OF_SHARD:,} are read")
    little = codecs[0].settings.get("endian", "little") == "little"
    return Shards(counts, location == "start", little, len(names) > 1)


_NUMBERS = tuple(
    f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64) if (kind, bits) != ("float", 8)
)


def _array(
    name: str,
    shape: tuple[int, ...],
    files: tuple[int, ...],
    encoding: Encoding,
    shards: Shards | None,
    fill: Json,
    separator: str,
    prefix: str,
    problem: str,
) -> ZarrArray:
    if len(shape) != len(files) or separator not in (".", "/"):
        raise ValueError("its shape, chunks or separator are invalid")
    if math.prod(files) * encoding.dtype.itemsize > MAX_CHUNK_BYTES:
        problem = problem or f"has chunks of more than {MAX_CHUNK_BYTES:,} bytes"
    if math.prod(math.ceil(size / chunk) for size, chunk in zip(shape, encoding.shape, strict=True)) > MAX_CHUNKS:
        problem = problem or f"has more than {MAX_CHUNKS:,} chunks"
    problem = problem or encoding.problem()

    def key(index: tuple[int, ...]) -> str:
        parts = [*([prefix] if prefix else []), *map(str, index)]
        return f"{name}/{separator.join(parts)}" if parts else f"{name}/0"

    return ZarrArray(name, shape, files, encoding, shards, _fill(fill, encoding.dtype), key, problem)


def _sizes(value: Json, least: int) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > _MAX_AXES:
        raise ValueError(f"{printable(value)} is not a list of at most {_MAX_AXES} sizes")
    if not all(type(size) is int and least <= size <= MAX_FRAMES for size in value):
        raise ValueError(f"{printable(value)} are not sizes")
    return tuple(size for size in value if isinstance(size, int))


class _Part(NamedTuple):
    """A part of the metadata of version 3."""

    name: str
    settings: JsonObject


def _part(value: Json) -> _Part:
    if isinstance(value, str):
        return _Part(value, {})
    if not isinstance(value, dict):
        raise ValueError(f"{printable(value)} is not a part of it")
    settings = value.get("configuration", {})
    return _Part(str(value["name"]), settings if isinstance(settings, dict) else {})


def _parts(value: Json) -> list[_Part]:
    if not isinstance(value, list):
        raise ValueError(f"{printable(value)} are not codecs")
    return [_part(part) for part in value]


def _fill(value: Json, dtype: np.dtype[Any]) -> float | int | bool:
    """Return the value of chunks that are not stored; anything but a number of the type counts as 0."""
    if isinstance(value, str) and dtype.kind == "f":
        return float(value.replace("Infinity", "inf")) if value in ("NaN", "Infinity", "-Infinity") else math.nan
    if not isinstance(value, bool | int | float) or (dtype.kind != "f" and value != value // 1):
        return 0
    try:
        whole = value if dtype.kind == "f" else int(value)
        with np.errstate(over="ignore"):
            found: float | int | bool = np.array(whole, dtype).item()
            return found
    except OverflowError:
        raise ValueError(f"its fill value {printable(value, 40)} is beyond {dtype.name}") from None
