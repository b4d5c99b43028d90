"""Pushing: the rod's lag, the cubes' friction, what is observed, what counts as reached, and the modes."""

import numpy as np
import pytest

from vdd_ros.errors import TaskError
from vdd_ros.robot import entries
from vdd_ros.tasks import get_task
from vdd_ros.tasks.pushing.sim import (
    HALF,
    NO_MODE,
    START,
    TABLE_Z,
    TAN_LIMIT,
    TARGETS,
    PushingSim,
    draw_cubes,
)

pytest.importorskip("mujoco")

TASK = get_task("pushing")
APART = np.array([[0.43, -0.1, 0.2, 0.62, -0.1, -0.4]])
STILL = np.zeros((1, 2))
GRAVITY = 9.81


def placed(sim: PushingSim, red: tuple[float, float], green: tuple[float, float]) -> PushingSim:
    """Move both cubes, at rest."""
    for columns, place in zip(sim._cubes, (red, green), strict=True):
        sim._physics.positions[:, columns] = [*place, TABLE_Z + HALF, 1, 0, 0, 0]
    sim._physics.velocities[:] = 0
    return sim


def started(contexts: np.ndarray = APART) -> PushingSim:
    sim = PushingSim(len(contexts))
    sim.reset(contexts)
    return sim


def test_the_rod_trails_its_desired_position_by_damping_over_stiffness() -> None:
    """By 10/120 s, as in Avoiding, and half a period more, since the position is held for a period each."""
    sim, speed = started(), 0.005
    for _ in range(60):
        result = sim.step(np.array([[speed, 0.0]]))
    desired, seen = result.observation[0, 0], result.observation[0, 2]
    period = 1 / TASK.spec.rate_hz
    behind = (desired - seen) / (speed / period)
    assert behind == pytest.approx(10 / 120 + period / 2, rel=0.03)


def test_what_is_observed_precedes_the_period() -> None:
    sim = started()
    first = sim.step(np.array([[0.006, 0.007]])).observation[0]
    assert first[:4] == pytest.approx([START[0] + 0.006, START[1] + 0.007, *START])
    second = sim.step(STILL).observation[0]
    assert second[:2] == pytest.approx(first[:2])
    assert START[0] < second[2] < first[0]
    assert first[4:] == pytest.approx([0.43, -0.1, np.tan(0.2), 0.62, -0.1, np.tan(-0.4)])


def test_a_sliding_cube_stops_after_the_way_of_coulomb_friction() -> None:
    """v^2 / (2 mu g), with mu = 1."""
    sim = started(np.array([[0.43, -0.1, 0.0, 0.62, -0.1, 0.0]]))
    sim._physics.velocities[0, sim._physics.joint("red")[1]][0] = 0.0
    velocities = sim._physics.velocities[:, sim._physics.joint("red")[1]]
    velocities[0, 1] = 0.8
    for _ in range(10):
        seen = sim.step(STILL).observation[0]
    assert seen[5] - -0.1 == pytest.approx(0.8**2 / (2 * GRAVITY), rel=0.1)
    assert seen[7:9] == pytest.approx([0.62, -0.1], abs=1e-4)


def test_cubes_rest_on_the_table_until_the_rod_pushes_one() -> None:
    contexts = np.array([[START[0] - 0.05, -0.1, 0.0, START[0] + 0.1, 0.1, 0.3]])
    contexts[0, 0] = START[0]
    sim = started(contexts)
    for _ in range(30):
        before = sim.step(np.array([[0.0, 0.0]])).observation[0]
    assert before[4:6] == pytest.approx(contexts[0, :2], abs=1e-4)
    for _ in range(36):
        after = sim.step(np.array([[0.0, 0.007]])).observation[0]
    assert after[5] == pytest.approx(after[3] + 0.01 + HALF, abs=2e-3)
    assert after[5] > before[5] + 0.05
    assert after[7:9] == pytest.approx(before[7:9], abs=1e-4)


def test_a_quarter_turn_of_a_cube_changes_nothing_but_its_yaw() -> None:
    turned = np.array([[0.525, -0.1, 0.3, 0.64, 0.1, 0.0], [0.525, -0.1, 0.3 - np.pi / 2, 0.64, 0.1, 0.0]])
    sim = started(turned)
    for _ in range(40):
        seen = sim.step(np.tile([[0.0, 0.007]], (2, 1))).observation
    assert seen[0, 4:6] == pytest.approx(seen[1, 4:6], abs=1e-3)


