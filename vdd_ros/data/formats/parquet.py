"""Frames in LeRobot's Parquet files: numbers and images by column, in order of episodes."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats.images import decode_images
from vdd_ros.data.formats.source import MAX_BYTES, MAX_FRAMES, damaged, needing
from vdd_ros.text import printable

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_SPARE_VALUES = 1 << 20
"""Extra numbers allowed in a column, so that an error can give the numbers per row."""
_IMAGES_AT_ONCE = 4

_CUT = "has no end, so its recording was not finalised, or the copy was truncated"
_MEND = "finalise the recording (dataset.finalize() in LeRobot), or copy the file again"


def read_table(file: Path, columns: Sequence[str], most_rows: int, size: int = 1) -> "pa.Table":
    """Read columns of a Parquet file, after checking their sizes: a few bytes can expand to millions of numbers.

    Args:
        file: The file.
        columns: Their names.
        most_rows: Maximum number of rows.
        size: Numbers per row of each column.

    Raises:
        DemonstrationError: pyarrow or the file is missing; the file is damaged or too long, or lacks a column.
    """
    with _opened(file, columns, most_rows) as opened:
        _check_sizes(opened, columns, size, file)
        return opened.read(columns=list(columns)).select(list(columns))


def _check_sizes(opened: "pq.ParquetFile", columns: Sequence[str], size: int, file: Path) -> None:
    """Refuse columns with many times more numbers than expected."""
    metadata, names = opened.metadata, opened.schema_arrow.names
    for place in range(metadata.num_columns):
        path = opened.schema.column(place).path  # a name, which may have dots, with or without a suffix
        if not any(path == name or path.startswith(f"{name}.") for name in columns):
            continue
        owner = max((name for name in names if path == name or path.startswith(f"{name}.")), key=len)
        values = sum(metadata.row_group(group).column(place).num_values for group in range(metadata.num_row_groups))
        if owner in columns and values > 4 * metadata.num_rows * size + _SPARE_VALUES:
            shown, rows = printable(owner), metadata.num_rows
            raise damaged(
                file,
                f"has {values:,} numbers in the column '{shown}', but {rows:,} rows of {size:,}",
                "convert the data set again",
            )


def read_images(file: Path, column: str, most_rows: int) -> "Iterator[list[object]]":
    """Yield the values of a column of image files in batches: a file can repeat one image in all its rows.

    Raises:
        DemonstrationError: As `read_table`.
    """
    with _opened(file, (column,), most_rows) as opened:
        for batch in opened.iter_batches(_IMAGES_AT_ONCE, columns=[column]):
            rows = batch.column(batch.schema.get_field_index(column)).to_pylist()
            yield [row.get("bytes") if isinstance(row, dict) else row for row in rows]


@contextmanager
def _opened(file: Path, columns: Sequence[str], most_rows: int) -> "Iterator[pq.ParquetFile]":
    """Open a file after checking its columns and number of rows; raises the errors of `read_table`."""
    with needing("pyarrow", "a Parquet file"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    if not file.is_file():
        raise damaged(file, "is missing", "copy the data set again, with all its files")
    try:
        with pq.ParquetFile(file) as opened:
            rows, names = opened.metadata.num_rows, opened.schema_arrow.names
            if rows > most_rows:
                raise damaged(file, f"has {rows:,} rows instead of at most {most_rows:,}", "copy the data set again")
            if missing := [name for name in columns if name not in names]:
                raise damaged(file, f"lacks the column '{printable(missing[0])}'", "convert the data set again")
            if twice := [name for name in columns if names.count(name) > 1]:
                raise damaged(file, f"has the column '{printable(twice[0])}' twice", "convert the data set again")
            yield opened
    except (pa.ArrowException, OSError, ValueError) as error:
        with file.open("rb") as stream:
            stream.seek(max(file.stat().st_size - 4, 0))
            is_whole = stream.read(4) == b"PAR1"
        problem = f"is damaged ({printable(error)})" if is_whole else _CUT
        raise damaged(file, problem, "copy or convert it again" if is_whole else _MEND) from error


def whole_numbers(table: "pa.Table", name: str, file: Path) -> NDArray[np.int64]:
    """Return a column of whole numbers, (M,) int64; raises DemonstrationError for other types."""
    values = numbers(table, name, (), file)
    if values.dtype.kind not in "iu":
        raise damaged(file, f"has the column '{printable(name)}' of {values.dtype}, not of whole numbers", "convert it")
    return values.astype(np.int64)


def numbers(table: "pa.Table", name: str, shape: tuple[int, ...], file: Path) -> NDArray[Any]:
    """Return a column of numbers, vectors or nested lists as (M, *shape).

    Args:
        table: Result of `read_table`.
        name: The column.
        shape: Shape of a row. Vectors of one number may be plain numbers.
        file: File named in errors.

    Raises:
        DemonstrationError: A row is empty, of another length, or not a number.
    """
    import pyarrow as pa

    column = table.column(name)
    found = [_flat(chunk, shape, name, file) for chunk in column.chunks]
    if not found:
        kind = pa.types.is_floating(column.type)
        return np.zeros((0, *shape), np.float32 if kind else np.int64)
    return np.concatenate(found).reshape(table.num_rows, *shape)


def _flat(array: "pa.Array", shape: tuple[int, ...], name: str, file: Path) -> NDArray[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    where, rows = f"has the column '{printable(name)}'", len(array)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    for size in shape:
        kind = array.type
        nested = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
        if not nested and size == 1:
            continue
        if not nested or array.null_count:
            raise damaged(file, f"{where} of {printable(kind)} with empty rows, or without lists", "convert it again")
        lengths = kind.list_size if pa.types.is_fixed_size_list(kind) else pc.min_max(pc.list_value_length(array))
        low, high = (lengths, lengths) if isinstance(lengths, int) else (lengths["min"].as_py(), lengths["max"].as_py())
        if len(array) and (low, high) != (size, size):
            raise damaged(
                file, f"{where} with lists of {low} to {high} numbers instead of {size}", "convert the data set again"
            )
        array = array.flatten()
    if array.null_count or not (pa.types.is_primitive(array.type) or pa.types.is_boolean(array.type)):
        raise damaged(file, f"{where} with empty rows, or of {printable(array.type)}", "leave it out, or convert it")
    values: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    if values.dtype.kind not in "fiub" or len(values) != rows * math.prod(shape):
        raise damaged(
            file, f"{where} of {printable(array.type)}, which are not {shape} numbers per row", "leave it out"
        )
    return values


class FrameFiles:
    """The frames of a data set in Parquet files with the columns episode_index and frame_index.

    Args:
        files: The files, in order of their episodes.
        lengths: (E,) frames of each episode.

    Raises:
        DemonstrationError: A file is missing or damaged, or its frames are not those of the episodes.
    """

    def __init__(self, files: Sequence[Path], lengths: NDArray[np.int64]) -> None:
        self._files = list(files)
        self._frames = int(lengths.sum())
        self._rows: list[int] = []
        episodes, frames = [], []
        for file in self._files:
            table = read_table(file, ("episode_index", "frame_index"), self._frames - sum(self._rows))
            episodes.append(whole_numbers(table, "episode_index", file))
            frames.append(whole_numbers(table, "frame_index", file))
            self._rows.append(table.num_rows)
        episode, frame = (np.concatenate(found or [np.zeros(0, np.int64)]) for found in (episodes, frames))
        order = np.lexsort((frame, episode))
        self._order = None if (order[1:] > order[:-1]).all() else order
        self._check(episode[order], frame[order], lengths)

    def _check(self, episode: NDArray[np.int64], frame: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        """Refuse frames that are not numbered 0, 1, … in each episode."""
        place = self._files[0].parent if self._files else Path()
        if len(episode) and (episode[0] < 0 or episode[-1] >= len(lengths)):
            wrong = int(episode[0] if episode[0] < 0 else episode[-1])
            raise damaged(
                place,
                f"holds frames of episode {wrong:,}, but there are {len(lengths):,} episodes, counted from 0",
                "copy the data set again, with all its files",
            )
        found = np.bincount(episode, minlength=len(lengths))
        if (found != lengths).any():
            bad = int(np.argmax(found != lengths))
            raise damaged(
                place,
                f"holds {found[bad]:,} frames of episode {bad} instead of {lengths[bad]:,}",
                "copy the data set again, with all its files",
            )
        starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
        if (frame != np.arange(len(frame)) - starts).any():
            bad = int(episode[np.argmax(frame != np.arange(len(frame)) - starts)])
            raise damaged(place, f"does not count the frames of episode {bad} from 0", "record or convert it again")

    def read_numbers(self, key: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Read a column of numbers of all frames, (M, *shape), in order of episodes."""
        parts = [
            numbers(read_table(file, (key,), rows, math.prod(shape)), key, shape, file)
            for file, rows in zip(self._files, self._rows, strict=True)
        ]
        return self._ordered(np.concatenate(parts))

    def read_images(self, key: str, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        """Read a column of PNG or JPEG files of all frames, (M, height, width, 3), in order of episodes."""
        if self._frames * math.prod(shape) > MAX_BYTES or self._frames > MAX_FRAMES:
            raise damaged(self._files[0], f"has images '{printable(key)}' beyond {MAX_BYTES:,} bytes", "leave them out")
        found = np.empty((self._frames, *shape), np.uint8)
        place = 0
        for file, rows in zip(self._files, self._rows, strict=True):
            begin, where = place, f"'{printable(file)}', column '{printable(key)}'"
            for encoded in read_images(file, key, rows):
                found[place : place + len(encoded)] = decode_images(encoded, shape, where, place - begin)
                place += len(encoded)
        return self._ordered(found)

    def _ordered(self, values: NDArray[Any]) -> NDArray[Any]:
        return values if self._order is None else values[self._order]
