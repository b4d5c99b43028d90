"""Entries of an input: scale, offset and unit, joints in short form, and elements of arrays, both ways."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_channels import JOINTS, channel, names, numbers, read, refusal, robot_with
from robot_messages import empty_message, joint_state

from vdd_ros.errors import ObservationError, RobotFileError
from vdd_ros.features import Feature
from vdd_ros.robot.channels import ArrayChannel
from vdd_ros.robot.field_paths import elements, parse_path

ARRAY = "std_msgs/msg/Float64MultiArray"
TF = "tf2_msgs/msg/TFMessage"
POSITIVE = st.floats(1e-3, 1e3, allow_subnormal=False)
ANY = st.floats(-1e3, 1e3, allow_subnormal=False)


@given(value=ANY, scale=st.one_of(POSITIVE, POSITIVE.map(lambda value: -value)), offset=ANY)
def test_an_entry_is_scale_times_field_plus_offset_in_its_unit(value: float, scale: float, offset: float) -> None:
    """Counts of an encoder as an angle in degrees, for a policy that takes radians; and back."""
    entry = {"field": "data", "scale": scale, "offset": offset, "unit": "deg"}
    tested = channel("std_msgs/msg/Float64", {"angle": entry}, {"angle": "rad"})
    angle = math.radians(scale * value + offset)
    assert read(tested, SimpleNamespace(data=value)) == [pytest.approx(angle, rel=1e-12, abs=1e-12)]
    message = SimpleNamespace(data=0.0)
    tested.write(np.array([angle]), message)
    assert message.data == pytest.approx(value, rel=1e-6, abs=1e-6 * (abs(offset) + 1) / abs(scale))


def test_a_scale_has_a_unit_of_its_own_and_an_offset_that_of_the_entry() -> None:
    scaled = {"joint": "finger", "interface": "position", "scale": 850.0, "offset": 10.0, "unit": "mm"}
    tested = channel(JOINTS, {"width": scaled}, {"width": "m"})
    assert read(tested, joint_state(finger=0.1)) == [pytest.approx(0.095)]
    shifted = {"joint": "finger", "interface": "position", "offset": 10.0, "unit": "mm"}
    assert read(channel(JOINTS, {"width": shifted}, {"width": "m"}), joint_state(finger=5.0)) == [pytest.approx(0.015)]
    assert "is 'V', a unit of voltage, but the position of finger" in refusal(JOINTS, {"w": shifted | {"unit": "V"}})


def test_arrays_have_scale_and_offset_too() -> None:
    entry = {"field": "data", "shape": [3], "scale": 2.0, "offset": 1.0, "unit": "mm"}
    feature = Feature("forces", "m", shape=(3,))
    tested = ArrayChannel(robot_with(ARRAY, {"forces": entry}).inputs[0], [feature])
    out = np.zeros(3, np.float32)
    tested.read(numbers(1.0, 2.0, 3.0), out)
    np.testing.assert_allclose(out, [0.003, 0.005, 0.007], rtol=1e-6)


SHORT = {"names": ["pan", "lift", "finger"], "interfaces": ["position"], "unit": "deg"}


def test_joints_in_short_form_are_an_entry_each_in_the_order_of_the_file() -> None:
    """The message has another order, other joints, and no velocities."""
    tested = channel(JOINTS, joints=SHORT, units={"lift_position": "rad"})
    assert names(tested) == ["pan_position", "lift_position", "finger_position"]
    message = joint_state(wheel=7.0, finger=3.0, lift=180.0, pan=1.0)
    assert read(tested, message) == [1.0, pytest.approx(math.pi), 3.0]
    same = channel(
        JOINTS, {f"{n}_position": {"joint": n, "interface": "position", "unit": "deg"} for n in SHORT["names"]}
    )
    assert read(same, message) == [1.0, 180.0, 3.0]


def test_several_interfaces_come_one_after_the_other_in_units_of_their_own() -> None:
    tested = channel(JOINTS, joints=SHORT | {"interfaces": ["position", "velocity", "effort"]})
    units = [(entry.name, entry.unit) for entry in tested.source.entries]
    assert units[::3] == [("pan_position", "deg"), ("pan_velocity", "deg/s"), ("pan_effort", "Nm")]
    message = joint_state(pan=1.0, lift=2.0, finger=3.0)
    message.velocity, message.effort = [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]
    assert read(tested, message) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    message.effort = []
    with pytest.raises(ObservationError, match="3 names but 0 values of effort"):
        read(tested, message)


def test_short_form_and_entries_share_an_input() -> None:
    """An arm in radians and a gripper in metres on one topic."""
    entries = {"grip": {"joint": "finger", "interface": "position", "unit": "m"}}
    tested = channel(JOINTS, entries, joints=SHORT | {"names": ["pan"], "unit": "rad"})
    assert names(tested) == ["pan_position", "grip"]
    assert read(tested, joint_state(finger=0.02, pan=1.0)) == [1.0, 0.02]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"names": []}, "inputs.seen.joints.names: must be a list of texts, not []; write it as in `names: ["),
        ({"names": ["a", "a"]}, "inputs.seen.joints.names: has these joints more than once: a"),
        ({"interfaces": ["speed"]}, "inputs.seen.joints.interfaces: holds 'speed'; allowed are position, velocity, e"),
        ({"interfaces": "position"}, "inputs.seen.joints.interfaces: must be a list of texts, not 'position'"),
        ({"unit": "V"}, "inputs.seen.joints.unit: is 'V', a unit of voltage, but the position of pan"),
        ({"unit": "V", "interfaces": ["position", "velocity"]}, "joints.unit: is 'V'; with several interfaces"),
        ({"scale": 0}, "inputs.seen.joints.scale: is 0, which makes the entry constant"),
        ({"scale": 2, "interfaces": ["position", "velocity"]}, "inputs.seen.joints.scale: is for a single interface"),
        ({"offset": "x"}, "inputs.seen.joints.offset: must be a number, not 'x'"),
        ({"encode": "cos"}, "inputs.seen.joints.encode: is 'cos' (did you mean 'sin_cos'?); allowed are sin_cos, tan"),
        ({"joint": "a"}, "inputs.seen.joints.joint: is unknown here"),
    ],
)
def test_a_wrong_key_of_the_short_form_is_named(change: dict[str, Any], problem: str) -> None:
    assert problem in refusal(JOINTS, joints=SHORT | change)


def test_the_short_form_is_shown_where_it_is_wrong() -> None:
    assert "write it as in `joints: {names: [" in refusal(JOINTS, joints=["pan"])
    assert "geometry_msgs/msg/PoseStamped has no joints" in refusal(joints=SHORT)
    assert "inputs: has these observation entries more than once: pan_position" in refusal(
        JOINTS, {"pan_position": {"joint": "pan", "interface": "position", "unit": "rad"}}, joints=SHORT
    )


def test_elements_of_an_array() -> None:
    """One, a slice that gives an entry for each element, and one found by its label."""
    entries = {
        "first": {"field": "data[0]", "unit": "1"},
        "force": {"field": "data[2:5]", "unit": "N"},
        "grip": {"field": "data[grip/left]", "unit": "mm"},
    }
    tested = channel(ARRAY, entries, {"grip": "m"})
    assert names(tested) == ["first", "force_0", "force_1", "force_2", "grip"]
    labels = ("a", "grip/left", "b", "c", "d")
    assert read(tested, numbers(0.0, 1.0, 2.0, 3.0, 4.0, labels=labels)) == [0.0, 2.0, 3.0, 4.0, 0.001]
    assert read(tested, numbers(0.0, 1.0, 2.0, 3.0, 4.0, labels=labels[::-1])) == [0.0, 2.0, 3.0, 4.0, 0.003]
    tested.check(empty_message(ARRAY))


def test_a_slice_is_an_array_where_it_has_a_shape() -> None:
    entry = {"field": "data[1:5]", "shape": [2, 2], "unit": "N"}
    tested = ArrayChannel(robot_with(ARRAY, {"forces": entry}).inputs[0], [Feature("forces", "N", shape=(2, 2))])
    tested.check(empty_message(ARRAY))
    out = np.zeros((2, 2), np.float32)
    tested.read(numbers(*range(9)), out)
    np.testing.assert_array_equal(out, [[1, 2], [3, 4]])
    with pytest.raises(ObservationError, match=r"data has 3 elements; the robot file reads data\[1:5\]"):
        tested.read(numbers(1.0, 2.0, 3.0), out)


def test_fields_of_elements() -> None:
    """A transform of a TFMessage, and a number of the fixed array of a covariance."""
    tested = channel(TF, {"x": {"field": "transforms[1].transform.translation.x", "unit": "mm"}}, {"x": "m"})
    tested.check(empty_message(TF))
    places = [empty_message("geometry_msgs/msg/TransformStamped") for _ in range(2)]
    places[1].transform.translation.x = 250.0
    assert read(tested, SimpleNamespace(transforms=places)) == [0.25]
    with pytest.raises(
        ObservationError, match=r"translation\.x is not in the message: a list in it has fewer elements"
    ):
        read(tested, SimpleNamespace(transforms=places[:1]))
    odometry = empty_message("nav_msgs/msg/Odometry")
    spread = channel("nav_msgs/msg/Odometry", {"spread": {"field": "pose.covariance[35]", "unit": "1"}})
    spread.check(odometry)
    odometry.pose.covariance[35] = 0.5
    assert read(spread, odometry) == [0.5]
    beyond = channel("nav_msgs/msg/Odometry", {"spread": {"field": "pose.covariance[36]", "unit": "1"}})
    with pytest.raises(RobotFileError, match=r"entries\.spread\.field: 'covariance' of .* has 36 elements"):
        beyond.check(odometry)


@pytest.mark.parametrize(
    ("field", "message", "problem"),
    [
        ("data[3]", numbers(0.0, 1.0), r"data has 2 elements; the robot file reads data\[3\]"),
        ("data[3]", numbers(), "data has 0 elements"),
        ("data[grip]", numbers(1.0, 2.0, labels=("a", "b")), r"layout.dim has this label not; its labels are \['a'"),
        ("data[grip]", numbers(1.0, 2.0, labels=("grip", "grip")), "layout.dim has this label more than once"),
        ("data[grip]", numbers(1.0, 2.0, labels=("grip",)), "1 labels for 2 numbers; give the index of the element"),
        (
            "data[grip]",
            SimpleNamespace(data=[1.0]),
            r"data\[grip\] is not a number in this message .*; correct `field`",
        ),
        ("data[0]", SimpleNamespace(data=["a"]), r"data\[0\] is not a number in this message"),
        ("data[0].x", SimpleNamespace(data=[1.0]), r"data\[0\].x is not a number in this message"),
    ],
)
def test_a_message_without_the_element_is_refused(field: str, message: Any, problem: str) -> None:
    tested = channel("my_msgs/msg/Mine", {"it": {"field": field, "unit": "1"}})
    with pytest.raises(ObservationError, match=problem):
        read(tested, message)


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("layout", "is SimpleNamespace, not a number"),
        ("data", r"is array, not a number; give an element, such as data\[0\], or its `shape`"),
        ("layout.data_offset[0]", "'data_offset' of SimpleNamespace is int, which has no elements"),
        ("layout.no.x", "has no field 'layout.no.x'"),
        ("dat[0]", r"has no field 'dat\[0\]'"),
    ],
)
def test_a_path_that_the_type_does_not_have_is_named(field: str, problem: str) -> None:
    with pytest.raises(RobotFileError, match=rf"^inputs\.seen\.entries\.it\.field: .*{problem}"):
        channel("my_msgs/msg/Mine", {"it": {"field": field, "unit": "1"}}).check(numbers())


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("data[]", "elements are written name[3], name[2:5] or name[label]"),
        ("data[-1]", "elements are counted from 0, never from the end"),
        ("data[3", "elements are written"),
        ("data[3]x", "elements are written"),
        ("[3]", "elements are written"),
        ("data[2:2]", "a slice [2:5] holds 2, 3 and 4"),
        ("data[5:2]", "a slice [2:5] holds 2, 3 and 4"),
        ("data[2:]", "elements are written"),
        ("data[99999]", "elements are numbered from 0 to 10,000"),
        ("a[0:2].b[0:2]", "one slice per path is allowed"),
    ],
)
def test_a_path_that_is_none_is_refused(field: str, hint: str) -> None:
    text = refusal("my_msgs/msg/Mine", {"it": {"field": field, "unit": "1"}})
    assert f"inputs.seen.entries.it.field: is {field!r}" in text
    assert hint in text


def test_elements_of_a_slice_have_paths() -> None:
    assert elements("a[x].b[1:3].c") == ["a[x].b[1].c", "a[x].b[2].c"]
    assert elements("a.b") == ["a.b"]
    assert [tuple(step) for step in parse_path("a[joint.1].b")] == [("a", "joint.1"), ("b", None)]


def test_elements_are_written_where_they_are_or_can_be_added() -> None:
    entries = {"it": {"field": "data[1:3]", "unit": "mm"}, "last": {"field": "data[5]", "unit": "1"}}
    tested = channel(ARRAY, entries)
    message = numbers(9.0, 9.0)
    tested.write(np.array([1.0, 2.0, 3.0]), message)
    assert list(message.data) == [9.0, 1.0, 2.0, 0.0, 0.0, 3.0]
    assert read(tested, message) == [1.0, 2.0, 3.0]
    with pytest.raises(RobotFileError, match="can be read, but not written; give the index"):
        channel(ARRAY, {"it": {"field": "data[a]", "unit": "1"}}).write(np.ones(1), numbers(1.0, labels=("a",)))
    with pytest.raises(ObservationError, match="translation is not in the message"):
        channel(TF, {"it": {"field": "transforms[0].transform.translation.x", "unit": "1"}}).write(
            np.ones(1), SimpleNamespace(transforms=[])
        )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"scale": 0.0}, "entries.it.scale: is 0, which makes the entry constant; it must be another number; wr"),
        ({"scale": "fast"}, "entries.it.scale: must be a number, not 'fast'"),
        ({"scale": math.inf}, "entries.it.scale: must be finite"),
        ({"offset": None}, "entries.it.offset: must be a number, not nothing"),
        ({"offset": math.inf}, "entries.it.offset: must be finite"),
        ({"offset": 10**400}, "entries.it.offset: must be a number, not 1000"),
        ({"encode": "sin_cos"}, "entries.it.unit: 'm' cannot be converted to 'rad'"),
    ],
)
def test_a_wrong_conversion_is_named(change: dict[str, Any], problem: str) -> None:
    assert problem in refusal(entries={"it": {"field": "pose.position.x", "unit": "m"} | change})


def test_pixels_are_not_scaled() -> None:
    entry = {"encoding": "rgb8", "shape": [4, 6, 3], "unit": 1, "scale": 2.0}
    assert "scales pixels, which are not converted" in refusal("sensor_msgs/msg/Image", {"cam": entry})
