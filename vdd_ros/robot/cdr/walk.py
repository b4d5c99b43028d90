"""Walks through one serialised message (XCDR1) and locates the requested values.

Numbers are aligned to their own size, counted from the end of the 4-byte encapsulation header; an empty sequence has no
alignment (OMG DDS-XTypes 1.3, 7.4.1). The location of a number depends only on the lengths and texts before it: a walk
records their positions, so that the next message with the same bytes there needs no walk.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from vdd_ros.errors import ObservationError, SchemaError
from vdd_ros.robot.cdr.schema import EACH, Kind, List, Number, Opaque, Schema, Text, check_path, steps

HEADER = 4
_ORDERS = {b"\0\0": ">", b"\0\1": "<"}
"""Byte order by representation identifier; others are not plain CDR."""


class Place(NamedTuple):
    """A number: offset of its first byte, and its type's code."""

    offset: int
    code: str


class Block(NamedTuple):
    """Adjacent numbers: offset of the first byte, type's code, count."""

    offset: int
    code: str
    length: int


Found: TypeAlias = "Place | Block | str | tuple[Found, ...] | None"
"""Value at a path: the location of numbers, the text itself, a tuple for items of lists; None: no such item."""


@dataclass(frozen=True)
class Run:
    """A run of bytes that determine the locations.

    Attributes:
        start: Offset of its first byte.
        pieces: (start, stop) of the significant bytes, without padding.
    """

    start: int
    pieces: list[tuple[int, int]]

    @property
    def stop(self) -> int:
        """Offset after its last byte."""
        return self.pieces[-1][1]

    @property
    def apart(self) -> list[tuple[int, int]]:
        """(start, stop) of the significant bytes; adjacent pieces are merged."""
        found = self.pieces[:1]
        for start, stop in self.pieces[1:]:
            if start == found[-1][1]:
                found[-1] = (found[-1][0], stop)
            else:
                found.append((start, stop))
        return found


@dataclass
class Request:
    """The requests at one position of the structure, and below it.

    Attributes:
        slots: Indices of the paths that end here.
        fields: Requests for the fields of a message.
        items: Requests for the items of a list, by index or `EACH`.
    """

    slots: list[int] = field(default_factory=list)
    fields: dict[str, "Request"] = field(default_factory=dict)
    items: dict[int, "Request"] = field(default_factory=dict)


def request(schema: Schema, paths: Sequence[str]) -> Request:
    """Return the request for some paths of a message type; see `vdd_ros.robot.cdr.schema.steps`.

    Raises:
        SchemaError: The type has no number, text or list of them at a path, or a value of unknown form before it.
    """
    top = Request()
    for slot, path in enumerate(paths):
        kind = check_path(schema, path)
        item = kind.item if isinstance(kind, List) else kind
        if isinstance(item, Schema | Opaque):
            what = f"a {item.name}" if isinstance(item, Opaque) else f"a whole {item.name}; give a field in it"
            raise SchemaError(f"{schema.name} has at {path!r} {what}, which cannot be read from bytes")
        here = top
        for step in steps(path):
            here = here.fields.setdefault(step.field, Request())
            if step.index is not None:
                here = here.items.setdefault(step.index, Request())
        here.slots.append(slot)
        if "[" in path.partition("[]")[2]:
            raise SchemaError(f"{path!r} names items of a list in every item of another; name one list at a time")
    _refuse_opaque(schema, schema, [top], whole=False)
    return top


def _refuse_opaque(top: Schema, schema: Schema, wanted: list[Request], *, whole: bool) -> None:
    """Refuse a request if a value of unknown form precedes the last requested value."""
    left = len({name for one in wanted for name in one.fields})
    for name, kind in schema.fields.items():
        if not (left or whole):
            return
        below = [one.fields[name] for one in wanted if name in one.fields]
        left -= bool(below)
        if isinstance(kind, Schema):
            _refuse_opaque(top, kind, below, whole=whole or left > 0)
        elif opaque := _opaque(kind):
            raise SchemaError(
                f"{top.name} holds a {opaque} at or before the requested value, whose length in bytes differs between "
                f"middlewares; such messages can only be read as a whole"
            )


def _opaque(kind: Kind) -> str:
    """Return the type of a value of unknown form in a kind; empty if there is none."""
    if isinstance(kind, Schema):
        return next(filter(None, map(_opaque, kind.fields.values())), "")
    if isinstance(kind, List):
        return _opaque(kind.item)
    return kind.name if isinstance(kind, Opaque) else ""


