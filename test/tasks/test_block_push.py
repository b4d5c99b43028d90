"""Block Push: the tool's lag and workspace, rewards, modes, contexts, and the published oracle."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vdd_ros.data.formats import block_push as published
from vdd_ros.errors import TaskError
from vdd_ros.tasks import get_task
from vdd_ros.tasks.block_push import demonstrator
from vdd_ros.tasks.block_push.demonstrator import SLIPS, STRAY_M, STRAY_STEPS, STRAYS, ErringHand, Oracle
from vdd_ros.tasks.block_push.sim import (
    BOTH,
    FIRST,
    HALF,
    NO_MODE,
    START,
    WORKSPACE,
    BlockPushSim,
    draw_contexts,
    goal_share,
)
from vdd_ros.tasks.rollout import replay, roll_out

pytest.importorskip("mujoco")

TASK = get_task("block_push")
TARGETS = ((0.28, 0.2), (0.52, 0.2))
CONTEXT = np.array([[0.35, -0.2, 1.2, 0.47, -0.2, 2.0, *TARGETS[0], *TARGETS[1]]])
STILL = np.zeros((1, 2))
ASIDE = ((0.3, 0.4), (0.5, 0.4))


def started(contexts: np.ndarray = CONTEXT) -> BlockPushSim:
    sim = BlockPushSim(len(contexts))
    sim.reset(contexts)
    return sim


def placed(sim: BlockPushSim, *places: tuple[float, float]) -> BlockPushSim:
    """Move both blocks, at rest."""
    for columns, place in zip(sim._blocks, places, strict=True):
        sim._physics.positions[:, columns] = [*place, HALF, 1, 0, 0, 0]
    sim._physics.velocities[:] = 0
    return sim


def test_the_entries_are_those_of_the_published_arrays() -> None:
    seen = [name for name, _ in published._SEEN]
    assert [entry.name for entry in TASK.spec.observation] == seen
    assert [(entry.name, entry.unit) for entry in TASK.spec.action] == list(published._ACTION)
    assert TASK.spec.rate_hz == published.RATE_HZ


def test_the_tool_follows_its_target_within_the_period_and_no_further_than_the_workspace() -> None:
    """By exp(-0.1 s / 30 ms), 4 %, a step is not finished after a period."""
    sim = started()
    seen = sim.step(np.array([[0.0, -0.03]])).observation[0]
    assert seen[8:] == pytest.approx([0.3, -0.43])
    assert seen[7] - START[1] == pytest.approx(-0.03 * (1 - math.exp(-0.1 / 0.03)), rel=0.03)
    for _ in range(4):
        seen = sim.step(np.array([[-1.0, -1.0]])).observation[0]
    assert seen[8:].tolist() == [0.15, -0.5]
    assert seen[6:8] == pytest.approx([0.15, -0.5], abs=1e-4)


def test_a_block_that_is_pushed_moves_and_the_other_rests() -> None:
    """The tool moves in jerks, which throw a light block ahead, but it does not enter the block."""
    sim = started(np.array([[0.3, -0.3, np.pi / 2, 0.45, -0.2, np.pi / 2, *TARGETS[0], *TARGETS[1]]]))
    for _ in range(6):
        seen = sim.step(np.array([[0.0, 0.03]])).observation[0]
        assert seen[1] > seen[7] + HALF - 3e-3
    assert seen[1] > -0.24
    assert seen[3:5] == pytest.approx([0.45, -0.2], abs=1e-3)


def test_rewards_are_given_once_for_each_pair_and_at_the_end() -> None:
    sim = placed(started(), TARGETS[0], ASIDE[1])
    first = sim.step(STILL)
    assert first.reward is not None and first.partial is not None
    assert (first.reward[0], first.partial[0], first.success[0]) == (FIRST, 0.5, False)
    again = sim.step(STILL)
    assert again.reward is not None
    assert again.reward[0] == 0
    end = placed(sim, *TARGETS).step(STILL)
    assert end.reward is not None and end.partial is not None
    assert (end.reward[0], end.partial[0], end.terminated[0]) == (BOTH, 1.0, True)


@pytest.mark.parametrize(("first", "second", "mode"), [((0, 0), (1, 1), 0), ((0, 1), (1, 0), 1), ((1, 0), (0, 1), 2)])
def test_the_mode_is_the_first_block_and_its_target(first: tuple[int, int], second: tuple[int, int], mode: int) -> None:
    sim, places = started(), list(ASIDE)
    places[first[0]] = TARGETS[first[1]]
    placed(sim, *places).step(STILL)
    assert sim.modes()[0] == NO_MODE
    places[second[0]] = TARGETS[second[1]]
    assert placed(sim, *places).step(STILL).success[0]
    assert sim.modes()[0] == mode


def test_a_visit_to_the_other_target_leaves_a_success_without_mode() -> None:
    sim = started()
    placed(sim, TARGETS[1], ASIDE[1]).step(STILL)
    assert placed(sim, *TARGETS).step(STILL).success[0]
    assert sim.modes()[0] == NO_MODE


def test_a_goal_asks_for_each_block_at_the_target_that_is_nearest_to_it_there() -> None:
    contexts = np.tile(CONTEXT, (3, 1))
    run = roll_out(started(contexts), lambda _: (np.zeros((3, 1, 2)), None), history=1, contexts=contexts)
    goals = np.zeros((3, 1, 10))
    goals[..., [0, 1]], goals[..., [3, 4]] = [0.3, 0.22], [0.5, 0.18]
    goals[1, :, 0], goals[1, :, 3] = 0.5, 0.3  # crossed
    seen = run.observations.copy()
    seen[:2, -1, [0, 1, 3, 4]] = [*TARGETS[0], *TARGETS[1]]
    seen[2, -1, [0, 1, 3, 4]] = [*TARGETS[0], *ASIDE[1]]
    found = goal_share(replace(run, observations=seen, goals=goals))
    assert found.tolist() == [1.0, 0.0, 0.5]
    with pytest.raises(TaskError, match="had no goals"):
        goal_share(run)


def test_contexts_are_drawn_as_published() -> None:
    drawn = draw_contexts(2000, np.random.default_rng(0))
    x, y = drawn[:, [0, 3]], drawn[:, [1, 4]]
    assert (abs(x[:, 0] - x[:, 1]) > 0.1).all()
    assert (x.min(), x.max()) == pytest.approx((0.3, 0.5), abs=0.005)
    assert (y.min(), y.max()) == pytest.approx((-0.35, -0.05), abs=0.005)
    assert 1 <= drawn[:, [2, 5]].min() < drawn[:, [2, 5]].max() <= np.pi
    assert abs(abs(drawn[:, 6] - drawn[:, 8]) - 0.24).max() <= 0.01
    assert 0.45 < (drawn[:, 6] < drawn[:, 8]).mean() < 0.55
    assert abs(drawn[:, [7, 9]] - 0.2).max() <= 0.0075


@pytest.mark.parametrize("style", ["oracle", None])
def test_the_oracle_succeeds_in_each_mode(style: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly always at the first attempt: a tool that enters blocks, or tips them over, costs it most of them."""
    attempt, attempts = demonstrator._attempt, []

    def noted(mode: int, *others: Any) -> tuple[np.ndarray, np.ndarray] | None:
        attempts.append(mode)
        return attempt(mode, *others)

    monkeypatch.setattr(demonstrator, "_attempt", noted)
    demonstrate = TASK.demonstrate_part if style is None else TASK.styles[style]
    assert demonstrate is not None
    made = demonstrate(range(16), 0, lambda: None)
    assert len(attempts) <= 18
    replayed = replay(TASK.make_sim(16), made)
    assert replayed.success.all()
    assert (replayed.modes == made.modes).all()
    assert np.bincount(made.modes).tolist() == [4] * 4
    assert made.lengths.max() < TASK.spec.max_steps


