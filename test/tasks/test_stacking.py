"""Stacking: the arm's kinematics and lag, the gripper, what counts as stacked, orders, milestones, the demonstrator."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import DemonstrationError, TaskError
from vdd_ros.evaluation.rollouts import score_seeds
from vdd_ros.robot import entries
from vdd_ros.tasks import get_task
from vdd_ros.tasks.rollout import replay
from vdd_ros.tasks.stacking.kinematics import Kinematics
from vdd_ros.tasks.stacking.sim import (
    BOXES,
    HALF,
    HOME,
    ORDERS,
    TABLE_Z,
    TAN_LIMIT,
    TARGET,
    StackingSim,
    draw_boxes,
    sequence_of,
)

pytest.importorskip("mujoco")


TASK = get_task("stacking")
CONTEXT = np.array([[0.4, -0.2, 0.1, 0.4, -0.05, 0.0, 0.58, -0.1, 0.2]])
STILL = np.array([[0.0] * 7 + [0.08]])
ASIDE = ((0.3, -0.3), (0.3, 0.3), (0.7, -0.3))
LOW = TABLE_Z + HALF


def started(contexts: np.ndarray = CONTEXT) -> StackingSim:
    sim = StackingSim(len(contexts))
    sim.reset(contexts)
    return sim


def placed(sim: StackingSim, **places: tuple[float, float, float]) -> StackingSim:
    """Move boxes, at rest; the others aside."""
    for box, columns, aside in zip(BOXES, sim._boxes, ASIDE, strict=True):
        sim._physics.positions[:, columns] = [*places.get(box, (*aside, LOW)), 1, 0, 0, 0]
    sim._physics.velocities[:] = 0
    return sim


def forward(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return place and rotation of the tool, by Franka's own table of Denavit and Hartenberg (Craig's convention)."""
    table = [(0, 0.333, 0), (0, 0, -90), (0, 0.316, 90), (0.0825, 0, 90), (-0.0825, 0.384, -90), (0, 0, 90)]
    found = np.eye(4)
    for (a, d, alpha), theta in zip([*table, (0.088, 0, 90)], joints, strict=True):
        step = np.eye(4)
        tilt = Rotation.from_euler("x", alpha, degrees=True)
        step[:3, :3] = (tilt * Rotation.from_rotvec([0, 0, theta])).as_matrix()
        step[:3, 3] = [a, *(tilt.as_matrix() @ [0, 0, d])[1:]]
        found = found @ step
    hand = Rotation.from_rotvec([0, 0, -math.pi / 4]).as_matrix()
    return found[:3, 3] + found[:3, 2] * (0.107 + 0.105), found[:3, :3] @ hand


@pytest.fixture(scope="module")
def kinematics() -> Kinematics:
    return Kinematics()


def test_the_tool_is_where_frankas_table_puts_it(kinematics: Kinematics) -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        joints = HOME + random.uniform(-0.5, 0.5, 7)
        place, yaw = kinematics.pose(joints)
        expected, rotation = forward(joints)
        assert place == pytest.approx(expected, abs=1e-6)
        assert yaw == pytest.approx(math.atan2(rotation[1, 0], rotation[0, 0]), abs=1e-6)


def test_it_starts_where_d3il_starts(kinematics: Kinematics) -> None:
    place, yaw = kinematics.pose(HOME)
    assert place == pytest.approx([0.525, 0.0, 0.3], abs=1e-4)
    assert yaw == pytest.approx(0.0, abs=1e-4)


def test_the_inverse_leads_where_it_should(kinematics: Kinematics) -> None:
    place, yaw = np.array([0.45, -0.1, 0.1]), 0.4
    joints = HOME
    for _ in range(20):
        joints = kinematics.solve(joints, place, yaw, HOME)
    found, turned = kinematics.pose(joints)
    assert found == pytest.approx(place, abs=1e-4)
    assert turned == pytest.approx(yaw, abs=1e-3)
    _, rotation = forward(joints)
    assert rotation[:, 2] == pytest.approx([0, 0, -1], abs=1e-3)


