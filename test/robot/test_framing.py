"""Positions and orientations in the frame that the robot file names, from messages and from their bytes."""

import math
from typing import Any

import numpy as np
import pytest
from input_channels import COMMAND, POSE, channel, refusal, robot_with
from policy_files import mixture_spec
from random_messages import schema, serialized
from transform_messages import stamped, tell

from vdd_ros.control.counters import Counters
from vdd_ros.control.observer import Observer
from vdd_ros.errors import ConfigurationError, ObservationError
from vdd_ros.features import Feature
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.channels import InputChannel
from vdd_ros.robot.transforms import IDENTITY, Transform, TransformBuffer

Rotation = pytest.importorskip("scipy.spatial.transform").Rotation

HALF = math.sqrt(0.5)
BESIDE = Transform((1.0, 2.0, 3.0), (0.0, 0.0, HALF, HALF))
"""Of the camera in the base: a quarter turn to the left."""
ENTRIES = {
    "x": {"field": "pose.position.x", "unit": "mm", "scale": 1000},
    "turn": {"field": "pose.orientation", "rotation": "six_d"},
    "z": {"field": "pose.position.z", "unit": "m", "offset": 1.0},
}


def pose(
    frame: str, position: Any = (0.0, 0.0, 0.0), rotation: Any = (0.0, 0.0, 0.0, 1.0), stamp_s: float = 10.0
) -> Any:
    message = schema(POSE).blank()
    message.header.frame_id = frame
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(round(stamp_s * 1e9), 1_000_000_000)
    for name, value in zip("xyz", position, strict=True):
        setattr(message.pose.position, name, float(value))
    for name, value in zip("xyzw", rotation, strict=True):
        setattr(message.pose.orientation, name, float(value))
    return message


def framed(entries: dict[str, Any] = ENTRIES, kind: str = POSE, **more: Any) -> InputChannel:
    """Return the channel of an input in the frame `base`, that reads messages and bytes."""
    tested = channel(kind, entries, frame="base", **more)

    def never(content: bytes) -> Any:
        raise AssertionError("the message was read as a whole")

    tested.expect(MessageFormat(kind, schema(kind), never))
    assert tested.framing is not None
    tell(tested.framing.buffer, stamped("camera", "base", BESIDE, 10.0))
    return tested


def readings(tested: InputChannel, message: Any, kind: str = POSE) -> list[float]:
    """Return what is read of a message, which is the same from its bytes."""
    out, again = np.empty(len(tested.columns)), np.empty(len(tested.columns))
    assert tested.read(message, out) == tested.read(serialized(message, kind), again)
    np.testing.assert_array_equal(out, again)
    return list(out.tolist())


def test_a_pose_is_given_in_the_frame() -> None:
    tested = framed()
    for seed in range(20):
        rotation = Rotation.random(random_state=seed)
        place = np.random.default_rng(seed).normal(size=3)
        found = readings(tested, pose("camera", place, rotation.as_quat()))
        there = Rotation.from_quat(BESIDE.rotation)
        expected = there.apply(place) + BESIDE.translation
        columns = (there * rotation).as_matrix()[:, :2].T.ravel()
        np.testing.assert_allclose(found, [1000 * expected[0], *columns, expected[2] + 1.0], atol=1e-9)


@pytest.mark.parametrize("frame", ["base", "/base"])
def test_a_message_in_the_frame_is_taken_as_it_is(frame: str) -> None:
    assert readings(framed(), pose(frame, (0.5, 0.25, 0.125))) == [500.0, 1.0, 0, 0, 0, 1.0, 0, 1.125]


def test_a_direction_is_turned_and_not_moved() -> None:
    kind = "geometry_msgs/msg/Vector3Stamped"
    tested = framed({"y": {"field": "vector.y", "unit": "m/s"}}, kind)
    message = schema(kind).blank()
    message.header.frame_id, message.header.stamp.sec, message.vector.x = "camera", 10, 2.0
    assert readings(tested, message, kind) == [pytest.approx(2.0)]