def test_without_slips_it_moves_at_the_published_speeds_and_for_the_published_time() -> None:
    made = TASK.styles["oracle"](range(16), 0, lambda: None)
    assert 0.0299 < np.hypot(*made.action.T).max() < 0.0351
    assert 100 < made.lengths.mean() < 135  # of the published demonstrations 116.8


AMID = np.array([0.0] * 8 + [0.4, 0.0])
"""An observation with the tool's target amid the workspace."""


class _Straight:
    """An oracle that always moves on in x; notes how often it begins anew."""

    def __init__(self, may_err: bool) -> None:
        self.may_err, self.begun = may_err, 0

    def act(self, observation: np.ndarray) -> np.ndarray:
        return np.array([0.03, 0.0])

    def look_again(self) -> None:
        self.begun += 1


def test_the_tool_slips_at_times_and_strays_seldom() -> None:
    oracle, steps = _Straight(may_err=True), 20_000
    hand = ErringHand(oracle, np.random.default_rng(0))  # type: ignore[arg-type]
    actions = np.array([hand.act(AMID) for _ in range(steps)])
    errs = np.abs(actions - (0.03, 0.0)).max(axis=1) > 1e-12
    repeats = (actions[1:] == actions[:-1]).all(axis=1) & errs[1:]
    begins = np.flatnonzero(np.diff(np.concatenate([[False], repeats, [False]]).astype(int)) == 1)
    ends = np.flatnonzero(np.diff(np.concatenate([[False], repeats, [False]]).astype(int)) == -1)
    assert set(ends - begins) == set(range(STRAY_STEPS[0], STRAY_STEPS[1] + 1)), "steps after the first one"
    assert_allclose(np.hypot(*actions[begins].T), STRAY_M)
    assert abs(oracle.begun - len(begins)) <= 1
    free = steps - (ends - begins).sum()  # steps in which the tool does not stray already
    assert_allclose(len(begins) / free, STRAYS, atol=0.004)
    slips = errs.sum() - len(begins) - (ends - begins).sum()
    assert_allclose(slips / free, SLIPS * (1 - STRAYS), atol=0.01)


