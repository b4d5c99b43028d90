"""Pickles of dictionaries, lists, numbers and numpy arrays, read without running any code in them.

Its steps are interpreted one by one, without Python's own machine. Every name is refused except those of pickled numpy
arrays, which are replaced by functions of this module that only store their arguments.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats.pickle_machine import PickleMachine
from vdd_ros.data.formats.source import damaged
from vdd_ros.files import read_ordinary
from vdd_ros.text import printable

MAX_BYTES = 1 << 30
"""Size limit of a file."""
_KINDS = "fiub"


class Array:
    """A numpy array in a pickle: type, shape and bytes, not yet an array."""

    __slots__ = ("_content", "_dtype", "_order", "_shape")

    def __init__(self, kind: object, shape: object, letter: object) -> None:
        """Accept the arguments of numpy's own function, for an empty array to be filled."""
        if kind is not _NDARRAY or shape != (0,):
            raise ValueError("it holds an array that numpy did not write")
        self._shape: object = None
        self._dtype: object = None
        self._order = "C"
        self._content: object = None

    def fill(self, state: object) -> None:
        """Accept version, shape, type, order and bytes."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise ValueError("it holds an array that numpy did not write")
        _, self._shape, self._dtype, fortran, self._content = state
        self._order = "F" if fortran is True else "C"

    def values(self) -> NDArray[Any]:
        """Return the array.

        Raises:
            ValueError: It holds no numbers, or its size contradicts its shape.
        """
        shape, dtype, content = self._shape, self._dtype, self._content
        if not isinstance(dtype, DType) or not isinstance(content, bytes):
            raise ValueError("it holds objects, which are not numbers")
        found = dtype.dtype()
        if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
            raise ValueError("its shape is not a tuple of sizes")
        if math.prod(shape) * found.itemsize != len(content):
            raise ValueError(f"it has {len(content):,} bytes, but the shape {printable(shape)} of {found}")
        whole: NDArray[Any] = np.frombuffer(content, found).reshape(shape, order="F" if self._order == "F" else "C")
        return whole


class DType:
    """A number type of numpy in a pickle: its letters and its byte order."""

    __slots__ = ("_letters", "_order")

    def __init__(self, letters: object, align: object = False, copy: object = True) -> None:
        self._letters = letters
        self._order: object = "="

    def fill(self, state: object) -> None:
        """Accept version, byte order and more."""
        if isinstance(state, tuple) and len(state) > 1:
            self._order = state[1]

    def dtype(self) -> np.dtype[Any]:
        """Return the type; raises ValueError if it is not a number type."""
        if not isinstance(self._letters, str):
            raise ValueError("it is not of a numpy type")
        if self._letters[:1] not in _KINDS or not self._letters[1:].isdecimal():
            raise ValueError(f"it is of {printable(self._letters)}, which are not numbers")
        try:
            found = np.dtype(self._letters)
        except TypeError as error:
            raise ValueError(f"it is of {printable(self._letters)}, which numpy does not know") from error
        return found.newbyteorder(">" if self._order == ">" else "<" if self._order == "<" else "=")


def _scalar(dtype: object, content: object = b"") -> float | int | bool:
    """Return a single numpy number as a Python number."""
    if not isinstance(dtype, DType) or not isinstance(content, bytes):
        raise ValueError("it holds a number that numpy did not write")
    (found,) = np.frombuffer(content, dtype.dtype())
    number: float | int | bool = found.item()
    return number


def _of_bytes(content: object, dtype: object, shape: object, order: object) -> Array:
    """Return an array as numpy writes it in protocol 5."""
    array = Array(_NDARRAY, (0,), b"b")
    array.fill((1, shape, dtype, order == "F", bytes(content) if isinstance(content, bytes | bytearray) else None))
    return array


def _latin1(text: object, encoding: object) -> bytes:
    """Return bytes as protocols 0 to 2 write them: as a text in Latin-1."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("it asks for an encoding other than Latin-1")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Return the representation of an empty array in these protocols."""
    return b""


_NDARRAY = object()
"""Replaces numpy's array type, which pickles name but do not call."""
_FUNCTIONS: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy", "dtype"): DType,
    ("_codecs", "encode"): _latin1,
    ("__builtin__", "bytes"): _no_bytes,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", Array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _of_bytes),
        )
    },
}
_KNOWN: dict[tuple[str, str], object] = {("numpy", "ndarray"): _NDARRAY, **_FUNCTIONS}


class _Machine(PickleMachine):
    """Refuses every name except those of pickled numpy arrays."""

    def named(self, module: str, name: str) -> object:
        if (module, name) not in _KNOWN:
            raise ValueError(f"it asks for '{printable(module)}.{printable(name)}', which is never called")
        return _KNOWN[module, name]

    def called(self, function: object, arguments: object) -> object:
        for known in _FUNCTIONS.values():
            if function is known and isinstance(arguments, tuple):
                return known(*arguments)
        raise ValueError("it makes an array in a way unknown to numpy")

    def changed(self, value: object, state: object) -> None:
        if not isinstance(value, Array | DType):
            raise ValueError("it changes an object that is not an array")
        value.fill(state)


def read_pickle(file: Path) -> object:
    """Read a pickle; arrays of numpy are `Array`s.

    Raises:
        DemonstrationError: The file is missing, too large or damaged, or would run code.
    """
    try:
        content = read_ordinary(file, MAX_BYTES)
    except OSError as error:
        raise damaged(file, f"cannot be read ({error.strerror})", "name another file") from error
    if len(content) > MAX_BYTES:
        raise damaged(file, f"has more than {MAX_BYTES:,} bytes", "split it")
    try:
        return _Machine().run(content)
    except Exception as error:  # a damaged pickle makes the library raise nearly anything
        reason = printable(error) or type(error).__name__
        raise damaged(file, f"is not a readable pickle: {reason}", "save its numbers as a plain array") from error
