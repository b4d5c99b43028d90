"""Transforms between frames, against rotations and interpolation of scipy."""

import math

import numpy as np
import pytest
from transform_messages import stamped, tell

from vdd_ros.errors import ObservationError
from vdd_ros.robot.transforms import IDENTITY, KEEP_S, Transform, TransformBuffer, between, product, rotated

spatial = pytest.importorskip("scipy.spatial.transform")
Rotation, Slerp = spatial.Rotation, spatial.Slerp
RNG = np.random.default_rng(0)


def matrix(transform: Transform) -> np.ndarray:
    """Return a transform as a 4 x 4 matrix."""
    made = np.eye(4)
    made[:3, :3] = Rotation.from_quat(transform.rotation).as_matrix()
    made[:3, 3] = transform.translation
    return made


def random_transform() -> Transform:
    x, y, z = RNG.normal(size=3).tolist()
    a, b, c, d = Rotation.random(random_state=RNG).as_quat().tolist()
    return Transform((x, y, z), (a, b, c, d))


def test_arithmetic() -> None:
    for _ in range(50):
        a, b, point = random_transform(), random_transform(), RNG.normal(size=3)
        np.testing.assert_allclose(matrix(a.after(b)), matrix(a) @ matrix(b), atol=1e-12)
        np.testing.assert_allclose(matrix(a.inverse()), np.linalg.inv(matrix(a)), atol=1e-12)
        there = matrix(a) @ [*point, 1.0]
        np.testing.assert_allclose(a.point(tuple(point.tolist())), there[:3], atol=1e-12)
        np.testing.assert_allclose(
            rotated(a.rotation, tuple(point.tolist())), Rotation.from_quat(a.rotation).apply(point), atol=1e-12
        )
        both = Rotation.from_quat(a.rotation) * Rotation.from_quat(b.rotation)
        assert Rotation.from_quat(product(a.rotation, b.rotation)).approx_equal(both, 1e-9)


def test_between_two_transforms() -> None:
    for _ in range(50):
        a, b, share = random_transform(), random_transform(), float(RNG.uniform())
        mixed = between(a, b, share)
        expected = Slerp([0, 1], Rotation.from_quat([a.rotation, b.rotation]))(share)
        assert Rotation.from_quat(mixed.rotation).approx_equal(expected, 1e-7)
        place = (1 - share) * np.array(a.translation) + share * np.array(b.translation)
        np.testing.assert_allclose(mixed.translation, place, atol=1e-12)
    small = Transform((0.0, 0.0, 0.0), (0.0, 0.0, math.sin(1e-5), math.cos(1e-5)))
    expected = Rotation.from_euler("z", 1e-5)
    assert Rotation.from_quat(between(IDENTITY, small, 0.5).rotation).approx_equal(expected, 1e-9)


def test_frames_of_a_tree_are_connected_through_their_ancestors() -> None:
    """world - base - tool - camera, and world - table: between any two of them, both ways."""
    buffer = TransformBuffer()
    parents = {"base": "world", "tool": "base", "camera": "tool", "table": "world"}
    steps = {child: random_transform() for child in parents}
    for child, parent in parents.items():
        static = child in ("camera", "table")
        tell(buffer, stamped(child, f"/{parent}" if static else parent, steps[child], 5.0), static=static)
    to_world = {"world": np.eye(4)}
    for child, parent in parents.items():
        to_world[child] = to_world[parent] @ matrix(steps[child])
    for target, own in to_world.items():
        for source, other in to_world.items():
            expected = np.linalg.inv(own) @ other
            found = buffer.lookup(target, f"/{source}", 5.0, 0.1)
            np.testing.assert_allclose(matrix(found), expected, atol=1e-9, err_msg=f"{target} {source}")


def test_a_moving_frame_is_where_it_was_at_the_time() -> None:
    buffer = TransformBuffer()
    moves = [random_transform() for _ in range(5)]
    for index in (0, 2, 1, 4, 3):  # out of order
        tell(buffer, stamped("tool", "base", moves[index], 10.0 + index))
    turns = Slerp(range(5), Rotation.from_quat([move.rotation for move in moves]))
    for time in (0.0, 0.25, 1.0, 2.5, 3.999, 4.0):
        found = buffer.lookup("base", "tool", 10.0 + time, 0.5)
        assert Rotation.from_quat(found.rotation).approx_equal(turns(time), 1e-6)
        places = np.array([move.translation for move in moves])
        expected = [np.interp(time, range(5), column) for column in places.T]
        np.testing.assert_allclose(found.translation, expected, atol=1e-9)


