"""sensor_msgs/Image: an array of pixels with the encoding given in the robot file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError, RobotFileError
from vdd_ros.robot.array_readers import ArrayReader, Encoding
from vdd_ros.robot.messages.fields import no_unit
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import DIMENSIONLESS
from vdd_ros.text import printable

if TYPE_CHECKING:
    from vdd_ros.robot.entries import InputEntry

_FIELDS = ("height", "width", "encoding", "is_bigendian", "step", "data")


ENCODINGS = {
    "rgb8": Encoding("uint8", 3, "bgr8", (DIMENSIONLESS,)),
    "bgr8": Encoding("uint8", 3, "rgb8", (DIMENSIONLESS,)),
    "mono8": Encoding("uint8", 1, "", (DIMENSIONLESS,)),
    "16UC1": Encoding("uint16", 1),
    "32FC1": Encoding("float32", 1),
}
"""Supported encodings of sensor_msgs/image_encodings.hpp; the last two are depth, in mm and in m (REP 118)."""


class ImageReader:
    """The pixels of an image: (height, width, channels), or (height, width) for one number per pixel.

    Images with reversed channels (`bgr8` for `rgb8`) are converted; nothing is resized.

    Args:
        encoding: Encoding of the array, one of `ENCODINGS`.
        shape: Shape of the array.
    """

    paths = _FIELDS

    def __init__(self, encoding: str, shape: Sequence[int]) -> None:
        self._encoding = encoding
        self._reversed = ENCODINGS[encoding].reversed
        self._rows, self._columns = shape[:2]
        self._channels = ENCODINGS[encoding].channels
        little = np.dtype(ENCODINGS[encoding].dtype).newbyteorder("<")
        self._dtypes = little, little.newbyteorder(">")
        self._row_bytes = self._columns * self._channels * little.itemsize

    def check(self, message: Any, path: str) -> None:
        """See ArrayReader."""
        if missing := [name for name in _FIELDS if not hasattr(message, name)]:
            raise RobotFileError(
                f"{path}.encoding: {type(message).__name__} is not an image, it has no {', '.join(missing)}; use "
                "sensor_msgs/msg/Image"
            )

    def read(self, message: Any, out: NDArray[Any]) -> None:
        """See ArrayReader."""
        self.take([getattr(message, name) for name in _FIELDS], out)

    def take(self, values: Sequence[Any], out: NDArray[Any]) -> None:
        """See SelectiveArrayReader."""
        rows, columns, given, bigendian, step, content = values
        if (rows, columns) != (self._rows, self._columns):
            raise ObservationError(
                f"an image is {rows} high and {columns} wide; the robot file says {self._rows} and {self._columns}, "
                "and nothing is resized here. Configure the camera driver to send that size, or use a node such as "
                "image_proc's resize"
            )
        if given != self._encoding and (not given or given != self._reversed):
            allowed = f"{self._encoding} or {self._reversed}" if self._reversed else self._encoding
            raise ObservationError(
                f"an image is encoded as {printable(given, 40)!r}; it must be {allowed}. Choose that in the camera "
                "driver, or correct `encoding` in the robot file"
            )
        count = len(content)
        if step < self._row_bytes or count != rows * step:
            raise ObservationError(
                f"an image of {rows} rows has {count:,} bytes with a step of {step:,}; a row has at least "
                f"{self._row_bytes:,} bytes, and there must be as many steps as rows: its publisher is wrong"
            )
        data = np.frombuffer(content, np.uint8)
        pixels = data.reshape(rows, step)[:, : self._row_bytes].view(self._dtypes[bool(bigendian)])
        pixels = pixels.reshape(out.shape)  # a view, even if rows have padding
        out[...] = pixels if given == self._encoding else pixels[..., ::-1]


@dataclass(frozen=True, kw_only=True)
class Image(Message):
    """An Image; pixels are read as an array, other numbers as fields."""

    def array_reader(self, entry: "InputEntry") -> ArrayReader:
        """See Message."""
        return super().array_reader(entry) if entry.encoding is None else ImageReader(entry.encoding, entry.shape)


MESSAGE = Image(
    type="sensor_msgs/msg/Image",
    fields=no_unit("height", "width", "is_bigendian", "step"),
    has_header=True,
    encodings=ENCODINGS,
)