def test_joints_trail_their_set_points_by_damping_over_stiffness() -> None:
    """By 10/120 s, and half a period more, since a set point is held for a period."""
    sim, speed = started(), 0.01
    for _ in range(40):
        result = sim.step(np.array([[speed] + [0.0] * 6 + [0.08]]))
    desired = result.observation[0, 0]
    measured = sim._physics.positions[0, sim._joints[0]]
    behind = (desired - measured) / (speed * TASK.spec.rate_hz)
    assert behind == pytest.approx(10 / 120 - 0.015, rel=0.1), "after the period"


def test_what_is_observed_precedes_the_period() -> None:
    sim = started()
    first = sim.step(np.array([[0.01] + [0.0] * 6 + [0.0]])).observation[0]
    assert first[:8] == pytest.approx([0.01, *HOME[1:], 0.08])
    assert first[8:12] == pytest.approx([0.4, -0.2, LOW, math.tan(0.1)], abs=1e-3)
    second = sim.step(STILL).observation[0]
    assert second[7] < 0.08, "the fingers began to close"


@pytest.mark.parametrize(("width", "opens"), [(0.076, True), (0.075, False), (0.0, False)])
def test_a_width_opens_or_closes_the_gripper(width: float, opens: bool) -> None:
    sim = started()
    for _ in range(20):
        seen = sim.step(np.array([[0.0] * 7 + [width]])).observation[0]
    assert seen[7] == pytest.approx(0.08 if opens else 0.0, abs=2e-3)


def test_a_stack_at_the_target_is_a_success() -> None:
    x, y = TARGET
    sim = placed(started(), red=(x, y, LOW), green=(x, y + 0.01, LOW + 0.06), blue=(x, y, LOW + 0.12))
    assert sim.step(STILL).success[0]


@pytest.mark.parametrize(
    "places",
    [
        {"red": (0.0, 0.0, 0.0), "green": (0.0, 0.0, 0.06), "blue": (0.065, 0.0, 0.12)},
        {"red": (0.0, 0.055, 0.0), "green": (0.0, -0.055, 0.0), "blue": (0.0, 0.0, 0.06)},
        {"red": (0.0, 0.0, 0.0), "green": (0.0, 0.0, 0.06), "blue": (0.0, 0.0, 0.2)},
    ],
    ids=["beside the target", "not on each other", "in the air"],
)
def test_boxes_that_are_no_stack_are_no_success(places: dict[str, tuple[float, float, float]]) -> None:
    moved = {box: (TARGET[0] + x, TARGET[1] + y, LOW + z) for box, (x, y, z) in places.items()}
    assert not placed(started(), **moved).step(STILL).success[0]


@pytest.mark.parametrize("code", range(6))
def test_the_mode_is_the_order_in_which_boxes_come_to_the_target(code: int) -> None:
    sim, there = started(), {}
    for level, box in enumerate(ORDERS[code]):
        there[BOXES[box]] = (*TARGET, LOW + 2 * HALF * level)
        result = placed(sim, **there).step(STILL)
        assert result.partial is not None
        assert result.partial[0] == pytest.approx((level + 1) / 3)
        assert sequence_of(int(sim.modes()[0])) == ORDERS[code][: level + 1]
    assert sim.modes()[0] == code


def test_a_box_that_was_carried_over_the_target_counts() -> None:
    """As in D3IL: there is no condition on height or rest."""
    sim = started()
    placed(sim, blue=(*TARGET, 0.3)).step(STILL)
    placed(sim).step(STILL)
    assert sequence_of(int(sim.modes()[0])) == (2,)


def test_no_box_at_the_target_is_no_mode_of_the_task() -> None:
    sim = started()
    sim.step(STILL)
    assert sequence_of(int(sim.modes()[0])) == ()
    assert sim.modes()[0] >= TASK.spec.modes


