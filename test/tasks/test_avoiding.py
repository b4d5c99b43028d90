"""Avoiding against D3IL's facts: phases, lag, contact, success, and the coding of the routes."""

import math
from itertools import product

import numpy as np
import pytest

from vdd_ros.errors import TaskError
from vdd_ros.tasks import get_task, task_names
from vdd_ros.tasks.avoiding import sim as avoiding
from vdd_ros.tasks.avoiding.sim import (
    CYLINDERS,
    GOAL_Y,
    LAG_S,
    ROD_RADIUS,
    START,
    SUBSTEP_S,
    SUBSTEPS,
    AvoidingSim,
    mode_of,
)
from vdd_ros.tasks.base import Floats, Ints, StepResult

DECAY = math.exp(-SUBSTEPS * SUBSTEP_S / LAG_S)
ROW_1 = (0.45, 0.55)
ROW_2 = (0.36, 0.5, 0.64)
ROW_3 = (0.28, 0.425, 0.575, 0.72)


class Rod:
    """Puts the rod of one episode where it should be at each control instant, by inverting the lag."""

    def __init__(self, sim: AvoidingSim) -> None:
        self.sim = sim
        self.desired = self.tcp = np.array(START)

    def step(self, x: float, y: float) -> StepResult:
        """Command what brings the rod to (x, y) at the end of the period; the result judges where it was before."""
        target = np.array([x, y])
        desired = (target - DECAY * self.tcp) / (1 - DECAY)
        result = self.sim.step((desired - self.desired)[None])
        self.desired, self.tcp = desired, target
        return result

    def visit(self, *points: tuple[float, float]) -> StepResult:
        """Go from point to point, one a period, and judge the last one too."""
        for point in points:
            self.step(*point)
        return self.step(*self.tcp)


@pytest.fixture
def rod() -> Rod:
    return Rod(AvoidingSim(1))


def test_the_task_is_as_in_d3il() -> None:
    spec = get_task("avoiding").spec
    assert [entry.name for entry in spec.observation] == ["desired_x", "desired_y", "tcp_x", "tcp_y"]
    assert [entry.name for entry in spec.action] == ["delta_desired_x", "delta_desired_y"]
    assert {entry.unit for entry in (*spec.observation, *spec.action)} == {"m"}
    assert spec.rate_hz == pytest.approx(28.5714, abs=1e-4)
    assert (spec.max_steps, spec.modes) == (250, 24)
    assert (START, GOAL_Y, ROD_RADIUS) == ((0.525, -0.28), 0.35, 0.01)
    assert sorted(map(tuple, CYLINDERS.tolist())) == [
        (0.35, 0.26, 0.025),
        (0.425, 0.08, 0.025),
        (0.5, -0.1, 0.03),
        (0.5, 0.26, 0.025),
        (0.575, 0.08, 0.025),
        (0.65, 0.26, 0.025),
    ]


def test_the_lag_is_damping_over_stiffness_of_d3ils_controller() -> None:
    assert pytest.approx(10 / 120) == LAG_S


def test_an_observation_holds_the_new_set_point_and_the_rod_before_it_moved() -> None:
    sim = AvoidingSim(1)
    assert sim.reset() == pytest.approx(np.array([[*START, *START]]))
    first = sim.step(np.array([[0.006, 0.008]])).observation[0]
    assert first == pytest.approx([0.531, -0.272, *START])
    second = sim.step(np.array([[0.0, 0.0]])).observation[0]
    assert second[:2] == pytest.approx([0.531, -0.272])
    assert second[2:] == pytest.approx([0.531 - 0.006 * DECAY, -0.272 - 0.008 * DECAY])


def test_the_rod_follows_in_35_substeps_of_a_first_order_lag() -> None:
    sim, random = AvoidingSim(1), np.random.default_rng(0)
    desired = tcp = np.array(START)
    for _ in range(20):
        action = random.uniform(-0.004, 0.004, 2)
        observation = sim.step(action[None]).observation[0]
        assert observation[2:] == pytest.approx(tcp, abs=1e-12)
        desired = desired + action
        for _ in range(35):
            tcp = desired + (tcp - desired) * math.exp(-0.001 * 120 / 10)


