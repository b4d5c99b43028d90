"""tf2_msgs/TFMessage: the transform between two frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError, RobotFileError
from vdd_ros.robot.cdr.readers import Pick
from vdd_ros.robot.layouts import Layout, OtherJointsError, shown_names
from vdd_ros.robot.messages.geometry_msgs import TRANSFORM_STAMPED
from vdd_ros.robot.messages.message import Message

if TYPE_CHECKING:
    from vdd_ros.robot.entries import InputEntry

Floats = NDArray[np.float64]
TYPE = "tf2_msgs/msg/TFMessage"
_HEADER = ("child_frame_id", "header.frame_id", "header.stamp.sec", "header.stamp.nanosec")
_LIST = "transforms[]."


@dataclass(frozen=True, kw_only=True)
class OneTransform(Message):
    """The transform from a child frame to its parent: fields and stamp are those of a TransformStamped.

    Attributes:
        parent: Parent frame.
        child: Child frame.
    """

    parent: str
    child: str

    def input_layout(self, entries: Sequence["InputEntry"]) -> Layout:
        """See Message."""
        return TransformLayout(self.parent, self.child, [str(entry.field) for entry in entries])

    def part_read(self, message: Any) -> Any:
        """See Message."""
        return TransformStamped()


class Vector3:
    """Stands for an empty geometry_msgs/Vector3."""

    x = y = z = 0.0


class Quaternion(Vector3):
    """Stands for an empty geometry_msgs/Quaternion."""

    w = 1.0


class Transform:
    """Stands for an empty geometry_msgs/Transform."""

    translation, rotation = Vector3(), Quaternion()


class TransformStamped:
    """Stands for an empty geometry_msgs/TransformStamped; errors about fields name its type."""

    transform = Transform()


def one_transform(parent: str, child: str) -> Message:
    """Return the description of a TFMessage that is read for one transform."""
    return OneTransform(
        type=TYPE,
        fields=TRANSFORM_STAMPED.fields,
        has_header=True,
        items="transforms",
        depth=100,
        parent=parent.lstrip("/"),
        child=child.lstrip("/"),
    )


class OtherTransformsError(OtherJointsError):
    """A TFMessage without the required transform, published by another node on the same topic."""

    def __init__(self, wanted: str, found: Sequence[str]) -> None:
        self.joints = shown_names(found)
        ObservationError.__init__(self, f"a TFMessage has no transform {wanted}; it has {self.joints}")


class TransformLayout:
    """Numbers of one transform of a TFMessage, selected by its frames.

    Args:
        parent: Parent frame, which it is given in.
        child: Child frame, whose pose it is.
        fields: Fields of the transform, such as `transform.translation.x`.

    Attributes:
        dated: The first two picks are the seconds and nanoseconds of the stamp.
    """

    dated = True

    def __init__(self, parent: str, child: str, fields: Sequence[str]) -> None:
        self._parent, self._child = parent, child
        self.paths = tuple(f"{_LIST}{path}" for path in dict.fromkeys((*_HEADER, *fields)))
        self._places = [self.paths.index(f"{_LIST}{field}") for field in fields]
        self._get: list[Callable[[Any], float]] = [attrgetter(field) for field in fields]

    def read(self, message: Any, out: Floats) -> None:
        """See Layout; raises OtherTransformsError if the message lacks the transform."""
        one = self._of(message)
        out[:] = [get(one) for get in self._get]

    def stamp_ns(self, message: Any) -> int | None:
        """Return the stamp of the transform in nanoseconds; None if it is zero."""
        stamp = self._of(message).header.stamp
        return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec) or None

    def select(self, values: Sequence[Any]) -> list[Pick]:
        """See SelectiveLayout; the stamp comes first."""
        item = self._find(values[0], values[1])
        return [(place, item) for place in (2, 3, *self._places)]

    def write(self, values: Floats, message: Any) -> None:
        """Refuse to write; raises RobotFileError."""
        raise RobotFileError(
            f"the transform {_named(self._parent, self._child)} can be read, but not simulated; give a robot file with "
            "a PoseStamped in its place"
        )

    def _of(self, message: Any) -> Any:
        transforms = message.transforms
        children = [each.child_frame_id for each in transforms]
        return transforms[self._find(children, [each.header.frame_id for each in transforms])]

    def _find(self, children: Sequence[str], parents: Sequence[str]) -> int:
        """Return the index of the requested transform; the last one, as in tf2, if there are several."""
        frames = [(parent.lstrip("/"), child.lstrip("/")) for parent, child in zip(parents, children, strict=True)]
        places = [place for place, each in enumerate(frames) if each == (self._parent, self._child)]
        if not places:
            raise OtherTransformsError(_named(self._parent, self._child), [_named(*each) for each in frames])
        return places[-1]


def _named(parent: str, child: str) -> str:
    return f"{parent} → {child}"