def test_the_newest_transform_holds_for_a_while() -> None:
    buffer = TransformBuffer()
    move = random_transform()
    tell(buffer, stamped("tool", "base", move, 10.0))
    np.testing.assert_allclose(matrix(buffer.lookup("base", "tool", 10.4, 0.5)), matrix(move), atol=1e-12)
    with pytest.raises(ObservationError, match=r"the newest transform of 'tool' is 0\.6 s older than the message"):
        buffer.lookup("base", "tool", 10.6, 0.5)
    with pytest.raises(ObservationError, match=r"the oldest transform of 'tool' is 1 s newer than the message"):
        buffer.lookup("base", "tool", 9.0, 0.5)


def test_a_static_transform_holds_at_any_time() -> None:
    buffer = TransformBuffer()
    first, second = random_transform(), random_transform()
    tell(buffer, stamped("camera", "base", first, 10.0), static=True)
    tell(buffer, stamped("camera", "base", second, 5.0), static=True)
    for time_s in (0.0, 1e9):
        np.testing.assert_allclose(matrix(buffer.lookup("base", "camera", time_s, 0.0)), matrix(second), atol=1e-12)


def test_old_transforms_are_forgotten_and_a_clock_may_be_set_back() -> None:
    buffer = TransformBuffer()
    for tick in range(3000):
        tell(
            buffer,
            stamped("tool", "base", Transform((float(tick), 0.0, 0.0), IDENTITY.rotation), 0.01 * tick),
        )
    series = buffer._frames["tool"]
    assert len(series._times) < 100 * KEEP_S + 100
    assert buffer.lookup("base", "tool", 25.0, 0.1).translation[0] == pytest.approx(2500)
    with pytest.raises(ObservationError, match="the oldest transform"):
        buffer.lookup("base", "tool", 1.0, 0.1)
    tell(buffer, stamped("tool", "base", IDENTITY, 1.0))
    assert buffer.lookup("base", "tool", 1.0, 0.1) == IDENTITY


def test_frames_that_are_not_connected_are_named() -> None:
    buffer = TransformBuffer()
    with pytest.raises(ObservationError, match=r"from 'camera' to 'base'; the frames with a transform are none; are "):
        buffer.lookup("base", "camera", 0.0, 1.0)
    tell(buffer, stamped("tool", "base", IDENTITY), stamped("camera", "mast", IDENTITY), static=True)
    with pytest.raises(ObservationError, match=r"no transform leads from 'camera' to 'base'; .* are tool, camera"):
        buffer.lookup("base", "camera", 0.0, 1.0)
    assert buffer.lookup("camera", "camera", 0.0, 1.0) == IDENTITY


def test_a_loop_is_no_tree() -> None:
    buffer = TransformBuffer()
    tell(
        buffer,
        stamped("a", "b", IDENTITY),
        stamped("b", "c", IDENTITY),
        stamped("c", "a", IDENTITY),
        static=True,
    )
    with pytest.raises(ObservationError, match=r"transforms of '\w' and its parents form a loop"):
        buffer.lookup("base", "a", 0.0, 1.0)


@pytest.mark.parametrize(
    ("child", "parent", "transform", "why"),
    [
        ("a", "a", IDENTITY, "leads from 'a' to 'a'"),
        ("", "a", IDENTITY, "leads from '' to 'a'"),
        ("a", "", IDENTITY, "leads from 'a' to ''"),
        ("a", "b", Transform((math.nan, 0.0, 0.0), IDENTITY.rotation), "transform of 'a' is not finite"),
        ("a", "b", Transform((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)), "only zeros"),
        ("a", "b", Transform((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 2.0)), "of the norm 2"),
    ],
)
def test_what_is_no_transform_is_counted(child: str, parent: str, transform: Transform, why: str) -> None:
    buffer = TransformBuffer()
    tell(
        buffer,
        stamped("tool", "base", IDENTITY),
        stamped(child, parent, transform),
        stamped("grip", "tool", IDENTITY),
    )
    assert buffer.refused == 1
    assert why in buffer.last_refusal
    assert buffer.lookup("base", "grip", 0.0, 1.0) == IDENTITY
