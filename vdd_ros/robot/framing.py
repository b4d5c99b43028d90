"""Transforms numbers of a message into the frame that the robot file names."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError, SchemaError
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.cdr.readers import ValueReader
from vdd_ros.robot.entries import InputEntry
from vdd_ros.robot.field_paths import is_plain
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import DIMENSIONLESS, LENGTH
from vdd_ros.robot.rotations import unit_quaternion
from vdd_ros.robot.transforms import Transform, TransformBuffer, product, rotated

Floats = NDArray[np.float64]
FRAME_ID = "header.frame_id"
_VECTOR = "geometry_msgs/msg/Vector3Stamped"


def frame_part(message: Message, field: str) -> str:
    """Return the kind of a number if it can be transformed into another frame: `point`, `rotation` or `direction`.

    Empty for other numbers: speeds and forces also depend on the frames' positions.
    """
    parent, _, leaf = field.rpartition(".")
    if message.type == _VECTOR and parent == "vector" and leaf in "xyz":
        return "direction"
    if not is_plain(field) or leaf not in "xyzw" or not message.has_header:
        return ""
    quantities = {message.field_quantities(f"{parent}.{part}") for part in "xyz"}
    if quantities == {(DIMENSIONLESS,)} and message.field_quantities(f"{parent}.w") == (DIMENSIONLESS,):
        return "rotation"
    return "point" if quantities == {(LENGTH,)} else ""


class Framing:
    """Transforms the numbers of an input's messages into one frame.

    Args:
        message: Type of the messages.
        frame: The frame.
        wanted: The n requested numbers, each part of a point, a rotation or a direction.
        longest_s: How long the newest transform holds, in seconds.

    Attributes:
        numbers: The m numbers to read: whole points, rotations and directions.
        buffer: The transforms; empty by default.
    """

    def __init__(self, message: Message, frame: str, wanted: Sequence[InputEntry], longest_s: float) -> None:
        fields = [str(entry.field) for entry in wanted]
        parents = dict.fromkeys(field.rpartition(".")[0] for field in fields)
        self.buffer = TransformBuffer()
        self.numbers: list[InputEntry] = []
        self._parts: list[tuple[str, slice]] = []
        for parent in parents:
            kind = frame_part(message, f"{parent}.x")
            names = "xyzw" if kind == "rotation" else "xyz"
            begin = len(self.numbers)
            self.numbers += [replace(wanted[0], field=f"{parent}.{name}", unit="1") for name in names]
            self._parts.append((kind, slice(begin, len(self.numbers))))
        read = [entry.field for entry in self.numbers]
        self._picked = [read.index(field) for field in fields]
        self._frame, self._longest_s = frame.lstrip("/"), longest_s
        self._read = np.empty(len(self.numbers))
        self._frame_id: Callable[[bytes], str] | None = None

    def expect(self, form: MessageFormat) -> None:
        """Prepare to read the frame from serialised messages of this form."""
        self._frame_id = _frame_id_reader(form)

    def read(
        self, message: Any, read: Callable[[Any, Floats], int | None], out: Floats, *, stamped: bool
    ) -> int | None:
        """Read the requested numbers of a message into `out`, (n,), and return its stamp.

        Args:
            message: The message or its bytes.
            read: Reads the m numbers of the message and returns its stamp.
            out: Receives the numbers.
            stamped: Whether transforms must hold at the stamp; otherwise at `buffer.now_s`.

        Raises:
            ObservationError: The message cannot be read, names no frame, or no transform is known.
        """
        stamp = read(message, self._read)
        frame = self._frame_id(message) if self._frame_id and type(message) is bytes else message.header.frame_id
        frame = frame.lstrip("/")
        if frame != self._frame:
            if not frame:
                raise ObservationError(
                    f"a message has no frame (header.frame_id), so it cannot be transformed to {self._frame!r}; make "
                    "its publisher set the frame, or omit `frame` in the robot file"
                )
            time_s = self.buffer.now_s if stamp is None or not stamped else stamp * 1e-9
            self._transform(self.buffer.lookup(self._frame, frame, time_s, self._longest_s))
        out[:] = self._read[self._picked]
        return stamp

    def _transform(self, transform: Transform) -> None:
        for kind, place in self._parts:
            values = self._read[place].tolist()
            if kind == "point":
                self._read[place] = transform.point(values)
            elif kind == "direction":
                self._read[place] = rotated(transform.rotation, values)
            else:
                self._read[place] = product(transform.rotation, unit_quaternion(*values))


def _frame_id_reader(form: MessageFormat) -> Callable[[bytes], str]:
    if form.schema is not None:
        try:
            values = ValueReader(form.schema, (FRAME_ID,))
        except SchemaError:
            pass
        else:
            return lambda content: str(values.read(content)[1][0])
    return lambda content: str(form.message(content).header.frame_id)