def test_after_a_step_of_the_set_point_the_distance_left_is_exponential_in_time() -> None:
    sim = AvoidingSim(1)
    sim.step(np.array([[0.03, 0.0]]))
    for period in range(1, 10):
        tcp_x = sim.step(np.zeros((1, 2))).observation[0, 2]
        assert START[0] + 0.03 - tcp_x == pytest.approx(0.03 * math.exp(-0.035 * period / LAG_S))


def test_set_points_are_not_clipped() -> None:
    observation = AvoidingSim(1).step(np.array([[5.0, -7.0]])).observation[0]
    assert observation[:2] == pytest.approx([5.525, -7.28])


def test_an_episode_ends_after_250_steps() -> None:
    sim = AvoidingSim(1)
    for _ in range(249):
        result = sim.step(np.zeros((1, 2)))
        assert not (result.terminated[0] or result.truncated[0])
    result = sim.step(np.zeros((1, 2)))
    assert result.truncated[0]
    assert not (result.terminated[0] or result.success[0])


def test_success_in_the_last_step_is_no_time_limit(rod: Rod) -> None:
    for _ in range(248):
        rod.step(*START)
    rod.step(0.2, 0.36)
    result = rod.step(0.2, 0.36)
    assert result.success[0] and result.terminated[0] and not result.truncated[0]


@pytest.mark.parametrize("cylinder", CYLINDERS.tolist())
@pytest.mark.parametrize("angle", [0.0, 1.0, 2.5, 4.0])
def test_contact_is_where_rod_and_cylinder_overlap(cylinder: list[float], angle: float) -> None:
    x, y, radius = cylinder
    for reach, touches in ((radius + 0.01 + 1e-6, False), (radius + 0.01 - 1e-6, True)):
        result = Rod(AvoidingSim(1)).visit((x + reach * math.cos(angle), y + reach * math.sin(angle)))
        assert bool(result.terminated[0]) is touches
        assert not result.success[0]


def test_contact_between_control_instants_is_not_seen(rod: Rod) -> None:
    result = rod.visit((0.5, -0.16), (0.5, -0.04))  # straight through the first cylinder within one period
    assert not result.terminated[0]


def test_the_goal_counts_from_beyond_its_line(rod: Rod) -> None:
    assert not rod.visit((0.2, GOAL_Y - 1e-6)).terminated[0]
    result = rod.visit((0.2, GOAL_Y + 1e-6))
    assert result.terminated[0] and result.success[0]


def test_an_episode_that_ends_runs_one_more_period_in_which_it_can_still_succeed(rod: Rod) -> None:
    rod.step(0.5, 0.24)  # touches a cylinder of the third row
    result = rod.step(0.5, 0.36)  # judges the contact, and carries the rod over the goal line
    assert result.terminated[0] and result.success[0]


def test_contact_without_reaching_the_goal_is_a_failure(rod: Rod) -> None:
    rod.step(0.5, 0.24)
    result = rod.step(0.5, 0.34)
    assert result.terminated[0] and not result.success[0]


def test_an_ended_episode_is_frozen(rod: Rod) -> None:
    ended = rod.visit((0.2, 0.36))
    mode = rod.sim.modes()
    for _ in range(300):
        result = rod.sim.step(np.full((1, 2), 0.1))
    assert (result.observation == ended.observation).all()
    assert result.success[0] and result.terminated[0] and not result.truncated[0]
    assert (rod.sim.modes() == mode).all()


def test_episodes_side_by_side_do_not_touch_each_other() -> None:
    count, steps = 32, 120
    actions = np.random.default_rng(1).normal((0, 0.005), 0.008, (steps, count, 2))
    together, alone = AvoidingSim(count), [AvoidingSim(1) for _ in range(count)]
    for action in actions:
        result = together.step(action)
        single = [sim.step(row[None]) for sim, row in zip(alone, action, strict=True)]
        for name in ("observation", "terminated", "truncated", "success"):
            assert (getattr(result, name) == np.concatenate([getattr(one, name) for one in single])).all()
    assert (together.modes() == np.concatenate([sim.modes() for sim in alone])).all()
    assert result.terminated.any() and not result.terminated.all()


def test_a_reset_of_some_leaves_the_others_alone() -> None:
    sim = AvoidingSim(3)
    for _ in range(249):
        before = sim.step(np.full((3, 2), 1e-4))
    observation = sim.reset(which=np.array([False, True, False]))
    assert observation[1] == pytest.approx([*START, *START])
    assert (observation[[0, 2]] == before.observation[[0, 2]]).all()
    assert sim.step(np.zeros((3, 2))).truncated.tolist() == [True, False, True]


