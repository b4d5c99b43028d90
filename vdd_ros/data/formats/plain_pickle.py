"""Pickles of dictionaries, lists, numbers and numpy arrays, read without running any code in them.

A pickle is a program for a small machine: it may name any function of any module and have it called, modify objects, or
claim memory that it does not fill. Here its steps are interpreted one by one, without Python's own machine. Every name
is refused except those of pickled numpy arrays, which are replaced by functions of this module that only store their
arguments.
"""

import math
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats.source import damaged
from vdd_ros.files import read_ordinary
from vdd_ros.text import printable

MAX_BYTES = 1 << 30
"""Size limit of a file."""
MAX_STEPS = 1_000_000
"""Steps of a pickle: an array takes about twenty, a number one."""
_MAX_BITS = 64
"""Bits of a whole number."""
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

_VALUES = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "STRING", "SHORT_BINSTRING", "BINSTRING"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
)
_CONSTANTS: dict[str, Callable[[], object]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS, _GETS = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")


class _Machine:
    """Interprets the steps of a pickle; sets become lists."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, object] = {}

    def run(self, content: bytes) -> object:
        """Return the content of a pickle; raises any error if it is damaged or has other steps."""
        for number, (step, argument, _) in enumerate(pickletools.genops(content)):
            if number >= MAX_STEPS:
                raise ValueError(f"it takes more than {MAX_STEPS:,} steps; save its numbers as arrays of numpy")
            if step.name == "STOP":
                return self._stack.pop()
            self._take(step.name, argument)
        raise ValueError("it is truncated")

    def _take(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _VALUES:
            if isinstance(argument, int) and argument.bit_length() > _MAX_BITS:
                raise ValueError(f"it holds a whole number of more than {_MAX_BITS} bits")
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _PUTS:
            self._memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in _GETS:
            stack.append(self._memo[argument])
        elif name in _TUPLES:
            stack[-_TUPLES[name] :] = [tuple(stack[-_TUPLES[name] :])]
        elif name not in ("PROTO", "FRAME"):
            steps = _STEPS.get(name)
            if steps is None:
                raise ValueError(f"it takes the step {name}, which numpy does not write")
            steps(self, argument)

    def _mark(self, _: object) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _marked(self) -> list[Any]:
        """Return and remove everything above the last mark."""
        found, self._stack = self._stack, self._below.pop()
        return found

    def _tuple(self, _: object) -> None:
        self._stack_up(tuple(self._marked()))

    def _list(self, _: object) -> None:
        self._stack_up(self._marked())

    def _dict(self, _: object) -> None:
        members = self._marked()
        made: dict[Any, Any] = {}
        _put(made, members)
        self._stack_up(made)

    def _stack_up(self, value: object) -> None:
        self._stack.append(value)

    def _append(self, _: object) -> None:
        value = self._stack.pop()
        _list_of(self._stack[-1]).append(value)

    def _extend(self, _: object) -> None:
        members = self._marked()
        _list_of(self._stack[-1]).extend(members)

    def _set_item(self, _: object) -> None:
        members = self._stack[-2:]
        del self._stack[-2:]
        _put(self._stack[-1], members)

    def _set_items(self, _: object) -> None:
        members = self._marked()
        _put(self._stack[-1], members)

    def _pop(self, _: object) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._marked()

    def _pop_mark(self, _: object) -> None:
        self._marked()

    def _duplicate(self, _: object) -> None:
        self._stack.append(self._stack[-1])

    def _global(self, argument: str) -> None:
        self._name(*argument.split(" ", 1))

    def _stack_global(self, _: object) -> None:
        module, name = self._stack[-2:]
        del self._stack[-2:]
        self._name(module, name)

    def _name(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("it names a function without text")
        if (module, name) not in _KNOWN:
            raise ValueError(f"it asks for '{printable(module)}.{printable(name)}', which is never called")
        self._stack.append(_KNOWN[module, name])

    def _reduce(self, _: object) -> None:
        function, arguments = self._stack[-2:]
        del self._stack[-2:]
        if not isinstance(arguments, tuple) or not any(function is known for known in _FUNCTIONS.values()):
            raise ValueError("it makes an array in a way unknown to numpy")
        self._stack.append(function(*arguments))

    def _build(self, _: object) -> None:
        state = self._stack.pop()
        if not isinstance(self._stack[-1], Array | DType):
            raise ValueError("it changes an object that is not an array")
        self._stack[-1].fill(state)


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine._mark,
    "TUPLE": _Machine._tuple,
    "FROZENSET": _Machine._tuple,
    "LIST": _Machine._list,
    "DICT": _Machine._dict,
    "APPEND": _Machine._append,
    "APPENDS": _Machine._extend,
    "ADDITEMS": _Machine._extend,
    "SETITEM": _Machine._set_item,
    "SETITEMS": _Machine._set_items,
    "POP": _Machine._pop,
    "POP_MARK": _Machine._pop_mark,
    "DUP": _Machine._duplicate,
    "GLOBAL": _Machine._global,
    "STACK_GLOBAL": _Machine._stack_global,
    "REDUCE": _Machine._reduce,
    "BUILD": _Machine._build,
}


def _list_of(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("it appends to an object that is not a list")
    return value


def _put(value: object, members: list[Any]) -> None:
    """Put alternating keys and values into a dictionary.

    Keys are texts, numbers and flat tuples of them: hashing nested tuples can take forever.
    """
    if not isinstance(value, dict) or len(members) % 2:
        raise ValueError("it puts a key and a value into an object that is not a dictionary")
    for key, content in zip(members[::2], members[1::2], strict=True):
        if not all(isinstance(part, _PLAIN) for part in (key if isinstance(key, tuple) else (key,))):
            raise ValueError("it has a key that is neither text nor number")
        value[key] = content


_PLAIN = (str, bytes, int, float, type(None))


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
