"""An input that reads one transform of a TFMessage, selected by its frames, from messages and from their bytes."""

from typing import Any

import numpy as np
import pytest
from random_messages import deserialized, schema, serialized

from vdd_ros.errors import ObservationError, RobotFileError
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.cdr.packed import Packed
from vdd_ros.robot.channels import InputChannel
from vdd_ros.robot.inputs import Input
from vdd_ros.robot.layouts import OtherJointsError
from vdd_ros.robot.robot_file import RobotFile

TF = "tf2_msgs/msg/TFMessage"
ENTRIES = {
    "x": {"field": "transform.translation.x", "unit": "m"},
    "z": {"field": "transform.translation.z", "unit": "m"},
    "yaw": {"field": "transform.rotation", "rotation": "yaw"},
}
QUARTER = np.sqrt(0.5)


def document(**more: Any) -> dict[str, Any]:
    """Return a robot file with an input of a transform, and further keys of that input."""
    tool = {"topic": "/tf", "type": TF, "max_age_s": 0.1, "transform": {"parent": "base", "child": "tool"}}
    number = {"name": "a", "action": "a", "unit": "m", "low": -1, "high": 1, "max_step": 1, "measured": "z"}
    command = {"topic": "/c", "type": "std_msgs/msg/Float64MultiArray", "on_loss": "hold", "entries": [number]}
    return {"inputs": {"tool": tool | {"entries": ENTRIES} | more}, "command": command}


def source(**more: Any) -> Input:
    return RobotFile.from_dict(document(**more)).inputs[0]


def message(*frames: tuple[str, str, float], stamp: tuple[int, int] = (7, 5)) -> Any:
    """Return a TFMessage of transforms: parent, child and place of each, turned by a quarter about z."""
    made = schema(TF).blank()
    for number, (parent, child, place) in enumerate(frames):
        one = schema("geometry_msgs/msg/TransformStamped").blank()
        one.header.frame_id, one.child_frame_id = parent, child
        one.header.stamp.sec, one.header.stamp.nanosec = stamp[0] + number, stamp[1]
        one.transform.translation.x, one.transform.translation.z = place, -place
        one.transform.rotation.z = one.transform.rotation.w = float(QUARTER)
        made.transforms = [*made.transforms, one]
    return made


def channel(**more: Any) -> InputChannel:
    found = source(**more)
    made = InputChannel(found, found.features)
    made.expect(MessageFormat(TF, schema(TF), lambda content: deserialized(content, TF)))
    return made


FOUND = {
    "alone": [("base", "tool", 0.5)],
    "among others": [("base", "link_1", 9.0), ("link_1", "tool", 8.0), ("base", "tool", 0.5), ("map", "base", 7.0)],
    "with slashes, as of ROS 1": [("/base", "/tool", 0.5)],
    "twice, of which the last counts": [("base", "tool", 9.0), ("base", "tool", 0.5)],
}


@pytest.mark.parametrize("case", FOUND)
def test_it_is_found_by_its_frames(case: str) -> None:
    """Its numbers, in the units of the robot file, and its own stamp; both ways agree to the bit."""
    frames = FOUND[case]
    whole, out = message(*frames), np.empty(3)
    stamp = channel().read(whole, out)
    place = max(number for number, (_, child, x) in enumerate(frames) if x == 0.5)
    assert stamp == (7 + place) * 1_000_000_000 + 5
    assert out == pytest.approx([0.5, -0.5, np.pi / 2])
    of_bytes = np.empty(3)
    assert channel().read(serialized(whole, TF), of_bytes) == stamp
    assert of_bytes.tobytes() == out.tobytes()


def test_many_messages_are_read_at_once() -> None:
    """Messages of other publishers in between lack it."""
    mine = [message(("base", "tool", x), stamp=(int(x), 0)) for x in (1.0, 2.0, 3.0, 4.0)]
    other = message(("base", "cart", 9.0))
    contents = [serialized(one, TF) for one in (mine[0], other, *mine[1:], other)]
    found = channel().read_columns(Packed.of(contents))
    assert found.stamps_ns.tolist() == [10**9, 0, 2 * 10**9, 3 * 10**9, 4 * 10**9, 0]
    np.testing.assert_allclose(found.numbers[[0, 2, 3, 4], 1], [-1, -2, -3, -4])
    assert sorted(found.errors) == [1, 5]
    assert all(isinstance(error, OtherJointsError) for error in found.errors.values())


