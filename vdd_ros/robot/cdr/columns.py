"""Reads the numbers of many messages at once: messages of one form together, the others one by one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError
from vdd_ros.robot.cdr.packed import Packed
from vdd_ros.robot.cdr.readers import NumberForm, NumberReader

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_FORMS = 8
"""Limit on the forms of messages of one length that are read together."""
_WORD = 8


@dataclass
class Columns:
    """The numbers of n messages.

    Attributes:
        numbers: (n, k), the numbers of each; NaN if `errors` has a reason.
        stamps_ns: (n,), the stamps; 0 without a header or with a zero stamp.
        errors: Why a message has no numbers, by its index.
    """

    numbers: Floats
    stamps_ns: Ints
    errors: dict[int, ObservationError] = field(default_factory=dict)


def read_columns(reader: NumberReader, contents: Packed | Sequence[bytes], count: int) -> Columns:
    """Read `count` numbers from each of n messages; equal to `NumberReader.read` on each.

    Args:
        reader: Reads one message.
        contents: The messages, (n,), with their encapsulation headers.
        count: Number k of numbers per message.
    """
    packed = contents if isinstance(contents, Packed) else Packed.of(contents)
    found = Columns(np.full((len(packed), count), np.nan), np.zeros(len(packed), np.int64))
    for size in np.unique(packed.sizes).tolist():
        places = np.flatnonzero(packed.sizes == size)
        for _ in range(_FORMS):
            if len(places) < 2:
                break
            rest = _of_one_form(reader, packed, places, size, found)
            if len(rest) == len(places):
                break
            places = rest
        for place in places.tolist():
            _one(reader.read, packed[place], place, found)
    return found


def read_singly(read: Callable[[bytes, Floats], int | None], contents: Packed, count: int) -> Columns:
    """Read n messages one after the other with `read`, which has the signature of `NumberReader.read`."""
    found = Columns(np.full((len(contents), count), np.nan), np.zeros(len(contents), np.int64))
    for place in range(len(contents)):
        _one(read, contents[place], place, found)
    return found


def _of_one_form(reader: NumberReader, packed: Packed, places: Ints, size: int, found: Columns) -> Ints:
    """Read the messages that have the form of the first one; return the indices of the others."""
    form = reader.form(packed[places[0]])
    if form is None:
        return places
    rows = packed.rows(places, size)
    fits = _fits(rows, form)
    if not fits.all():
        places, rest, rows = places[fits], places[~fits], rows[fits]
    else:
        rest = places[:0]
    stamped = len(form.stamp)
    everything = len(places) == len(packed)
    numbers = found.numbers if everything else np.empty((len(places), found.numbers.shape[1]))
    _numbers(rows, form, numbers)
    if not everything:
        found.numbers[places] = numbers
    if stamped:
        sec, nanosec = (_column(rows, place.offset, form.order + place.code).astype(np.int64) for place in form.stamp)
        found.stamps_ns[places] = sec * 1_000_000_000 + nanosec
    return rest


def _fits(rows: NDArray[np.uint8], form: NumberForm) -> NDArray[np.bool_]:
    """Return which messages, (m, size), have the bytes that the form requires."""
    fits = np.ones(len(rows), bool)
    for start, stop, expected in form.same:
        whole = start + (stop - start) // _WORD * _WORD
        if whole > start:
            words = _words(rows, start, whole)
            fits &= (words == np.frombuffer(expected[: whole - start], np.uint64)).all(axis=1)
        if stop > whole:
            wanted = np.frombuffer(expected[whole - start :], np.uint8)
            fits &= (rows[:, whole:stop] == wanted).all(axis=1)
    return fits


def _words(rows: NDArray[np.uint8], start: int, stop: int) -> NDArray[np.uint64]:
    """Return a part of rows as words of 8 bytes, aligned or not."""
    shape = len(rows), (stop - start) // _WORD
    return np.ndarray(shape, np.uint64, rows, start, (rows.shape[1], _WORD))


def _numbers(rows: NDArray[np.uint8], form: NumberForm, out: Floats) -> None:
    """Copy the numbers of messages of one form, (m, size), into `out`, (m, k); neighbours together."""
    first = 0
    while first < len(form.numbers):
        offset, code = form.numbers[first]
        step = np.dtype(code).itemsize
        last = first + 1
        while last < len(form.numbers) and form.numbers[last] == (offset + (last - first) * step, code):
            last += 1
        dtype = np.dtype(form.order + code)
        strides, shape = (rows.shape[1], step), (len(rows), last - first)
        block = np.ndarray(shape, dtype, rows, offset, strides)
        out[:, first:last] = block if dtype.kind != "b" else block.view(np.uint8) != 0
        first = last


def _column(rows: NDArray[np.uint8], offset: int, code: str) -> NDArray[np.generic]:
    return np.ndarray(len(rows), np.dtype(code), rows, offset, (rows.shape[1],))


def _one(read: Callable[[bytes, Floats], int | None], content: bytes, place: int, found: Columns) -> None:
    try:
        stamp = read(content, found.numbers[place])
    except ObservationError as error:
        found.errors[place] = error
        found.numbers[place] = np.nan
    else:
        found.stamps_ns[place] = stamp or 0