def test_a_tangent_is_limited() -> None:
    sim = PushingSim(1)
    seen = sim.reset(np.array([[0.43, -0.1, np.pi / 2, 0.62, -0.1, -1.56]]))[0]
    assert abs(seen[6]) == 10
    assert seen[9] == -10


@pytest.mark.parametrize(("offset", "reached"), [(0.0, True), (0.0485, True), (0.0491, False)])
def test_the_distance_to_a_target_is_in_space(offset: float, reached: bool) -> None:
    """A cube's centre is 11 mm above the targets, so 5 cm are 48.8 mm on the table."""
    (red_x, red_y), green = TARGETS
    sim = placed(started(), (red_x - offset, red_y), tuple(green))
    result = sim.step(STILL)
    assert (result.success[0], result.terminated[0]) == (reached, reached)
    assert result.partial is not None
    assert result.partial[0] == (1.0 if reached else 0.5)


@pytest.mark.parametrize(
    ("first", "mode"), [((0, None), 0), ((None, 1), 1), ((1, None), 2), ((None, 0), 3)], ids=["rr", "gg", "rg", "gr"]
)
def test_the_mode_is_the_order_and_the_assignment(first: tuple[int | None, int | None], mode: int) -> None:
    aside = ((0.3, 0.0), (0.7, 0.0))
    sim = started()
    places = [aside[cube] if target is None else tuple(TARGETS[target]) for cube, target in enumerate(first)]
    half = placed(sim, *places).step(STILL)
    assert half.partial is not None
    assert (half.success[0], half.partial[0], sim.modes()[0]) == (False, 0.5, NO_MODE)
    red, green = (0, 1) if mode < 2 else (1, 0)
    assert placed(sim, tuple(TARGETS[red]), tuple(TARGETS[green])).step(STILL).success[0]
    assert sim.modes()[0] == mode


def test_a_visit_to_the_other_assignment_leaves_a_success_without_mode() -> None:
    sim = started()
    placed(sim, tuple(TARGETS[1]), (0.7, 0.0)).step(STILL)
    assert placed(sim, tuple(TARGETS[0]), tuple(TARGETS[1])).step(STILL).success[0]
    assert sim.modes()[0] == NO_MODE


def test_both_cubes_at_one_target_are_no_success() -> None:
    x, y = TARGETS[0]
    sim = placed(started(), (x - 0.031, y), (x + 0.031, y))
    assert not sim.step(STILL).success[0]


def test_an_episode_ends_at_its_limit() -> None:
    sim = started()
    for step in range(TASK.spec.max_steps):
        result = sim.step(STILL)
        assert bool(result.truncated[0]) == (step == TASK.spec.max_steps - 1)


def test_cubes_start_where_d3il_lets_them_and_apart() -> None:
    drawn = draw_cubes(2000, np.random.default_rng(0))
    low, high = drawn.min(axis=0), drawn.max(axis=0)
    assert low == pytest.approx([0.4, -0.15, -np.pi / 2, 0.55, -0.15, -np.pi / 2], abs=0.01)
    assert high == pytest.approx([0.5, 0.0, np.pi / 2, 0.65, 0.0, np.pi / 2], abs=0.01)
    assert np.hypot(*(drawn[:, :2] - drawn[:, 3:5]).T).min() >= 2 * HALF * np.sqrt(2)


def test_partial_success_stays_when_an_episode_has_ended() -> None:
    """Even if a cube slides on in the last period."""
    sim = placed(started(), (TARGETS[0][0] + 0.045, TARGETS[0][1]), tuple(TARGETS[1]))
    sim._physics.velocities[:, sim._physics.joint("red")[1]][0] = (0.6, 0, 0, 0, 0, 0)
    first = sim.step(STILL)
    again = sim.step(STILL)
    assert first.partial is not None and again.partial is not None
    assert (first.success[0], first.partial[0], again.partial[0]) == (True, 1.0, 1.0)


def test_the_tangent_is_limited_as_robot_files_limit_it() -> None:
    assert TAN_LIMIT == entries.TAN_LIMIT


def test_misuse_is_refused() -> None:
    with pytest.raises(TaskError, match="at least 1"):
        PushingSim(0)
    with pytest.raises(TaskError, match="none were given"):
        PushingSim(1).reset()
    with pytest.raises(TaskError, match=r"actions of shape \(1, 3\)"):
        started().step(np.zeros((1, 3)))
    with pytest.raises(TaskError, match=r"episode 0 is .*takes finite numbers"):
        started().step(np.array([[np.nan, 0.0]]))