def test_the_tool_errs_only_where_the_oracle_can_correct_it() -> None:
    hand = ErringHand(_Straight(may_err=False), np.random.default_rng(0))  # type: ignore[arg-type]
    assert_allclose([hand.act(AMID) for _ in range(1000)], np.tile([0.03, 0.0], (1000, 1)), atol=1e-12)
    phases: dict[bool, set[str]] = {False: set(), True: set()}
    oracle, sim = Oracle(0, np.array(TARGETS)), BlockPushSim(1)
    seen = sim.reset(CONTEXT)
    for _ in range(100):
        seen = sim.step(oracle.act(seen[0])[None]).observation
        phases[oracle.may_err].add(oracle._phase.name)
    assert phases[True] == {"PREPARE", "PUSH"}
    assert {"APPROACH", "BACK", "HOME"} <= phases[False]


def test_a_tool_that_errs_stays_in_the_workspace() -> None:
    hand = ErringHand(_Straight(may_err=True), np.random.default_rng(0))  # type: ignore[arg-type]
    corner = AMID + np.array([0.0] * 8 + [0.29, -0.49])
    targets = corner[8:] + np.array([hand.act(corner) for _ in range(1000)])
    assert (targets >= WORKSPACE[:, 0] - 1e-12).all()
    assert (targets <= WORKSPACE[:, 1] + 1e-12).all()


def test_a_set_says_whether_its_tool_errs() -> None:
    usual, erring = TASK.styles["oracle"](range(1), 0, lambda: None), TASK.demonstrate(1, 0, lambda: None)
    assert (usual.header.source, erring.header.source) == ("scripted oracle", "scripted oracle that slips and strays")


def test_a_pushed_block_does_not_tip_over() -> None:
    """The tool touches it from below its middle to its upper edge."""
    for number in range(6):
        context = draw_contexts(1, np.random.default_rng([7, number]))
        sim, oracle = BlockPushSim(1), Oracle(number % 4, context[0, 6:].reshape(2, 2))
        seen = sim.reset(context)
        for _ in range(150):
            result = sim.step(oracle.act(seen[0])[None])
            seen = result.observation
            for block in sim._blocks:
                _, x, y, _ = sim._physics.positions[0, block][3:7]
                assert 1 - 2 * (x * x + y * y) > math.cos(math.radians(10))
            if result.success[0]:
                break
        assert result.success[0]


def test_the_oracle_turns_a_block_that_stands_askew() -> None:
    """Its sides are at 45 degrees to the way to the target at first, and nearly straight when it is pushed."""
    askew = math.atan2(TARGETS[0][1] + 0.2, TARGETS[0][0] - 0.35) - math.pi / 4 - 0.1
    context = CONTEXT.copy()
    context[0, 2] = askew
    sim, oracle = BlockPushSim(1), Oracle(0, np.array(TARGETS))
    seen, phases = sim.reset(context), []
    for _ in range(120):
        seen = sim.step(oracle.act(seen[0])[None]).observation
        phases.append(oracle._phase.name)
    turned = next(index for index, name in enumerate(phases) if name in ("LEFT", "RIGHT"))
    assert "PUSH" in phases[turned:]


def test_misuse_is_refused() -> None:
    with pytest.raises(TaskError, match=r"actions of shape \(1, 3\)"):
        started().step(np.zeros((1, 3)))
    with pytest.raises(TaskError, match="none were given"):
        BlockPushSim(1).reset()
