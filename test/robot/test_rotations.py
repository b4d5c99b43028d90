"""Rotations as numbers, against scipy; q and -q, and angles a turn apart, give the same ones."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_channels import JOINTS, channel, names, numbers, oriented, read, refusal
from robot_messages import empty_message, joint_state

from vdd_ros.errors import ObservationError
from vdd_ros.robot.rotations import angle_between, from_columns, from_six_d, from_vector, unit_quaternion

Rotation = pytest.importorskip("scipy.spatial.transform").Rotation

RANDOM = Rotation.random(300, random_state=0).as_quat()
HALF_TURNS = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0.6, 0.8, 0, 0], [0, -0.6, 0.8, 0]])
NONE = np.array([[0.0, 0, 0, 1], [1e-9, 0, 0, 1], [0, 1e-300, 0, 1]])
SEVERAL = np.concatenate([RANDOM, HALF_TURNS, NONE])


def rotation(kind: str, **more: Any) -> Any:
    """Return the channel of an orientation."""
    return channel(entries={"tool": {"field": "pose.orientation", "rotation": kind} | more})


def test_yaw_is_that_of_scipy() -> None:
    tested = rotation("yaw")
    assert names(tested) == ["tool"]
    assert tested.source.entries[0].unit == "rad"
    for q in RANDOM:
        yaw = Rotation.from_quat(q).as_euler("ZYX")[0]
        assert read(tested, oriented(*q)) == [pytest.approx(yaw, abs=1e-9)]
    degrees = rotation("yaw", unit="deg")
    assert read(degrees, oriented(0, 0, 1, 1e-9)) == [pytest.approx(180.0)]


def test_yaw_as_sine_and_cosine() -> None:
    tested = rotation("yaw", encode="sin_cos")
    assert names(tested) == ["tool_sin", "tool_cos"]
    for q in RANDOM:
        yaw = Rotation.from_quat(q).as_euler("ZYX")[0]
        assert read(tested, oriented(*q)) == pytest.approx([math.sin(yaw), math.cos(yaw)], abs=1e-9)


def test_yaw_as_a_limited_tangent() -> None:
    tested = rotation("yaw", encode="tan")
    assert names(tested) == ["tool"]
    assert tested.source.entries[0].unit == "1"
    for q in RANDOM:
        yaw = Rotation.from_quat(q).as_euler("ZYX")[0]
        assert read(tested, oriented(*q)) == [pytest.approx(np.clip(math.tan(yaw), -10, 10), rel=1e-9)]
    quarter = Rotation.from_euler("z", [[math.pi / 2 - 0.01], [math.pi / 2 + 0.01]]).as_quat()
    assert [read(tested, oriented(*q)) for q in quarter] == [[10.0], [-10.0]]


@pytest.mark.parametrize("tangent", [-10.0, -0.3, 0.0, 2.5])
def test_a_written_tangent_is_the_one_that_was_read(tangent: float) -> None:
    tested, message = rotation("yaw", encode="tan"), oriented(0, 0, 0, 1)
    tested.write(np.array([tangent]), message)
    assert read(tested, message) == [pytest.approx(tangent)]


def test_a_rotation_vector_is_that_of_scipy() -> None:
    tested = rotation("vector", unit="deg")
    assert names(tested) == ["tool_x", "tool_y", "tool_z"]
    for q in np.concatenate([RANDOM, NONE]):
        expected = Rotation.from_quat(q).as_rotvec(degrees=True)
        assert read(tested, oriented(*q)) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    for q in HALF_TURNS:
        vector = np.radians(read(tested, oriented(*q)))
        np.testing.assert_allclose(np.linalg.norm(vector), np.pi)
        assert Rotation.from_rotvec(vector).approx_equal(Rotation.from_quat(q), 1e-7)


def test_six_numbers_are_two_columns_of_the_matrix() -> None:
    tested = rotation("six_d")
    assert names(tested) == [f"tool_{end}" for end in ("r11", "r21", "r31", "r12", "r22", "r32")]
    assert {entry.unit for entry in tested.source.entries} == {"1"}
    for q in SEVERAL:
        matrix = Rotation.from_quat(q).as_matrix()
        assert read(tested, oriented(*q)) == pytest.approx(matrix[:, :2].T.ravel(), abs=1e-12)


@pytest.mark.parametrize("kind", ["yaw", "vector", "six_d"])
def test_a_quaternion_and_its_negative_give_the_same_numbers(kind: str) -> None:
    tested = rotation(kind)
    for q in SEVERAL:
        assert read(tested, oriented(*q)) == read(tested, oriented(*-q))
        if kind != "yaw":
            assert "-0.0" not in str(read(tested, oriented(0, 0, 0, -1.0)))


@pytest.mark.parametrize("kind", ["vector", "six_d"])
def test_a_written_rotation_is_the_one_that_was_read(kind: str) -> None:
    tested = rotation(kind)
    for q in SEVERAL:
        message = empty_message("geometry_msgs/msg/PoseStamped")
        tested.write(np.array(read(tested, oriented(*q))), message)
        o = message.pose.orientation
        assert Rotation.from_quat([o.x, o.y, o.z, o.w]).approx_equal(Rotation.from_quat(q), 1e-7)


@given(yaw=st.floats(-10, 10, allow_subnormal=False), encode=st.booleans())
def test_a_written_yaw_is_a_rotation_about_z(yaw: float, encode: bool) -> None:
    tested = rotation("yaw", **({"encode": "sin_cos"} if encode else {}))
    message = oriented(0, 0, 0, 1)
    tested.write(np.array([math.sin(yaw), math.cos(yaw)] if encode else [yaw]), message)
    o = message.pose.orientation
    assert Rotation.from_quat([o.x, o.y, o.z, o.w]).approx_equal(Rotation.from_euler("z", yaw), 1e-7)


def test_columns_of_any_matrix_are_its_quaternion() -> None:
    """Whichever of the four numbers is the largest; and columns that are not quite orthogonal are made so."""
    for q in SEVERAL:
        matrix = Rotation.from_quat(q).as_matrix()
        assert Rotation.from_quat(from_columns(*matrix.T)).approx_equal(Rotation.from_quat(q), 1e-7)
        skewed = [*3 * matrix[:, 0], *(0.5 * matrix[:, 1] + 0.2 * matrix[:, 0])]
        assert Rotation.from_quat(from_six_d(skewed)).approx_equal(Rotation.from_quat(q), 1e-7)
    with pytest.raises(ObservationError, match="zero or parallel"):
        from_six_d([1, 0, 0, 2, 0, 0])


def test_the_angle_between_two_rotations_is_that_of_scipy() -> None:
    for one, other in zip(RANDOM[::2], RANDOM[1::2], strict=True):
        expected = (Rotation.from_quat(one).inv() * Rotation.from_quat(other)).magnitude()
        assert angle_between(tuple(one), tuple(other)) == pytest.approx(expected, abs=1e-9)
    assert angle_between(from_vector([1e-9, 0, 0]), (0.0, 0.0, 0.0, 1.0)) == pytest.approx(1e-9)


@pytest.mark.parametrize(
    ("q", "problem"),
    [
        ((0, 0, 0, 0), "only zeros: its publisher does not set it"),
        ((0, 0, 0, 1.1), r"of the norm 1\.1"),
        ((0, 0, 0, math.nan), "of the norm nan"),
        ((math.inf, 0, 0, 1), "of the norm inf"),
    ],
)
def test_a_quaternion_that_is_no_rotation_is_refused(q: tuple[float, float, float, float], problem: str) -> None:
    with pytest.raises(ObservationError, match=problem):
        read(rotation("six_d"), oriented(*q))


def test_a_quaternion_that_is_nearly_one_is_normalised() -> None:
    q = 1.004 * RANDOM[0]
    assert unit_quaternion(*q) == pytest.approx(RANDOM[0] * np.sign(RANDOM[0][3]), abs=1e-12)


def test_a_vertical_axis_has_no_yaw() -> None:
    half = math.sqrt(0.5)
    with pytest.raises(ObservationError, match="has no yaw, since its x axis is vertical; use `rotation: six_d`"):
        read(rotation("yaw"), oriented(0, half, 0, half))


def test_four_numbers_of_an_array_are_a_quaternion() -> None:
    tested = channel("my_msgs/msg/Mine", {"tool": {"field": "data[3:7]", "rotation": "vector"}})
    q = RANDOM[0]
    expected = Rotation.from_quat(q).as_rotvec()
    assert read(tested, numbers(0, 0, 0, *q)) == pytest.approx(expected)


def test_an_angle_is_its_limited_tangent() -> None:
    tested = channel(JOINTS, {"wrist": {"joint": "wrist", "interface": "position", "unit": "deg", "encode": "tan"}})
    assert names(tested) == ["wrist"]
    for angle, tangent in ((45.0, 1.0), (-120.0, math.sqrt(3)), (89.9, 10.0), (math.inf, math.nan)):
        assert read(tested, joint_state(wrist=angle)) == pytest.approx([tangent], nan_ok=True)
    message = joint_state(wrist=0.0)
    tested.write(np.array([-1.0]), message)
    assert message.position[0] == pytest.approx(-45.0)


@given(angle=st.floats(-1e4, 1e4, allow_subnormal=False), turns=st.integers(-3, 3))
def test_an_angle_that_wraps_is_its_sine_and_cosine(angle: float, turns: int) -> None:
    entry = {"joint": "wrist", "interface": "position", "unit": "deg", "encode": "sin_cos"}
    tested = channel(JOINTS, {"wrist": entry})
    assert names(tested) == ["wrist_sin", "wrist_cos"]
    expected = [math.sin(math.radians(angle)), math.cos(math.radians(angle))]
    assert read(tested, joint_state(wrist=angle + 360.0 * turns)) == pytest.approx(expected, abs=1e-9)
    message = joint_state(wrist=0.0)
    tested.write(np.array(expected), message)
    assert math.remainder(message.position[0] - angle, 360.0) == pytest.approx(0, abs=1e-6)


def test_the_short_form_encodes_all_joints() -> None:
    tested = channel(JOINTS, joints={"names": ["a", "b"], "unit": "rad", "encode": "sin_cos", "offset": math.pi / 2})
    assert names(tested) == ["a_position_sin", "a_position_cos", "b_position_sin", "b_position_cos"]
    assert read(tested, joint_state(b=0.0, a=math.pi)) == pytest.approx([-1, 0, 1, 0], abs=1e-12)


def test_rotations_and_numbers_share_an_input() -> None:
    entries = {
        "x": {"field": "pose.position.x", "unit": "mm", "scale": 1000},
        "tool": {"field": "pose.orientation", "rotation": "yaw", "encode": "sin_cos"},
        "z": {"field": "pose.position.z", "unit": "m"},
    }
    tested = channel(entries=entries)
    tested.check(empty_message("geometry_msgs/msg/PoseStamped"))
    message = oriented(0, 0, math.sqrt(0.5), math.sqrt(0.5), position=(0.5, 0.0, 0.25))
    assert read(tested, message) == pytest.approx([500.0, 1.0, 0.0, 0.25], abs=1e-12)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"rotation": "rpy"}, "entries.tool.rotation: is 'rpy'; allowed are yaw, vector, six_d"),
        (
            {"rotation": "vector", "encode": "sin_cos"},
            "entries.tool.encode: is for an angle or `rotation: yaw`",
        ),
        (
            {"rotation": "yaw", "encode": "tan", "max_rate": 1.0},
            "entries.tool.max_rate: is for numbers that do not jump",
        ),
        ({"rotation": "yaw", "scale": 2.0}, "entries.tool.scale: is for single numbers, not for `rotation`"),
        ({"rotation": "yaw", "unit": "m"}, "entries.tool.unit: 'rad' cannot be converted to 'm'"),
        ({"rotation": "six_d", "unit": "rad"}, "entries.tool.unit: is not 1, as the numbers of a matrix"),
        (
            {"rotation": "yaw", "field": "pose.position"},
            "is 'pose.position', which is not a quaternion of a geometry_msgs",
        ),
        ({"rotation": "yaw", "field": "pose.orientation.w"}, "the quaternions are pose.orientation"),
        ({"rotation": "yaw", "field": "data[0:3]"}, "entries.tool.field: is 'data[0:3]', 3 numbers; a quaternion has"),
        ({"rotation": "yaw", "shape": [4]}, "entries.tool.rotation: is for `field`, the path of a quaternion"),
        ({"rotation": "yaw", "field": None}, "entries.tool.field: is empty"),
    ],
)
def test_a_wrong_rotation_is_named(entry: dict[str, Any], problem: str) -> None:
    assert problem in refusal(entries={"tool": {"field": "pose.orientation"} | entry})


def test_a_rotation_of_a_joint_is_refused() -> None:
    entry = {"joint": "a", "interface": "position", "rotation": "yaw"}
    assert "rotation: is for `field`, the path of a quaternion" in refusal(JOINTS, {"tool": entry})
