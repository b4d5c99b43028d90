"""Transforms between frames, collected from /tf and /tf_static as tf2's buffer does, without tf2."""

import math
from bisect import bisect_left, bisect_right
from typing import Any, NamedTuple

from vdd_ros.errors import ObservationError
from vdd_ros.robot.rotations import Quaternion, unit_quaternion
from vdd_ros.text import printable

Vector = tuple[float, float, float]
TF, TF_STATIC, TF_TYPE = "/tf", "/tf_static", "tf2_msgs/msg/TFMessage"
KEEP_S = 10.0
"""How long transforms are kept, in seconds, as in tf2's default."""
MOST_FRAMES = 10_000
_MOST_SAMPLES = 20_000
_DEEPEST = 200
_SPARE = 64
_NEARLY_PARALLEL = 0.9995


class Transform(NamedTuple):
    """A rotation, then a translation: from coordinates in one frame to those in another.

    Attributes:
        translation: In m.
        rotation: Quaternion (x, y, z, w) of norm 1.
    """

    translation: Vector
    rotation: Quaternion

    def point(self, point: Vector) -> Vector:
        """Return a point in the other frame."""
        x, y, z = rotated(self.rotation, point)
        return x + self.translation[0], y + self.translation[1], z + self.translation[2]

    def after(self, first: "Transform") -> "Transform":
        """Return the transform that applies `first`, then this one."""
        return Transform(self.point(first.translation), product(self.rotation, first.rotation))

    def inverse(self) -> "Transform":
        """Return the inverse transform."""
        x, y, z, w = self.rotation
        back = (-x, -y, -z, w)
        dx, dy, dz = rotated(back, self.translation)
        return Transform((-dx, -dy, -dz), back)