def test_every_episode_starts_alike_and_takes_no_context() -> None:
    sim, contexts = AvoidingSim(2), get_task("avoiding").draw_contexts(2, 3)
    assert contexts.shape == (2, 0)
    assert (sim.reset(contexts) == sim.reset()).all()
    with pytest.raises(TaskError, match=r"shape \(2, 1\) were given; 2 episodes of 'avoiding' take \(2, 0\)"):
        sim.reset(np.zeros((2, 1)))


@pytest.mark.parametrize("route", range(24))
def test_each_of_the_24_routes_has_its_number(rod: Rod, route: int) -> None:
    row_1, row_2, row_3 = route // 12, route % 12 // 4, route % 4
    result = rod.visit((ROW_1[row_1], -0.1), (ROW_2[row_2], 0.08), (ROW_3[row_3], 0.27), (ROW_3[row_3], 0.36))
    assert result.success[0]
    assert rod.sim.modes()[0] == route


def test_codes_are_distinct_and_those_of_incomplete_routes_begin_at_24() -> None:
    gaps: Ints = np.array(list(product((-1, 0, 1), (-1, 0, 1, 2), (-1, 0, 1, 2, 3))))
    codes = mode_of(gaps)
    assert len(set(codes.tolist())) == 3 * 4 * 5
    complete = (gaps >= 0).all(axis=1)
    assert sorted(codes[complete]) == list(range(24))
    assert codes[~complete].min() >= 24


def seen(points: Floats) -> tuple[int, ...]:
    """Return the gaps that a path gives, by finding the only triple with its code."""
    rod = Rod(AvoidingSim(1))
    rod.visit(*map(tuple, points.tolist()))
    triples = list(product((-1, 0, 1), (-1, 0, 1, 2), (-1, 0, 1, 2, 3)))
    return next(triple for triple in triples if mode_of(np.array([triple]))[0] == rod.sim.modes()[0])


@pytest.mark.parametrize(
    ("points", "gaps"),
    [
        ([], (-1, -1, -1)),
        ([(0.45, -0.131)], (-1, -1, -1)),  # just before the band of the first row
        ([(0.45, -0.129)], (0, -1, -1)),
        ([(0.55, -0.071)], (1, -1, -1)),
        ([(0.45, -0.14), (0.45, -0.06)], (-1, -1, -1)),  # a jump over the band
        ([(0.45, -0.12), (0.55, -0.12)], (0, -1, -1)),  # the first time counts
        ([(0.36, 0.051)], (-1, 0, -1)),
        ([(0.5, 0.109)], (-1, 1, -1)),
        ([(0.64, 0.051)], (-1, 2, -1)),
        ([(0.28, 0.259)], (-1, -1, -1)),
        ([(0.28, 0.261)], (-1, -1, 0)),
        ([(0.72, 0.34)], (-1, -1, 3)),  # the third row has no far end
    ],
)
def test_a_row_is_seen_in_its_band_only(points: list[tuple[float, float]], gaps: tuple[int, ...]) -> None:
    assert seen(np.array(points).reshape(-1, 2)) == gaps


def test_exactly_on_a_divider_a_row_stays_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avoiding, "START", (0.35, 0.31))
    sim = AvoidingSim(1)
    sim.step(np.array([[1e-3, 0.0]]))
    assert sim.modes() == mode_of(np.array([[-1, -1, -1]]))
    sim.step(np.zeros((1, 2)))
    assert sim.modes() == mode_of(np.array([[-1, -1, 1]]))


def test_an_unknown_task_is_refused_with_the_known_ones() -> None:
    with pytest.raises(TaskError, match="did you mean 'avoiding'"):
        get_task("avoding")
    assert "avoiding" in task_names()


@pytest.mark.parametrize("count", [0, -1])
def test_a_simulation_of_no_episode_is_refused(count: int) -> None:
    with pytest.raises(TaskError, match=f"of {count} episodes"):
        AvoidingSim(count)


@pytest.mark.parametrize("shape", [(2,), (2, 3), (3, 2), (2, 1, 2)])
def test_actions_of_a_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TaskError, match=r"takes \(2, 2\)"):
        AvoidingSim(2).step(np.zeros(shape))
