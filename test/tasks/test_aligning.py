"""Aligning: the box's friction, what is observed, what counts as aligned, both modes, and the demonstrator."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import DemonstrationError, TaskError
from vdd_ros.tasks import get_task
from vdd_ros.tasks.aligning.demonstrator import _look, _progress
from vdd_ros.tasks.aligning.sim import (
    BOX_Z,
    INSIDE,
    OUTSIDE,
    START,
    STIFFNESS,
    TABLE_Z,
    TIP_BELOW_TCP,
    AligningSim,
    draw_poses,
)
from vdd_ros.tasks.rollout import replay

pytest.importorskip("mujoco")

TASK = get_task("aligning")
CONTEXT = np.array([[0.5, -0.15, 0.3, 0.45, 0.3, -0.2]])
STILL = np.zeros((1, 3))
GRAVITY = 9.81


def started(contexts: np.ndarray = CONTEXT) -> AligningSim:
    sim = AligningSim(len(contexts))
    sim.reset(contexts)
    return sim


def placed(sim: AligningSim, place: tuple[float, float, float], rotation: Rotation) -> AligningSim:
    """Move the box, at rest."""
    sim._physics.positions[:, sim._box] = [*place, *np.roll(rotation.as_quat(), 1)]
    sim._physics.velocities[:] = 0
    return sim


def drive(sim: AligningSim, place: tuple[float, float, float], steps: int) -> np.ndarray:
    """Move the desired position towards a place; return the last observation."""
    seen = sim.step(STILL).observation
    for _ in range(steps):
        seen = sim.step(np.clip(np.array(place) - seen[:, :3], -1 / 120, 1 / 120)).observation
    return np.asarray(seen[0])


def test_what_is_observed_precedes_the_period() -> None:
    sim = started()
    seen = sim.step(np.array([[0.006, 0.007, -0.008]])).observation[0]
    assert seen[:6] == pytest.approx([START[0] + 0.006, START[1] + 0.007, START[2] - 0.008, *START])
    assert seen[6:9] == pytest.approx([0.5, -0.15, BOX_Z])
    assert Rotation.from_quat(np.roll(seen[9:13], -1)).as_rotvec() == pytest.approx([0, 0, 0.3])
    assert seen[13:16] == pytest.approx([0.45, 0.3, BOX_Z])
    assert Rotation.from_quat(np.roll(seen[16:20], -1)).as_rotvec() == pytest.approx([0, 0, -0.2])


def test_the_rod_keeps_its_height_and_follows_in_three_axes() -> None:
    seen = drive(started(), (0.4, -0.3, 0.3), 60)
    assert seen[3:6] == pytest.approx([0.4, -0.3, 0.3], abs=1e-4)


def test_a_sliding_box_stops_after_the_way_of_coulomb_friction() -> None:
    """v^2 / (2 mu g), with mu = 0.3 of its base."""
    sim = started(np.array([[0.5, -0.15, 0.0, 0.45, 0.3, 0.0]]))
    velocities = sim._physics.velocities[:, sim._physics.joint("box")[1]]
    velocities[0, 1] = 0.5
    for _ in range(12):
        seen = sim.step(STILL).observation[0]
    assert seen[7] + 0.15 == pytest.approx(0.5**2 / (2 * 0.3 * GRAVITY), rel=0.1)


def test_a_rod_in_the_box_pulls_it_along() -> None:
    sim = started(np.array([[0.5, -0.15, 0.0, 0.45, 0.3, 0.0]]))
    drive(sim, (0.5, -0.15, 0.25), 30)
    drive(sim, (0.5, -0.15, 0.15), 20)
    seen = drive(sim, (0.5, 0.05, 0.15), 60)
    assert seen[4] == pytest.approx(0.05 - 0.3 * 1.004 * GRAVITY / STIFFNESS, abs=1e-3), "friction holds the rod back"
    assert seen[7] == pytest.approx(seen[4] - 0.035, abs=1e-3), "its wall is 45 mm from its centre, the rod 10 mm thick"
    assert sim.modes()[0] == INSIDE


def test_the_table_stops_the_rod() -> None:
    seen = drive(started(), (0.4, -0.3, 0.0), 60)
    assert seen[5] - TIP_BELOW_TCP == pytest.approx(TABLE_Z, abs=0.01)


def test_a_rod_above_the_box_does_not_touch_it() -> None:
    sim = started()
    seen = drive(sim, (0.5, 0.1, 0.25), 70)
    assert seen[6:8] == pytest.approx([0.5, -0.15], abs=1e-4)
    assert sim.modes()[0] == OUTSIDE


@pytest.mark.parametrize(
    ("shift", "degrees", "aligned"),
    [(0.0, 0.0, True), (0.0179, 0.0, True), (0.0181, 0.0, False), (0.0, 8.6, True), (0.0, 8.7, False), (0, 180, False)],
)
def test_aligned_is_near_in_place_and_in_angle(shift: float, degrees: float, aligned: bool) -> None:
    sim = placed(started(), (0.45, 0.3 - shift, BOX_Z), Rotation.from_euler("z", -0.2 + math.radians(degrees)))
    result = sim.step(STILL)
    assert (result.success[0], result.terminated[0]) == (aligned, aligned)


def test_a_quaternion_and_its_negative_are_one_pose() -> None:
    sim = placed(started(), (0.45, 0.3, BOX_Z), Rotation.from_euler("z", -0.2))
    sim._physics.positions[:, sim._box.start + 3 : sim._box.stop] *= -1
    assert sim.step(STILL).success[0]


def test_poses_are_drawn_where_d3il_draws_them() -> None:
    drawn = draw_poses(2000, np.random.default_rng(0))
    low, high = [0.4, -0.25, -np.pi / 2, 0.4, 0.2, -np.pi / 2], [0.6, -0.1, np.pi / 2, 0.6, 0.35, np.pi / 2]
    assert drawn.min(axis=0) == pytest.approx(low, abs=0.01)
    assert drawn.max(axis=0) == pytest.approx(high, abs=0.01)


def test_progress_is_that_of_a_quasi_static_box() -> None:
    """Along a line through its centre a box does not turn; the progress is the cosine to the target."""
    context = np.array([[0.5, -0.15, 0.0, 0.5, 0.3, 0.0]])
    view = _look(started(context).step(STILL).observation[0])
    through, across = np.array([[0.0, 0.045]]), np.array([[0.0, 1.0]])
    assert _progress(view, through, across) == pytest.approx([1.0])
    assert _progress(view, through, -across) == pytest.approx([-1.0])
    beside = _progress(view, np.array([[0.03, 0.045]]), across)
    assert 0 < beside[0] < 1, "a push beside the centre also turns it"


@pytest.fixture(scope="module")
def demonstrations() -> DemonstrationSet:
    return TASK.demonstrate(24, 1, lambda: None)


def test_the_demonstrations_succeed_both_ways_when_replayed(demonstrations: DemonstrationSet) -> None:
    replayed = replay(TASK.make_sim(24), demonstrations)
    assert replayed.success.all()
    assert (replayed.modes == demonstrations.modes).all()
    assert np.bincount(demonstrations.modes).tolist() == [12, 12]
    assert demonstrations.lengths.max() < TASK.spec.max_steps


def test_the_actions_are_those_of_a_stick_and_two_buttons(demonstrations: DemonstrationSet) -> None:
    stick, lift = np.abs(demonstrations.action[:, :2]), demonstrations.action[:, 2]
    assert ((stick == 0) | ((stick >= 0.005) & (stick <= 1 / 120))).all()
    assert set(np.abs(lift).tolist()) == {0.0, 0.0075}


def test_misuse_is_refused() -> None:
    with pytest.raises(TaskError, match="none were given"):
        AligningSim(1).reset()
    with pytest.raises(TaskError, match=r"actions of shape \(1, 2\)"):
        started().step(np.zeros((1, 2)))
    with pytest.raises(DemonstrationError, match="0 demonstrations"):
        TASK.demonstrate(0, 0, lambda: None)
