"""Paths of numbers in a message: fields, elements of arrays, slices, and elements found by their label.

`pose.position.x` is a field, `data[3]` an element, `data[2:5]` the elements 2, 3 and 4, `data[grip]` the element whose
label in `layout.dim` is `grip` (std_msgs/MultiArrayLayout with one dimension per number), and
`transforms[0].transform.translation.x` a field of an element.
"""

import re
from array import array
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from vdd_ros.errors import ObservationError, RobotFileError
from vdd_ros.text import printable

_STEP = re.compile(r"([a-z][a-z0-9_]*)(?:\[(?:([0-9]+)|([0-9]*):([0-9]+)|([^\[\]:]*[^\[\]:0-9][^\[\]:]*))\])?")
_FROM_THE_END = re.compile(r"-[0-9]+")
_BRACKETS = re.compile(r"\[[^\]]*\]")
_BETWEEN = re.compile(r"\.(?![^\[]*\])")  # points outside brackets: a label may hold one
_SHOWN = 100
MOST_ELEMENTS = 10_000
"""Largest index of an array element, and largest length of a slice."""


class Step(NamedTuple):
    """One step of a path: a field, or elements of it.

    Attributes:
        name: Name of the field.
        element: Element, label of an element, or range of elements; None for the field itself.
    """

    name: str
    element: int | str | range | None = None


def parse_path(path: str) -> tuple[Step, ...]:
    """Return the steps of a path.

    Raises:
        ValueError: The text is not a path; the message is the reason, as the rest of a sentence.
    """
    steps = tuple(map(_step, _BETWEEN.split(path)))
    if sum(isinstance(step.element, range) for step in steps) > 1:
        raise ValueError("; one slice per path is allowed")
    return steps


def is_plain(path: str) -> bool:
    """Return whether a path has only fields, no element of an array."""
    return "[" not in path


def without_elements(path: str) -> str:
    """Return a path without its indices, such as `transforms.transform` for `transforms[0].transform`."""
    return _BRACKETS.sub("", path)


def elements(path: str) -> list[str]:
    """Return the paths of the elements of a slice; the path alone if it has no slice."""
    for step in parse_path(path):
        if isinstance(step.element, range):
            before, _, after = path.partition(_BRACKETS.findall(path)[_slice_number(path)])
            return [f"{before}[{index}]{after}" for index in step.element]
    return [path]


def split_last(path: str) -> tuple[str, int | str | range | None]:
    """Return a path without the index of its last step, and that index."""
    last = parse_path(path)[-1].element
    return (path, None) if last is None else (path[: path.rindex("[")], last)


def missing(path: str) -> ObservationError:
    """Return the error for a message in which a list has too few elements for a path."""
    return ObservationError(f"{path} is not in the message: a list in it has fewer elements")


def too_short(path: str, name: str, count: int) -> ObservationError:
    """Return the error for a message whose list `name`, the end of a path, has only `count` elements."""
    return ObservationError(f"{name} has {count:,} elements; the robot file reads {path}")


def labelled(labels: Sequence[str], count: int, label: str, name: str) -> int:
    """Return the index of an element by the labels in the layout of the list `name` with `count` numbers.

    Raises:
        ObservationError: There is not one label per number, or this one is missing or duplicated.
    """
    if len(labels) != count:
        raise ObservationError(
            f"{name}[{label}] needs a label for each number: layout.dim has {len(labels)} labels for {count:,} "
            f"numbers; give the index of the element, such as {name}[0]"
        )
    if list(labels).count(label) != 1:
        problem = "more than once" if label in labels else "not"
        raise ObservationError(
            f"{name}[{label}]: layout.dim has this label {problem}; its labels are {printable(list(labels[:10]))}"
        )
    return labels.index(label)


def value_getter(path: str) -> Callable[[Any], Any]:
    """Return a function that gets the value at a path without slice; it raises ObservationError if it is missing."""
    if is_plain(path):
        return attrgetter(path)
    steps = parse_path(path)
    getters = [_getter(step, path, last=step is steps[-1]) for step in steps]

    def get(message: Any) -> Any:
        for getter in getters:
            message = getter(message)
        return message

    return get


def check_path(message: Any, path: str, at: str) -> None:
    """Check on a default message that a path leads to a number; elements of empty lists cannot be checked.

    Raises:
        RobotFileError: Naming `at`, the place in the robot file.
    """
    kind, value = type(message).__name__, message
    for step in parse_path(path):
        try:
            value = getattr(value, step.name)
        except AttributeError as error:
            raise RobotFileError(f"{at}: {kind} has no field {path!r}: {error}") from None
        if step.element is None:
            continue
        if isinstance(value, str) or not hasattr(value, "__len__"):
            raise RobotFileError(f"{at}: {step.name!r} of {kind} is {type(value).__name__}, which has no elements")
        if isinstance(step.element, str) or not len(value):
            return
        if step.element >= len(value) if isinstance(step.element, int) else step.element.stop > len(value):
            raise RobotFileError(f"{at}: {step.name!r} of {kind} has {len(value)} elements, numbered from 0")
        value = value[step.element if isinstance(step.element, int) else step.element.start]
    if not isinstance(value, int | float | np.number | np.bool_):
        several = hasattr(value, "__len__") and not isinstance(value, str)
        mend = f"; give an element, such as {path}[0], or its `shape`" if several else ""
        raise RobotFileError(f"{at}: {path!r} of {kind} is {type(value).__name__}, not a number{mend}")


def set_element(holder: Any, name: str, index: int, value: float) -> None:
    """Write a number into an element of the list `name`; a short list of numbers grows by zeros."""
    values = getattr(holder, name)
    if index >= len(values):
        missing = index + 1 - len(values)
        code = values.typecode if isinstance(values, array) else "d"
        setattr(holder, name, array(code, [*values, *[0] * missing]))
        values = getattr(holder, name)
    whole = values.typecode not in "fd" if isinstance(values, array) else isinstance(values[index], int | np.integer)
    values[index] = round(value) if whole else value


def _step(text: str) -> Step:
    found = _STEP.fullmatch(text)
    if found is None:
        raise ValueError(
            "; elements are written name[3], name[2:5] or name[label]"
            if "[" in text
            else "; a field is given by its lower-case names, joined by points"
        )
    name, index, first, end, label = found.groups()
    if label is not None and _FROM_THE_END.fullmatch(label):
        raise ValueError(
            "; elements are counted from 0, never from the end, since messages may be longer than expected"
        )
    if index is not None and int(index) <= MOST_ELEMENTS:
        return Step(name, int(index))
    if end is not None and int(first or 0) < int(end) <= MOST_ELEMENTS:
        return Step(name, range(int(first or 0), int(end)))
    if index is not None or end is not None:
        raise ValueError(f"; elements are numbered from 0 to {MOST_ELEMENTS:,}, and a slice [2:5] holds 2, 3 and 4")
    return Step(name, label)


def _slice_number(path: str) -> int:
    """Return which of the bracketed parts is the slice."""
    return next(number for number, part in enumerate(_BRACKETS.findall(path)) if ":" in part)


def _getter(step: Step, path: str, *, last: bool) -> Callable[[Any], Any]:
    name, element = step

    def by_index(holder: Any) -> Any:
        values = getattr(holder, name)
        if len(values) <= index:
            raise too_short(path, name, len(values)) if last else missing(path)
        return values[index]

    def by_label(holder: Any) -> Any:
        values = getattr(holder, name)
        return values[labelled([each.label for each in holder.layout.dim], len(values), str(element), name)]

    if isinstance(element, int):
        index = element
        return by_index
    return attrgetter(name) if element is None else by_label
