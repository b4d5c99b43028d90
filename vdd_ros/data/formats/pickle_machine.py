"""A machine that interprets the steps of a pickle one by one, without Python's own.

A pickle is a program for a small machine: it may name any function of any module and have it called, modify objects, or
claim memory that it does not fill. Here nothing is imported and nothing is called: what a name means, and what happens
when a pickle calls or changes it, is up to the class derived from `PickleMachine`.
"""

import pickletools
from collections.abc import Callable
from typing import Any, ClassVar

MAX_STEPS = 1_000_000
"""Steps of a pickle: an array takes about twenty, a number one."""
_MAX_BITS = 64
"""Bits of a whole number."""
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
_PLAIN = (str, bytes, int, float, type(None))
_PUTS, _GETS = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")


class PickleMachine:
    """Interprets the steps of a pickle; sets become lists.

    Attributes:
        steps: Names of methods by the names of steps, apart from those that only put values on the stack. Any other
            step is refused.
        writer: Who writes such pickles, for errors.
    """

    writer = "numpy"
    steps: ClassVar[dict[str, str]] = {
        "MARK": "_mark",
        "TUPLE": "_tuple",
        "FROZENSET": "_tuple",
        "LIST": "_list",
        "DICT": "_dict",
        "APPEND": "_append",
        "APPENDS": "_extend",
        "ADDITEMS": "_extend",
        "SETITEM": "_set_item",
        "SETITEMS": "_set_items",
        "POP": "_pop",
        "POP_MARK": "_pop_mark",
        "DUP": "_duplicate",
        "GLOBAL": "_global",
        "STACK_GLOBAL": "_stack_global",
        "REDUCE": "_reduce",
        "BUILD": "_build",
    }

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
            method = self.steps.get(name)
            if method is None:
                raise ValueError(f"it takes the step {name}, which {self.writer} does not write")
            getattr(self, method)(argument)

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
        self._put(made, members)
        self._stack_up(made)

    def _stack_up(self, value: object) -> None:
        self._stack.append(value)

    def _append(self, _: object) -> None:
        value = self._stack.pop()
        self._list_of(self._stack[-1]).append(value)

    def _extend(self, _: object) -> None:
        members = self._marked()
        self._list_of(self._stack[-1]).extend(members)

    def _set_item(self, _: object) -> None:
        members = self._stack[-2:]
        del self._stack[-2:]
        self._put(self._stack[-1], members)

    def _set_items(self, _: object) -> None:
        members = self._marked()
        self._put(self._stack[-1], members)

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
        self._stack.append(self.named(module, name))

    def _reduce(self, _: object) -> None:
        function, arguments = self._stack[-2:]
        del self._stack[-2:]
        self._stack.append(self.called(function, arguments))

    def _build(self, _: object) -> None:
        state = self._stack.pop()
        self.changed(self._stack[-1], state)

    def _list_of(self, value: object) -> list[Any]:
        """Return the list that a pickle appends to."""
        if not isinstance(value, list):
            raise ValueError("it appends to an object that is not a list")
        return value

    def _put(self, value: object, members: list[Any]) -> None:
        """Put alternating keys and values into a dictionary.

        Keys are texts, numbers and flat tuples of them: hashing nested tuples can take forever.
        """
        if not isinstance(value, dict) or len(members) % 2:
            raise ValueError("it puts a key and a value into an object that is not a dictionary")
        for key, content in zip(members[::2], members[1::2], strict=True):
            if not all(isinstance(part, _PLAIN) for part in (key if isinstance(key, tuple) else (key,))):
                raise ValueError("it has a key that is neither text nor number")
            value[key] = content

    def named(self, module: str, name: str) -> object:
        """Return what stands for a name; raises ValueError."""
        raise NotImplementedError

    def called(self, function: object, arguments: object) -> object:
        """Return what stands for the result of a call; raises ValueError."""
        raise NotImplementedError

    def changed(self, value: object, state: object) -> None:
        """Take note that a value gets a state; raises ValueError."""
        raise NotImplementedError
