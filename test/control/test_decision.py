"""Decisions: what a policy saw and wanted goes out once for each question, before limits, with labels."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_rig import AVOIDING, PERIOD_S, Rig
from policy_files import diffusion_spec, mixture_parameters, mixture_spec, write_diffusion, write_mixture

from vdd_ros.control.active_policy import ActivePolicy
from vdd_ros.control.decision import HEAD, DecisionRecord, decision_labels
from vdd_ros.policy.act import Act
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

ENTRIES = ("desired_x", "desired_y", "tcp_x", "tcp_y")
ROBOT = RobotFile.load(AVOIDING)


def run(rig: Rig, ticks: int, step: float = 0.02) -> list[list[float]]:
    """Tick along a straight line; return the observation of each tick."""
    seen = []
    for tick in range(ticks):
        now_s, place = 10.0 + PERIOD_S * tick, (0.3 + step * tick, 0.1 + step * tick)
        rig.see(place, place, now_s)
        rig.loop.tick(now_s, 0.0)
        seen.append([*place, *place])
    return seen


def values(decision: dict[str, float], kind: str) -> list[float]:
    return [value for label, value in decision.items() if label.startswith(kind)]


def test_labels_name_every_value_oldest_first() -> None:
    labels = decision_labels(mixture_spec(history=2, goal_length=1))
    observed = [f"observation[{age}].{name}" for age in (-1, 0) for name in ENTRIES]
    goal = [f"goal[0].{name}" for name in ENTRIES]
    assert labels == (*HEAD, *observed, *goal, "action.delta_desired_x", "action.delta_desired_y")


def test_a_record_holds_what_it_was_given() -> None:
    record = DecisionRecord(diffusion_spec(history=2, goal_length=1))
    window, goal, action = np.arange(8.0).reshape(2, 4), np.arange(4.0)[None] + 8, np.array([12.0, 13.0])
    record.fill(7, 1.5, Act(action[None].astype(np.float32), None, None, None, None), action, window, goal)
    assert record.values[:2].tolist() == [7, 1.5]
    assert np.isnan(record.values[2:4]).all()
    assert record.values[4:].tolist() == list(range(14))


def test_every_tick_of_a_one_step_policy_gives_a_decision(tmp_path: Path) -> None:
    """Seq and stamp are those of the latency record; window and action are the policy's own."""
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", history=2), expert="greedy")
    rig = Rig(policy, ROBOT)
    seen = run(rig, 3)
    parameters = mixture_parameters(policy.spec)
    assert [d["seq"] for d in rig.out.decisions] == [0, 1, 2]
    assert [d["stamp_s"] for d in rig.out.decisions] == [record["stamp_s"] for record in rig.out.records]
    for tick, decision in enumerate(rig.out.decisions):
        window = np.array([seen[max(tick - 1, 0)], seen[tick]])
        np.testing.assert_allclose(values(decision, "observation"), window.ravel(), atol=1e-6)
        expert = parameters.gating(window).argmax()
        assert decision["expert"] == expert == rig.out.experts[tick]
        np.testing.assert_allclose(
            values(decision, "action"), parameters.means(window)[expert].clip(-0.01, 0.01), atol=1e-6
        )
        assert math.isfinite(decision["log_prob"])


def test_the_action_is_the_one_before_the_limits(tmp_path: Path) -> None:
    """What the limits refuse is in the decision."""
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), expert="greedy")
    rig = Rig(policy, ROBOT)
    rig.loop.commander.limits.bound = lambda *_: False  # type: ignore[method-assign]
    run(rig, 1)
    assert not rig.out.commands
    assert np.isfinite(values(rig.out.decisions[0], "action")).all()


def test_a_policy_without_experts_has_neither_expert_nor_density(tmp_path: Path) -> None:
    rig = Rig(OnnxPolicy.load(write_diffusion(tmp_path / "p.onnx")), ROBOT)
    run(rig, 1)
    assert math.isnan(rig.out.decisions[0]["expert"])
    assert math.isnan(rig.out.decisions[0]["log_prob"])


def test_a_goal_is_part_of_the_decision(tmp_path: Path) -> None:
    rig = Rig(OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", goal_length=2)), ROBOT)
    rig.loop.receive_goal(np.arange(8) / 10)
    run(rig, 1)
    np.testing.assert_allclose(values(rig.out.decisions[0], "goal"), np.arange(8) / 10, atol=1e-6)


def test_later_steps_of_a_chunk_give_no_decision(tmp_path: Path) -> None:
    rig = Rig(OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", horizon=4)), ROBOT, action_steps=2)
    run(rig, 4)
    assert [d["seq"] for d in rig.out.decisions] == [0, 2]


def test_a_prefetched_decision_shows_what_the_question_saw(tmp_path: Path) -> None:
    """The question is one tick old, its answer's action belongs to this tick; the next question changes neither."""
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", horizon=3), expert="greedy")
    rig = Rig(policy, ROBOT, prefetch_ticks=1)
    chunks, seen = rig.loop.active.chunks, []
    for tick in range(4):
        if chunks._requested is not None:
            chunks._requested.result()
        now_s, place = 10.0 + PERIOD_S * tick, (0.3 + 0.02 * tick, 0.1)
        rig.see(place, place, now_s)
        rig.loop.tick(now_s, 0.0)
        seen.append(np.array([[*place, *place]]))
    rig.loop.close()
    parameters = mixture_parameters(policy.spec)
    for asked, decision in enumerate(rig.out.decisions):
        np.testing.assert_allclose(values(decision, "observation"), seen[asked][0], atol=1e-6)
        chunk = parameters.means(seen[asked])[parameters.gating(seen[asked]).argmax()].reshape(3, 2).clip(-0.01, 0.01)
        np.testing.assert_allclose(values(decision, "action"), chunk[1], atol=1e-6)
    assert [decision["seq"] for decision in rig.out.decisions] == [1, 2, 3]


def test_decisions_can_be_left_out(tmp_path: Path) -> None:
    rig = Rig(OnnxPolicy.load(write_mixture(tmp_path / "p.onnx")), ROBOT, decisions=False)
    run(rig, 2)
    assert (len(rig.out.records), rig.out.decisions) == (2, [])


@pytest.mark.parametrize("ticking", [True, False])
def test_a_policy_that_takes_over_brings_its_labels(tmp_path: Path, ticking: bool) -> None:
    """They are made ready before its first tick, so that the tick need not."""
    rig = Rig(OnnxPolicy.load(write_mixture(tmp_path / "a.onnx")), ROBOT)
    run(rig, 1)
    other = ActivePolicy.of(OnnxPolicy.load(write_mixture(tmp_path / "b.onnx", history=3)), ROBOT, period_s=PERIOD_S)
    handed_over: list[Any] = []
    if ticking:
        rig.loop.swap.hand_over(other, lambda: handed_over.append(True))
    else:
        rig.loop.take_over(other)
    assert other.decision.labels in rig.out.expected
    for tick in range(1, 8):
        now_s = 10.0 + PERIOD_S * tick
        rig.see((0.3, 0.1), (0.3, 0.1), now_s)
        rig.loop.tick(now_s, 0.0)
    assert len(values(rig.out.decisions[0], "observation")) == 4
    assert len(values(rig.out.decisions[-1], "observation")) == 12
    assert [d["seq"] for d in rig.out.decisions] == list(range(8))
