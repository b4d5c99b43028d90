"""Layout of numbers, some of them elements of arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError, RobotFileError
from vdd_ros.robot.cdr.readers import Pick
from vdd_ros.robot.field_paths import (
    is_plain,
    labelled,
    missing,
    parse_path,
    set_element,
    split_last,
    too_short,
    value_getter,
)
from vdd_ros.robot.layouts import FieldLayout, Layout
from vdd_ros.text import printable

Floats = NDArray[np.float64]
_SHOWN = 100


def layout_of(fields: Sequence[str]) -> Layout:
    """Return the layout of the numbers at some paths."""
    return FieldLayout(fields) if all(map(is_plain, fields)) else ElementLayout(fields)


class ElementLayout:
    """Numbers at n paths, such as `pose.position.x`, `data[3]` or `data[grip]`; see `vdd_ros.robot.field_paths`."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = tuple(fields)
        self._getters = [(field, value_getter(field)) for field in fields]
        self._setters = [_setter(field) for field in fields]
        places = [split_last(field) for field in fields]
        labels = [_labels_of(path) for path, element in places if isinstance(element, str)]
        self.paths = tuple(dict.fromkeys([*(path for path, _ in places), *labels]))
        self._places = [(self.paths.index(path), path, element) for path, element in places]

    def read(self, message: Any, out: Floats) -> None:
        """See Layout."""
        for index, (field, get) in enumerate(self._getters):
            try:
                out[index] = get(message)
            except (AttributeError, TypeError, ValueError) as error:
                raise ObservationError(
                    f"{field} is not a number in this message ({printable(error, _SHOWN)}); correct `field` in the "
                    f"robot "
                    "file"
                ) from None

    def select(self, values: Sequence[Any]) -> list[Pick]:
        """See SelectiveLayout."""
        return [
            (index, self._element(field, path, element, values))
            for field, (index, path, element) in zip(self._fields, self._places, strict=True)
        ]

    def write(self, values: Floats, message: Any) -> None:
        """See Layout; integer fields get the rounded value, and a short list of numbers grows by zeros.

        Raises:
            RobotFileError: The element is found by label.
            ObservationError: A list of messages has too few elements.
        """
        for write, value in zip(self._setters, values.tolist(), strict=True):
            write(message, value)

    def _element(self, field: str, path: str, element: int | str | range | None, values: Sequence[Any]) -> int | None:
        """Return the index of a number in the list at `path`; None if it is not in a list."""
        found, name = values[self.paths.index(path)], path.rpartition(".")[2]
        if found is None or (element is not None and not hasattr(found, "__len__")):
            raise missing(field)
        if isinstance(element, str):
            return labelled(values[self.paths.index(_labels_of(path))], len(found), element, name)
        if isinstance(element, int) and len(found) <= element:
            raise too_short(field, name, len(found))
        return element if isinstance(element, int) else None


def _labels_of(path: str) -> str:
    """Return the path of the labels beside a list."""
    before, point, _ = path.rpartition(".")
    return f"{before}{point}layout.dim[].label"


def _setter(field: str) -> Callable[[Any, float], None]:
    parent, _, last = field.rpartition(".") if not field.endswith("]") else _parted(field)
    holder_of = value_getter(parent) if parent else _itself
    (name, element) = parse_path(last)[0]

    def write(message: Any, value: float) -> None:
        holder = holder_of(message)
        if isinstance(element, int):
            set_element(holder, name, element, value)
        elif element is None:
            kind = type(getattr(holder, name))
            setattr(holder, name, kind(round(value)) if kind in (int, bool) else value)
        else:
            raise RobotFileError(f"field {field!r} can be read, but not written; give the index of an element")

    return write


def _parted(field: str) -> tuple[str, str, str]:
    """Return the path of the message that holds the list of an element, a point, and the element."""
    parent, point, name = split_last(field)[0].rpartition(".")
    return parent, point, name + field[field.rindex("[") :]


def _itself(message: Any) -> Any:
    return message