class Walk:
    """One walk through a message, up to the last requested value.

    Args:
        schema: Structure of the message.
        wanted: The result of `request`.
        paths: The paths of the request.
        content: The message with its encapsulation header.

    Attributes:
        order: Byte order, `<` or `>`.
        found: The value at each path.
        runs: The bytes that determine the locations.
        same: (start, stop, bytes) of the runs, padding between their pieces included.
        end: Offset after the last byte walked over.

    Raises:
        ObservationError: The message is cut off, is not plain CDR, or a sequence is longer than its bound.
    """

    def __init__(self, schema: Schema, wanted: Request, paths: Sequence[str], content: bytes) -> None:
        self._name, self._content, self._size = schema.name, content, len(content)
        order = _ORDERS.get(bytes(content[:2]))
        if order is None or self._size < HEADER:
            raise ObservationError(
                f"a message of {schema.name} ({self._size:,} bytes) begins with {bytes(content[:HEADER])!r}; plain CDR "
                "begins with 00 00 or 00 01 and two more bytes. Use a middleware for its publisher that sends it"
            )
        self.order = order
        self.runs = [Run(0, [(0, 2)])]
        self._apart = False
        self._each: dict[int, list[Found]] = {slot: [] for slot, path in enumerate(paths) if "[]" in path}
        self._found: list[Found] = [None] * len(paths)
        self.end = HEADER
        self._visit(schema, [wanted], whole=False)
        for slot, items in self._each.items():
            self._found[slot] = tuple(items)
        self.found = tuple(self._found)
        self.same = tuple((run.start, run.stop, bytes(content[run.start : run.stop])) for run in self.runs)

    @property
    def counting(self) -> tuple[tuple[int, int, bytes], ...]:
        """(start, stop, bytes) of the runs without the padding in them."""
        pieces = [piece for run in self.runs for piece in run.apart]
        return tuple((start, stop, bytes(self._content[start:stop])) for start, stop in pieces)

    def _visit(self, kind: Kind, wanted: list[Request], *, whole: bool) -> None:
        """Take the requested parts of a value; `whole`: go to its end, since a later value is requested."""
        if isinstance(kind, Number):
            self._put(wanted, self._number(kind.code, kind.size))
        elif isinstance(kind, Text):
            self._text(wanted)
        elif isinstance(kind, Schema):
            self._message(kind, wanted, whole=whole)
        elif isinstance(kind, List):  # `request` refuses all others
            self._list(kind, wanted, whole=whole)

    def _message(self, schema: Schema, wanted: list[Request], *, whole: bool) -> None:
        left = len({name for one in wanted for name in one.fields})
        for name, kind in schema.fields.items():
            if not (left or whole):
                return
            below = [one.fields[name] for one in wanted if name in one.fields]
            left -= bool(below)
            self._visit(kind, below, whole=whole or left > 0)

    def _list(self, kind: List, wanted: list[Request], *, whole: bool) -> None:
        count = self._length(kind) if kind.length is None else kind.length
        if isinstance(kind.item, Number):
            self._numbers(kind.item, count, wanted)
        elif isinstance(kind.item, Text):
            self._texts(count, wanted)
        else:
            self._items(kind.item, count, wanted, whole=whole)

    def _length(self, kind: List) -> int:
        count = self._count()
        if kind.bound is not None and count > kind.bound:
            raise ObservationError(
                f"a message of {self._name} has {count:,} items in a list that holds at most {kind.bound:,}; it is "
                "damaged, or of another type"
            )
        return count

    def _numbers(self, item: Number, count: int, wanted: list[Request]) -> None:
        size = item.size
        if not count:
            block = Block(self.end, item.code, 0)
        else:
            block = Block(self._advance(size, size * count), item.code, count)
            self._apart = True
        self._put(wanted, block)
        for one in wanted:
            for index, below in one.items.items():
                if index == EACH:
                    for place in range(count):
                        self._put([below], Place(block.offset + size * place, item.code))
                elif index < count:
                    self._put([below], Place(block.offset + size * index, item.code))

    def _texts(self, count: int, wanted: list[Request]) -> None:
        asked = any(one.slots or one.items for one in wanted)
        texts = []
        for _ in range(count):
            start, stop = self._skip_text()
            if asked:
                texts.append(self._decoded(start, stop))
        self._put(wanted, tuple(texts))
        for one in wanted:
            for index, below in one.items.items():
                for text in texts if index == EACH else texts[index : index + 1]:
                    self._put([below], text)

    def _items(self, item: Kind, count: int, wanted: list[Request], *, whole: bool) -> None:
        asked = [index for one in wanted for index in one.items]
        last = count - 1 if whole or EACH in asked else min(max(asked, default=-1), count - 1)
        for place in range(last + 1):
            below = [one.items[index] for one in wanted for index in (place, EACH) if index in one.items]
            self._visit(item, below, whole=whole or place < last)

    def _number(self, code: str, size: int) -> Place:
        self._apart = True
        return Place(self._advance(size, size), code)

    def _text(self, wanted: list[Request]) -> None:
        start, stop = self._skip_text()
        if any(one.slots for one in wanted):
            self._put(wanted, self._decoded(start, stop))

    def _skip_text(self) -> tuple[int, int]:
        length = self._count()
        start = self._advance(1, length)
        self._depend_on(start, self.end)
        return start, self.end

    def _decoded(self, start: int, stop: int) -> str:
        try:
            return self._content[start:stop].removesuffix(b"\0").decode()
        except UnicodeDecodeError as error:
            raise ObservationError(f"a message of {self._name} holds a text that is not UTF-8: {error}") from None

    def _count(self) -> int:
        start = self._advance(4, 4)
        self._depend_on(start, self.end)
        return int.from_bytes(self._content[start : self.end], "little" if self.order == "<" else "big")

    def _advance(self, alignment: int, size: int) -> int:
        """Pass some bytes and return the offset of the first one."""
        start = self.end + (HEADER - self.end) % alignment
        self.end = start + size
        if self.end > self._size:
            raise ObservationError(
                f"a message of {self._name} ends after {self._size:,} bytes; by its own lengths it needs {self.end:,} "
                "or more. It was cut off, or has another type"
            )
        return start

    def _depend_on(self, start: int, stop: int) -> None:
        if self._apart:
            self.runs.append(Run(start, [(start, stop)]))
            self._apart = False
        else:
            self.runs[-1].pieces.append((start, stop))

    def _put(self, wanted: Iterable[Request], found: Found) -> None:
        for one in wanted:
            for slot in one.slots:
                if slot in self._each:
                    self._each[slot].append(found)
                else:
                    self._found[slot] = found