IDENTITY = Transform((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def product(a: Quaternion, b: Quaternion) -> Quaternion:
    """Return the rotation b, then a."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def rotated(q: Quaternion, vector: Vector) -> Vector:
    """Return a vector rotated by a quaternion of norm 1."""
    x, y, z, w = q
    vx, vy, vz = vector
    tx, ty, tz = 2 * (y * vz - z * vy), 2 * (z * vx - x * vz), 2 * (x * vy - y * vx)
    return vx + w * tx + y * tz - z * ty, vy + w * ty + z * tx - x * tz, vz + w * tz + x * ty - y * tx


def between(one: Transform, other: Transform, share: float) -> Transform:
    """Interpolate between two transforms: linear in translation, along the great arc in rotation."""
    place = tuple(a + share * (b - a) for a, b in zip(one.translation, other.translation, strict=True))
    cosine = sum(a * b for a, b in zip(one.rotation, other.rotation, strict=True))
    sign, cosine = math.copysign(1.0, cosine), min(abs(cosine), 1.0)
    if cosine > _NEARLY_PARALLEL:
        first, second = 1 - share, share
    else:
        angle = math.acos(cosine)
        first, second = math.sin((1 - share) * angle) / math.sin(angle), math.sin(share * angle) / math.sin(angle)
    mixed = [first * a + sign * second * b for a, b in zip(one.rotation, other.rotation, strict=True)]
    norm = math.sqrt(sum(part * part for part in mixed))
    x, y, z, w = (part / norm for part in mixed)
    return Transform((place[0], place[1], place[2]), (x, y, z, w))


class _Series:
    """The transforms of one frame to its parent, in the order of their stamps."""

    def __init__(self) -> None:
        self.is_static = False
        self._times: list[float] = []
        self._values: list[tuple[str, Transform]] = []

    def add(self, time_s: float, parent: str, transform: Transform, *, static: bool) -> None:
        jumped = self._times and time_s < self._times[-1] - KEEP_S  # the clock was set back
        if static or self.is_static or jumped:
            self._times, self._values = [], []
        self.is_static = static
        place = bisect_left(self._times, time_s)
        if place < len(self._times) and self._times[place] == time_s:
            self._values[place] = parent, transform
            return
        self._times.insert(place, time_s)
        self._values.insert(place, (parent, transform))
        old = max(bisect_left(self._times, self._times[-1] - KEEP_S), len(self._times) - _MOST_SAMPLES)
        if old >= _SPARE:
            del self._times[:old], self._values[:old]

    def at(self, frame: str, time_s: float, longest_s: float) -> tuple[str, Transform]:
        """Return parent and transform at a time; the newest one holds for `longest_s`."""
        if self.is_static:
            return self._values[0]
        place = bisect_right(self._times, time_s)
        if place == len(self._times):
            late_s = time_s - self._times[-1]
            if late_s > longest_s:
                raise ObservationError(
                    f"the newest transform of {_shown(frame)} is {late_s:.3g} s older than the message"
                )
            return self._values[-1]
        if place == 0:
            early_s = self._times[0] - time_s
            raise ObservationError(f"the oldest transform of {_shown(frame)} is {early_s:.3g} s newer than the message")
        (parent, one), (other_parent, other) = self._values[place - 1], self._values[place]
        if parent != other_parent:
            return parent, one
        before, after = self._times[place - 1], self._times[place]
        return parent, between(one, other, (time_s - before) / (after - before))


class TransformBuffer:
    """Transforms of the last `KEEP_S` seconds, and the static ones.

    Transforms are interpolated between stamps. The newest one holds for as long as the reader allows.

    Attributes:
        now_s: The time used for a message without a stamp.
        refused: Number of refused transforms.
        last_refusal: Reason for the last refusal.
    """

    def __init__(self) -> None:
        self.now_s = -math.inf
        self.refused = 0
        self.last_refusal = ""
        self._frames: dict[str, _Series] = {}

    def receive(self, message: Any, *, static: bool) -> None:
        """Take in a tf2_msgs/TFMessage; invalid transforms are counted in `refused`.

        Args:
            message: The message.
            static: Whether it arrived on /tf_static, so its transforms hold at any time.
        """
        for each in message.transforms:
            try:
                self._add(each, static=static)
            except ObservationError as error:
                self.refused += 1
                self.last_refusal = str(error)

    def lookup(self, target: str, source: str, time_s: float, longest_s: float) -> Transform:
        """Return the transform from coordinates in `source` to those in `target` at a time.

        Args:
            target: The frame to transform to.
            source: The frame to transform from.
            time_s: The time in seconds, on the clock of the stamps.
            longest_s: How long the newest transform holds, in seconds.

        Raises:
            ObservationError: The frames are not connected, or not at that time.
        """
        target, source = target.lstrip("/"), source.lstrip("/")
        if source == target:
            return IDENTITY
        found = self._ancestors(source, time_s, longest_s, target)
        if target in found:
            return found[target]
        own = self._ancestors(target, time_s, longest_s, source)
        for frame, transform in own.items():
            if frame in found:
                return transform.inverse().after(found[frame])
        known = ", ".join(list(self._frames)[:10]) or "none; are /tf and /tf_static published?"
        raise ObservationError(
            f"no transform leads from {_shown(source)} to {_shown(target)}; the frames with a transform are {known}"
        )

    def _add(self, message: Any, *, static: bool) -> None:
        child, parent = message.child_frame_id.lstrip("/"), message.header.frame_id.lstrip("/")
        if not child or not parent or child == parent:
            raise ObservationError(f"a transform leads from {_shown(child)} to {_shown(parent)}")
        place, turn = message.transform.translation, message.transform.rotation
        translation = (float(place.x), float(place.y), float(place.z))
        if not all(map(math.isfinite, translation)):
            raise ObservationError(f"the transform of {_shown(child)} is not finite")
        transform = Transform(translation, unit_quaternion(turn.x, turn.y, turn.z, turn.w))
        if child not in self._frames and len(self._frames) >= MOST_FRAMES:
            raise ObservationError(f"there are transforms of more than {MOST_FRAMES:,} frames")
        stamp = message.header.stamp
        series = self._frames.setdefault(child, _Series())
        series.add(stamp.sec + stamp.nanosec * 1e-9, parent, transform, static=static)

    def _ancestors(self, frame: str, time_s: float, longest_s: float, wanted: str) -> dict[str, Transform]:
        """Return the transforms from a frame to itself and its ancestors, up to the wanted one."""
        found, transform = {frame: IDENTITY}, IDENTITY
        for _ in range(_DEEPEST):
            series = self._frames.get(frame)
            if series is None or wanted in found:
                return found
            parent, step = series.at(frame, time_s, longest_s)
            frame, transform = parent, step.after(transform)
            if frame in found:
                break
            found[frame] = transform
        raise ObservationError(f"the transforms of {_shown(frame)} and its parents form a loop, or are too many")


def _shown(frame: str) -> str:
    return repr(printable(frame, 60))
