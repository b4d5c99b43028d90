"""`check_message`: arrays that a type reads in another order, form or size than they are sent are noticed."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from robot_messages import empty_message, header

pytest.importorskip("rosbags")

from vdd_ros.errors import ConformanceError, ObservationError
from vdd_ros.robot.array_readers import Encoding, JointsReader, ListReader
from vdd_ros.robot.messages import find_message
from vdd_ros.robot.messages.image import ImageReader
from vdd_ros.robot.messages.message import Message
from vdd_ros.testing.messages import check_message

JOINTS = find_message("sensor_msgs/msg/JointState")
IMAGE = find_message("sensor_msgs/msg/Image")
LIST = Message(type="sensor_msgs/msg/Joy", has_header=True)


def spoilt(message: Message, make: Callable[[Any], Any]) -> Message:
    """Return a type whose arrays are read by a reader of the test, made for an entry."""

    @dataclass(frozen=True, kw_only=True)
    class Spoilt(type(message)):  # type: ignore[misc]
        def array_reader(self, entry: Any) -> Any:
            return make(entry)

    return Spoilt(**{one.name: getattr(message, one.name) for one in fields(message)})


class InMessageOrder(JointsReader):
    def take(self, values: Any, out: Any) -> None:
        super().take(values, out)
        out[:] = values[1]


class ByColumns(ListReader):
    def take(self, values: Any, out: Any) -> None:
        out[...] = np.reshape(values[0], out.shape, order="F")


class Filled(ListReader):
    """Takes lists that are too short."""

    def take(self, values: Any, out: Any) -> None:
        out.reshape(-1)[: len(values[0])] = values[0]


class Hasty(ListReader):
    def take(self, values: Any, out: Any) -> None:
        out.reshape(-1)[0] = values[0][0]
        super().take(values, out)


class OtherwiseTaken(ListReader):
    def read(self, message: Any, out: Any) -> None:
        super().take([self._get(message)], out)

    def take(self, values: Any, out: Any) -> None:
        out[...] = 0


class Pixels(ImageReader):
    """An image reader that overlooks what a test says."""

    def __init__(self, entry: Any, **overlooked: Any) -> None:
        super().__init__(entry.encoding, entry.shape)
        self._overlooked, self._encoding_ = overlooked, entry.encoding

    def take(self, values: Any, out: Any) -> None:
        given = dict(zip(self.paths, values, strict=True)) | self._overlooked
        if self._overlooked.get("encoding"):
            given["encoding"] = self._encoding_
        if self._overlooked.get("step"):  # rows without padding
            row = out.nbytes // out.shape[0]
            given |= {"step": row, "data": given["data"][: row * given["height"]]}
        super().take(list(given.values()), out)


class AnySize(ImageReader):
    def take(self, values: Any, out: Any) -> None:
        try:
            super().take(values, out)
        except ObservationError:
            out[...] = 0


@pytest.mark.parametrize(
    ("message", "make", "problem"),
    [
        (JOINTS, lambda e: InMessageOrder(e.joints, e.interface), r"position of joints holds \[3.0, 2.0, 1.0\], but"),
        (LIST, lambda e: ByColumns(e.field, e.shape), r"axes holds \[\[1.0, 2.0\], .*, but is read as \[\[1.0, 4.0\]"),
        (LIST, lambda e: Filled(e.field, e.shape), "whose axes has 6 numbers where 7 are expected is read"),
        (LIST, lambda e: Hasty(e.field, e.shape), "is refused, but partly read"),
        (LIST, lambda e: OtherwiseTaken(e.field, e.shape), "the array axes, taken from axes, holds"),
        (LIST, lambda e: ListReader("header.stamp.sec", e.shape), "RobotFileError: .* not a list of numbers"),
        (IMAGE, lambda e: Pixels(e, step=1) if e.encoding else ListReader(e.field, e.shape), "image of rgb8 holds"),
        (IMAGE, lambda e: Pixels(e, encoding=1) if e.encoding else ListReader(e.field, e.shape), "image of rgb8 holds"),
        (
            IMAGE,
            lambda e: Pixels(e, is_bigendian=0) if e.encoding else ListReader(e.field, e.shape),
            r"image of 16UC1 holds \[\[1, 2, 3\], \[4, 5, 6\]\], but is read as \[\[256, 512",
        ),
        (
            IMAGE,
            lambda e: AnySize(e.encoding, e.shape) if e.encoding else ListReader(e.field, e.shape),
            "of 2 rows where 3 are expected is read; its reader must raise ObservationError",
        ),
    ],
)
def test_an_array_that_is_read_wrongly_is_noticed(message: Message, make: Any, problem: str) -> None:
    with pytest.raises(ConformanceError, match=problem):
        check_message(spoilt(message, make), empty_message)


@pytest.mark.parametrize(
    ("encodings", "problem"),
    [
        ({"rgb8": Encoding("float16", 3)}, r"encodings\['rgb8'\] has the dtype 'float16'; allowed are float32, uint8"),
        ({"rgb8": Encoding("uint8", 0)}, r"encodings\['rgb8'\] has 0 channels; there must be at least 1"),
        ({"rgb8": Encoding("uint8", 3, "", ("brightness",))}, "'brightness' is not a quantity; allowed are length"),
        ({"mono8": Encoding("uint8", 1, "rgb8")}, "the image of mono8 is not read: an image is encoded as 'rgb8'"),
    ],
)
def test_a_wrong_encoding_is_noticed(encodings: Any, problem: str) -> None:
    with pytest.raises(ConformanceError, match=problem):
        check_message(replace(IMAGE, encodings=encodings), empty_message)


class PlanesReader:
    """The pixels of `planes_msgs/msg/Planes`: all of one colour, then all of the next."""

    def __init__(self, shape: tuple[int, ...], order: tuple[int, int, int]) -> None:
        self._shape, self._order = shape, order

    def check(self, message: Any, path: str) -> None: ...

    def read(self, message: Any, out: Any) -> None:
        planes = np.array(message.planes)
        if planes.size != out.size:
            raise ObservationError(f"an image has {planes.size} numbers; the robot file says {out.size}")
        out[...] = planes.reshape(-1, *self._shape[:2]).transpose(self._order).reshape(out.shape)


@dataclass(frozen=True, kw_only=True)
class Planes(Message):
    order: tuple[int, int, int] = (1, 2, 0)

    def array_reader(self, entry: Any) -> Any:
        return PlanesReader(entry.shape, self.order) if entry.encoding else ListReader(entry.field, entry.shape)


def draw(encoding: str, pixels: Any) -> Any:
    return SimpleNamespace(header=header(), planes=list(pixels.transpose(2, 0, 1).reshape(-1)))


PLANES = Planes(type="planes_msgs/msg/Planes", has_header=True, encodings={"rgb": Encoding("uint8", 3)})


def test_images_of_another_form_are_drawn_by_the_caller() -> None:
    def new(_: str) -> Any:
        return SimpleNamespace(header=header(), planes=[])

    check_message(PLANES, new, draw)
    with pytest.raises(ConformanceError, match="the image of rgb holds"):
        check_message(replace(PLANES, order=(2, 1, 0)), new, draw)
    with pytest.raises(ConformanceError, match=r"has encodings, but no height, width, .* give check_message a `draw`"):
        check_message(PLANES, new)