def test_milestones_are_the_first_boxes() -> None:
    codes = np.array([0, 5, *range(6, 16)])
    one, two = (milestone.judge(codes) for milestone in TASK.milestones)
    assert one[0].tolist() == [True] * 11 + [False]
    assert one[1][:2].tolist() == [0, 2]
    assert two[0].tolist() == [True] * 8 + [False] * 4
    assert [int(mode) for mode in two[1][two[0]]] == [0, 5, 0, 1, 2, 3, 4, 5]


def test_the_tangent_is_limited_as_robot_files_limit_it() -> None:
    assert TAN_LIMIT == entries.TAN_LIMIT


def test_boxes_start_where_d3il_lets_them_and_apart() -> None:
    drawn = draw_boxes(2000, np.random.default_rng(0)).reshape(-1, 3, 3)
    assert drawn[:, :, :2].min(axis=0) == pytest.approx(np.array([(0.35, -0.25), (0.35, -0.1), (0.55, -0.2)]), abs=0.01)
    assert drawn[:, :, :2].max(axis=0) == pytest.approx(np.array([(0.45, -0.15), (0.45, 0.0), (0.6, 0.0)]), abs=0.01)
    assert np.linalg.norm(drawn[:, 0, :2] - drawn[:, 1, :2], axis=1).min() >= 2 * HALF * math.sqrt(2)


@pytest.fixture(scope="module")
def demonstrations() -> DemonstrationSet:
    return TASK.demonstrate(12, 1, lambda: None)


def test_the_demonstrations_succeed_in_each_order_when_replayed(demonstrations: DemonstrationSet) -> None:
    replayed = replay(TASK.make_sim(12), demonstrations)
    assert replayed.success.all()
    assert (replayed.modes == demonstrations.modes).all()
    assert np.bincount(demonstrations.modes).tolist() == [2] * 6
    assert demonstrations.lengths.max() < TASK.spec.max_steps
    milestones = score_seeds(TASK, {0: replayed}).pooled.milestones
    assert [score.success_rate for score in milestones.values()] == [1.0, 1.0]


def test_the_last_box_is_let_go(demonstrations: DemonstrationSet) -> None:
    for pairs in demonstrations.episodes():
        seen, action = demonstrations.observation[pairs][-1], demonstrations.action[pairs][-1]
        assert action[7] == 0.08
        assert seen[7] > 0.062, "the fingers leave the box, which is 60 mm wide"
        assert max(seen[[10, 14, 18]]) < LOW + 2 * (2 * HALF + 0.01), "each lies on another one"


def test_a_stack_that_is_held_is_no_success() -> None:
    x, y = TARGET
    sim = started()
    for _ in range(10):
        sim.step(np.array([[0.0] * 7 + [0.0]]))
    held = placed(sim, red=(x, y, LOW), green=(x, y, LOW + 0.06), blue=(x, y, LOW + 0.12))
    assert not held.step(np.array([[0.0] * 7 + [0.0]])).success[0]


def test_the_gripper_is_open_or_closed(demonstrations: DemonstrationSet) -> None:
    assert set(demonstrations.action[:, 7].tolist()) == {0.0, 0.08}


def test_misuse_is_refused() -> None:
    with pytest.raises(TaskError, match="none were given"):
        StackingSim(1).reset()
    with pytest.raises(TaskError, match=r"actions of shape \(1, 2\)"):
        started().step(np.zeros((1, 2)))
    with pytest.raises(DemonstrationError, match="0 demonstrations"):
        TASK.demonstrate(0, 0, lambda: None)


def test_a_context_in_which_the_hand_always_fails_is_replaced() -> None:
    """That of number 9 of seed 0, which is still made in its order."""
    made = TASK.demonstrate_part(range(9, 10), 0, lambda: None) if TASK.demonstrate_part else None
    assert made is not None
    first = draw_boxes(1, np.random.default_rng([0, 9]))
    assert not np.array_equal(made.contexts, first)
    assert made.modes.tolist() == [3]