@pytest.mark.parametrize("frames", [[("base", "cart", 1.0)], [("tool", "base", 1.0)], [("world", "tool", 1.0)], []])
def test_other_transforms_are_named(frames: list[tuple[str, str, float]]) -> None:
    for given in (message(*frames), serialized(message(*frames), TF)):
        with pytest.raises(OtherJointsError, match="a TFMessage has no transform base → tool; it has") as told:
            channel().read(given, np.empty(3))
        assert told.value.joints == str([f"{parent} → {child}" for parent, child, _ in frames])


def test_a_zero_stamp_is_none() -> None:
    given = message(("base", "tool", 1.0), stamp=(0, 0))
    assert channel().read(given, np.empty(3)) is None
    assert channel().read(serialized(given, TF), np.empty(3)) is None


def test_what_is_no_rotation_is_refused() -> None:
    given = message(("base", "tool", 1.0))
    given.transforms[0].transform.rotation.w = 0.0
    with pytest.raises(ObservationError, match="norm"):
        channel().read(serialized(given, TF), np.empty(3))


def test_a_type_is_checked_on_a_message_of_it() -> None:
    channel().check(schema(TF).blank())
    wrong = {"x": {"field": "translation.x", "unit": "m"}, "z": ENTRIES["z"]}
    with pytest.raises(RobotFileError, match=r"inputs.tool.entries.x.field: .* has no field 'translation.x'"):
        channel(entries=wrong).check(schema(TF).blank())


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "type": ({"type": "geometry_msgs/msg/PoseStamped"}, r"transform: selects a transform of a tf2_msgs/msg/TFMessage"),
    "frame": ({"frame": "base"}, r"frame: is for poses; with `transform`, the frame is its `parent`"),
    "same": ({"transform": {"parent": "a", "child": "/a"}}, r"transform.child: is 'a', which is also the parent"),
    "child": ({"transform": {"parent": "a"}}, r"transform.child: is missing; write it as in `child: tool0`"),
    "more": ({"transform": {"parent": "a", "child": "b", "at": 1}}, r"transform.at"),
    "static": ({"topic": "/tf_static"}, r"topic: is /tf_static, whose transforms never change.*constant: 0.72"),
    "relative": ({"topic": "tf_static"}, r"topic: is tf_static, whose transforms never change"),
    "in a namespace": ({"topic": "/arm/tf_static"}, r"topic: is /arm/tf_static, whose transforms never change"),
    "no frame": (
        {"transform": {"parent": "/", "child": "b"}},
        r"transform.parent: is '/', which names no frame; write",
    ),
    "array": (
        {"entries": {"all": {"field": "transform.translation.z", "shape": [1], "unit": "m"}}},
        r"entries.all.shape: is for arrays; a transform has single numbers; leave it out",
    ),
    "unit": ({"entries": {"z": {"field": "transform.translation.z", "unit": "rad"}}}, "length"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_robot_file_must_not_say(case: str) -> None:
    given, expected = REFUSED[case]
    with pytest.raises(RobotFileError, match=expected):
        RobotFile.from_dict(document(**given))


def test_advice_to_leave_a_key_out_shows_no_line_with_it() -> None:
    with pytest.raises(RobotFileError) as told:
        RobotFile.from_dict(document(frame="base"))
    assert str(told.value).endswith("the frame is its `parent`; leave it out")


def test_fields_of_a_transform_need_the_key() -> None:
    given = document()
    del given["inputs"]["tool"]["transform"]
    with pytest.raises(RobotFileError, match=r"inputs.tool.transform: is missing; .*`transform: {parent: base_link"):
        RobotFile.from_dict(given)


@pytest.mark.parametrize("field", ["child_frame_id", "transform.translation", "pose.position.x"])
def test_a_wrong_field_is_told_with_the_type_of_the_message(field: str) -> None:
    entries = {"x": {"field": field, "unit": "m"}, "z": ENTRIES["z"]}
    with pytest.raises(RobotFileError, match="TransformStamped") as told:
        channel(entries=entries).check(schema(TF).blank())
    assert "Namespace" not in str(told.value)


def test_it_cannot_be_simulated() -> None:
    with pytest.raises(RobotFileError, match="base → tool can be read, but not simulated"):
        channel().write(np.zeros(3), message())
