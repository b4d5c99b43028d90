"""Reads the numbers of many messages at once: those of one form, all together; the others one by one."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError
from vdd_ros.robot.cdr.readers import NumberReader

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass
class Columns:
    """What n messages say.

    Attributes:
        numbers: (n, k), the numbers of each; NaN where `errors` has a reason.
        stamps_ns: (n,), the stamps; 0 without a header or with a zero stamp.
        errors: Why a message has no numbers, by its place.
    """

    numbers: Floats
    stamps_ns: Ints
    errors: dict[int, ObservationError] = field(default_factory=dict)


def read_columns(reader: NumberReader, contents: Sequence[bytes], count: int) -> Columns:
    """Read `count` numbers out of each of n messages; the same as `NumberReader.read` on one after the other.

    Args:
        reader: Reads one message.
        contents: The messages, (n,), with their encapsulation headers.
        count: Numbers of a message, k.
    """
    found = Columns(np.full((len(contents), count), np.nan), np.zeros(len(contents), np.int64))
    sizes = np.fromiter(map(len, contents), np.int64, len(contents))
    for size in np.unique(sizes).tolist():
        places = np.flatnonzero(sizes == size)
        if len(places) > 1:
            places = _of_one_form(reader, contents, places, size, found)
        for place in places.tolist():
            _one(reader, contents[place], place, found)
    return found


def _of_one_form(reader: NumberReader, contents: Sequence[bytes], places: Ints, size: int, found: Columns) -> Ints:
    """Read the messages that have the form of the first one; return the places of the others."""
    form = reader.form(contents[places[0]])
    if form is None:
        return places
    alike = contents if len(places) == len(contents) else [contents[place] for place in places.tolist()]
    rows = np.frombuffer(b"".join(alike), np.uint8).reshape(-1, size)
    fits = np.ones(len(rows), bool)
    for start, stop, expected in form.same:
        fits &= (rows[:, start:stop] == np.frombuffer(expected, np.uint8)).all(axis=1)
    of_form, stamped = places[fits], len(form.stamp)
    columns = [_column(rows, place.offset, form.order + place.code)[fits] for place in (*form.stamp, *form.numbers)]
    for number, column in enumerate(columns[stamped:]):
        found.numbers[of_form, number] = column
    if stamped:
        sec, nanosec = (column.astype(np.int64) for column in columns[:stamped])
        found.stamps_ns[of_form] = sec * 1_000_000_000 + nanosec
    return places[~fits]


def _column(rows: NDArray[np.uint8], offset: int, code: str) -> NDArray[np.generic]:
    dtype = np.dtype(code)
    view = np.ndarray(len(rows), dtype, rows, offset, (rows.shape[1],))
    return view if dtype.kind != "b" else view.view(np.uint8) != 0


def _one(reader: NumberReader, content: bytes, place: int, found: Columns) -> None:
    try:
        stamp = reader.read(content, found.numbers[place])
    except ObservationError as error:
        found.errors[place] = error
        found.numbers[place] = np.nan
    else:
        found.stamps_ns[place] = stamp or 0
