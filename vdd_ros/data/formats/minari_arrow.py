"""Minari's data sets in Arrow: data/NUMBER/part-0.arrow for each episode, read without Minari.

A row is a step; the last one is the observation after the last action, with a dummy action.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats.arrow_sizes import unpacked_bytes
from vdd_ros.data.formats.parquet import numbers
from vdd_ros.data.formats.source import MAX_EPISODES, MAX_FRAMES, Column, damaged, needing
from vdd_ros.text import printable

if TYPE_CHECKING:
    import pyarrow as pa

OBSERVATIONS, ACTIONS = "observations", "actions"
_MAX_DEPTH, _MAX_KEYS = 8, 4_096
_MAX_UNPACKED = 1 << 30
"""Size limit of a compressed episode, which is unpacked whole, in bytes."""
_NAMES = {"halffloat": "float16", "float": "float32", "double": "float64"}
"""Names of number types in Arrow that are not NumPy's; pyarrow 25 needs pandas to convert them."""


class ArrowEpisodes:
    """The episodes of a data set.

    Args:
        folder: `data` of the data set.

    Attributes:
        lengths: (E,) actions of each episode.
        columns: Columns of observations and actions, in order.

    Raises:
        DemonstrationError: pyarrow is missing, or the data set is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._files = [_file(place) for place in _numbered(folder)]
        if not self._files:
            raise damaged(folder, "holds no episode 0", "give a data set of Minari, with episodes")
        first = _table(self._files[0])
        self.lengths = np.array([_length(file) for file in self._files], np.int64)
        self.columns = tuple(column for role in (OBSERVATIONS, ACTIONS) for column in self._columns(first, role))

    def _columns(self, first: "pa.Table", role: str) -> Iterator[Column]:
        if role not in first.column_names:
            raise damaged(self._files[0], f"has no {role}", "record or convert the data set again")
        parts = list(_parts(first.schema.field(role).type, role))
        if len(parts) > _MAX_KEYS:
            raise damaged(self._files[0], f"has more than {_MAX_KEYS:,} {role}", "split them")
        for key, kind in parts:
            yield self._column(key, kind)

    def _column(self, key: str, kind: "pa.DataType") -> Column:
        import pyarrow as pa

        shape: tuple[int, ...] = ()
        while pa.types.is_fixed_size_list(kind):
            shape, kind = (*shape, kind.list_size), kind.value_type
        role, _, rest = key.partition("/")
        base = rest or role.removesuffix("s")
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        dtype = _NAMES.get(str(kind), str(kind)) if is_number else "object"
        problem = "" if is_number else f"holds {printable(kind)}, which are not numbers"
        if not problem and 0 in shape:
            problem = f"has the shape {shape}, without a number for each frame"
        return Column(key, shape, dtype, lambda: self._read(key, shape, dtype), base, problem=problem)

    def _read(self, key: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        import pyarrow as pa
        import pyarrow.compute as pc

        found = np.empty((int(self.lengths.sum()), *shape), dtype)
        start = 0
        for file, length in zip(self._files, self.lengths.tolist(), strict=True):
            role, *parts = key.split("/")
            table = _table(file).slice(0, length)
            try:
                values = table.column(role)
                for part in parts:
                    values = pc.struct_field(values, part)
            except (pa.ArrowException, KeyError) as error:
                raise damaged(file, f"lacks '{printable(key)}'", "remove that episode, or write it again") from error
            read = numbers(pa.table({key: values}), key, shape, file)
            if read.dtype != found.dtype or len(read) != length:
                raise damaged(
                    file,
                    f"has '{printable(key)}' of {read.dtype}, while the first episode's is of {dtype}",
                    "remove that episode, or write the data set again",
                )
            found[start : start + length] = read
            start += length
        return found


def _numbered(folder: Path) -> list[Path]:
    """Return the folders of the episodes ordered by number."""
    found = {int(place.name): place for place in folder.iterdir() if place.name.isdecimal() and place.is_dir()}
    if len(found) > MAX_EPISODES:
        raise damaged(folder, f"holds {len(found):,} episodes", f"at most {MAX_EPISODES:,} are read: split it")
    return [found[number] for number in sorted(found)]


def _file(episode: Path) -> Path:
    files = sorted(episode.glob("*.arrow"))
    if len(files) != 1:
        raise damaged(episode, f"holds {len(files)} files of Arrow instead of one", "copy or write it again")
    return files[0]


def _length(file: Path) -> int:
    length = int(_table(file).num_rows) - 1
    if not 1 <= length <= MAX_FRAMES:
        raise damaged(file, f"has {length:,} actions", "remove that episode")
    return length


def _table(file: Path) -> "pa.Table":
    """Open the frames of an episode, mapped into memory; compressed ones are unpacked, after checking their size."""
    with needing("pyarrow", f"'{printable(file)}', Minari's data in Arrow,"):
        import pyarrow as pa
    if not file.is_file():
        raise damaged(file, "is not an ordinary file", "copy the data set again")
    try:
        with pa.memory_map(str(file)) as stream:
            size = unpacked_bytes(memoryview(stream.read_buffer()))
            if size > _MAX_UNPACKED:
                raise damaged(
                    file,
                    f"unpacks to {size:,} bytes",
                    f"at most {_MAX_UNPACKED:,} are read: write it without compression",
                )
            table = pa.ipc.open_file(stream).read_all()
        table.validate(full=True)
        return table
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise damaged(file, f"is damaged ({printable(error)})", "copy the data set again") from error


def _parts(kind: "pa.DataType", key: str, depth: int = 0) -> "Iterator[tuple[str, pa.DataType]]":
    """Yield path and type of each part of a space."""
    import pyarrow as pa

    if pa.types.is_struct(kind) and depth < _MAX_DEPTH:
        for index in range(kind.num_fields):
            field = kind.field(index)
            yield from _parts(field.type, f"{key}/{field.name}", depth + 1)
    else:
        yield key, kind
