"""Caches the locations of fields in messages of one type, so that messages of the same form need no walk."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from vdd_ros.robot.cdr.schema import Schema
from vdd_ros.robot.cdr.walk import Run, Walk, request

T = TypeVar("T")

_FORMS_KEPT = 8
"""Limit on the forms of messages of one topic: its publishers' own joints, frames and lengths."""
_MOST_RUNS = 100
_MOST_BYTES = 1 << 16


class Form(Generic[T]):
    """Messages with the same lengths and texts, and data prepared for them.

    Args:
        walk: Walk through one of them.
        content: That message.
        prepared: The prepared data.

    Attributes:
        same: (start, stop, bytes) of the runs that determine the locations, padding between them included.
        end: Smallest length of a message.
        prepared: The same.
    """

    __slots__ = ("_masked", "end", "prepared", "same")

    def __init__(self, walk: Walk, content: bytes, prepared: T) -> None:
        self.prepared = prepared
        self.end = walk.end
        self.same = walk.same
        self._masked = tuple(_masked(run, content) for run in walk.runs)

    def fits_apart_from_padding(self, content: bytes) -> bool:
        """Return whether a message has the same significant bytes; padding may hold anything."""
        if len(content) < self.end:
            return False
        for start, stop, mask, expected in self._masked:
            if int.from_bytes(content[start:stop], "little") & mask != expected:
                return False
        return True


class Places(Generic[T]):
    """Finds the form of each message of a type.

    Args:
        schema: Structure of the messages.
        paths: The requested fields; see `vdd_ros.robot.cdr.schema.steps`.
        prepare: Prepares a form once, from a walk through its first message.

    Raises:
        SchemaError: The type has nothing at a path, or it cannot be located.
    """

    def __init__(self, schema: Schema, paths: Sequence[str], prepare: Callable[[Walk], T]) -> None:
        self._schema, self._paths, self._prepare = schema, tuple(paths), prepare
        self._request = request(schema, self._paths)
        self._forms: list[Form[T]] = []
        self._exact: list[tuple[tuple[tuple[int, int, bytes], ...], int, T]] = []

    def find(self, content: bytes) -> T:
        """Return the prepared data for the form of a message, which has its encapsulation header.

        Raises:
            ObservationError: The message is cut off, damaged, or not plain CDR.
        """
        for same, end, prepared in self._exact:
            for start, stop, expected in same:
                if content[start:stop] != expected:
                    break
            else:
                if len(content) >= end:
                    return prepared
        for form in self._forms:
            if form.fits_apart_from_padding(content):
                return form.prepared
        return self._learn(content)

    def _learn(self, content: bytes) -> T:
        walk = Walk(self._schema, self._request, self._paths, content)
        prepared = self._prepare(walk)
        if len(walk.runs) <= _MOST_RUNS and sum(run.stop - run.start for run in walk.runs) <= _MOST_BYTES:
            if len(self._forms) >= _FORMS_KEPT:
                self._forms.pop(0)
            self._forms.append(Form(walk, content, prepared))
            self._exact = [(form.same, form.end, form.prepared) for form in self._forms]
        return prepared


def _masked(run: Run, content: bytes) -> tuple[int, int, int, int]:
    """Return start and stop of a run, the mask of the significant bytes, and their content."""
    mask = bytearray(run.stop - run.start)
    for start, stop in run.pieces:
        mask[start - run.start : stop - run.start] = b"\xff" * (stop - start)
    number = int.from_bytes(mask, "little")
    return run.start, run.stop, number, int.from_bytes(content[run.start : run.stop], "little") & number