def test_a_message_without_a_known_transform_is_refused() -> None:
    tested, out = framed(), np.empty(8)
    for message, problem in (
        (pose(""), r"has no frame \(header\.frame_id\), so it cannot be transformed to 'base'"),
        (pose("mast"), "no transform leads from 'mast' to 'base'"),
        (pose("camera", stamp_s=11.5), r"the newest transform of 'camera' is 1\.5 s older than the message"),
        (pose("camera", stamp_s=9.0), "the oldest transform of 'camera' is 1 s newer than the message"),
    ):
        for given in (message, serialized(message, POSE)):
            with pytest.raises(ObservationError, match=problem):
                tested.read(given, out)


def test_a_message_dated_by_its_arrival_takes_the_transform_of_that_time() -> None:
    tested = framed(stamp="arrival")
    assert tested.framing is not None
    tested.framing.buffer.now_s = 10.5
    for stamp_s in (0.0, 500.0):
        assert readings(tested, pose("camera", (1.0, 0, 0), stamp_s=stamp_s))[0] == pytest.approx(1000.0)


def test_a_robot_writes_poses_in_the_frame() -> None:
    tested, message = framed(), pose("")
    tested.write(np.array([250.0, 1, 0, 0, 0, 1, 0, 3.0]), message)
    assert message.header.frame_id == "base"
    assert (message.pose.position.x, message.pose.position.z) == (0.25, 2.0)


def test_an_observer_needs_transforms_and_refuses_without_one() -> None:
    robot = robot_with(entries={"x": {"field": "pose.position.x", "unit": "m"}}, frame="base")
    action = (Feature(COMMAND["entries"][0]["action"], "rad", -1.0, 1.0),)
    spec = mixture_spec(observation=(Feature("x", "m"),), action=action)
    with pytest.raises(ConfigurationError, match="the robot file names a `frame`, but transforms are not read here"):
        Observer(spec, robot, Counters(), 0.1)
    transforms, counters = TransformBuffer(), Counters()
    observer = Observer(spec, robot, counters, 0.1, None, transforms)
    observer.receive("seen", pose("camera", (0, -0.5, 0)), 10.0)
    assert (counters.refused_messages, observer.complete) == (1, False)
    assert observer.last_refusal.startswith("seen: no transform leads from 'camera' to 'base'")
    tell(transforms, stamped("camera", "base", BESIDE, 10.0))
    observer.receive("seen", pose("camera", (0, -0.5, 0)), 10.0)
    np.testing.assert_allclose(observer.sample(10.0), [[1.5]])


@pytest.mark.parametrize(
    ("kind", "entries"),
    [
        ("geometry_msgs/msg/TwistStamped", {"v": {"field": "twist.linear.x", "unit": "m/s"}}),
        ("geometry_msgs/msg/WrenchStamped", {"v": {"field": "wrench.force.x", "unit": "N"}}),
        ("geometry_msgs/msg/Pose", {"v": {"field": "position.x", "unit": "m"}}),
        ("nav_msgs/msg/Odometry", {"v": {"field": "twist.twist.linear.x", "unit": "m/s"}}),
        ("my_msgs/msg/Pose", {"v": {"field": "pose.position.x", "unit": "m"}}),
        ("sensor_msgs/msg/JointState", {"v": {"joint": "a", "interface": "position", "unit": "rad"}}),
        ("std_msgs/msg/Float64MultiArray", {"v": {"field": "data", "shape": [3], "unit": "m"}}),
    ],
)  # fmt: skip
def test_what_has_no_frame_is_named(kind: str, entries: dict[str, Any]) -> None:
    text = refusal(kind, entries, frame="base")
    assert text.startswith("inputs.seen.frame: is for positions and orientations of a described type with a header")
    assert "; v is not one" in text


def test_a_frame_is_text() -> None:
    assert "inputs.seen.frame: is empty" in refusal(entries=ENTRIES, frame=None)
    assert "write it as in `frame: base_link`" in refusal(entries=ENTRIES, frame="")


def test_constants_have_no_frame() -> None:
    tested = framed({"x": {"field": "pose.position.x", "unit": "m"}, "one": {"constant": 1.0, "unit": 1}})
    tell(tested.framing.buffer, stamped("camera", "base", IDENTITY, 10.0))  # type: ignore[union-attr]
    assert readings(tested, pose("camera", (0.5, 0, 0))) == [0.5, 1.0]
