"""Chunks of actions: which action is executed at which tick, asked for when, and what becomes of late answers."""

from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from loop_rig import AVOIDING, PERIOD_S, Rig
from policy_files import mixture_parameters, mixture_spec, write_mixture
from robot_messages import joint_state

from vdd_ros.errors import ConfigurationError
from vdd_ros.policy.chunks import Chunks
from vdd_ros.policy.onnx_policy import Act, OnnxPolicy
from vdd_ros.policy.robot import RobotFile
from vdd_ros.policy.spec import ActionEntry, ObservationEntry

HORIZON = 6


class Counting:
    """A policy whose chunks say what they were asked: action k of the question about x is (x, k)."""

    def __init__(self, horizon: int = HORIZON) -> None:
        self.spec = mixture_spec(horizon=horizon)
        self.asked: list[float] = []
        self.resets = 0
        self.gate: Event | None = None

    def act(self, observation: np.ndarray, goal: np.ndarray | None = None) -> Act:
        if self.gate is not None:
            assert self.gate.wait(10.0)
        self.asked.append(float(observation[-1, 0]))
        action = np.stack([np.full(self.spec.horizon, observation[-1, 0]), np.arange(self.spec.horizon)], axis=1)
        return Act(action.astype(np.float32), None, None, None, None)

    def reset(self) -> None:
        self.resets += 1


def run(chunks: Chunks, ticks: range) -> list[tuple[float, float] | None]:
    """Ask at these ticks, each about its own number; return the actions."""
    done: list[tuple[float, float] | None] = []
    for tick in ticks:
        step = chunks.next(np.full((1, 4), tick, np.float32), None)
        done.append(None if step is None else tuple(step.actions[0].tolist()))
        if chunks._asked is not None and chunks._policy.gate is None:  # type: ignore[attr-defined]
            chunks._asked.result(10.0)
    return done


def test_as_many_actions_as_asked_for_are_executed() -> None:
    policy = Counting()
    assert run(Chunks(policy, action_steps=3), range(7)) == [  # type: ignore[arg-type]
        (0, 0), (0, 1), (0, 2), (3, 0), (3, 1), (3, 2), (6, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("ahead", [1, 2])
def test_prefetched_chunks_begin_with_the_action_of_their_tick(ahead: int) -> None:
    """Every action is still the one that its chunk meant for the tick in which it is executed."""
    policy = Counting()
    chunks = Chunks(policy, action_steps=3, prefetch_ticks=ahead)  # type: ignore[arg-type]
    done = run(chunks, range(9))
    assert [asked + place for asked, place in done] == list(range(9))  # type: ignore[misc]
    assert policy.asked[:3] == [0, 3 - ahead, 6 - ahead]
    chunks.close()


def test_a_late_answer_costs_the_ticks_that_it_is_late() -> None:
    policy = Counting()
    chunks = Chunks(policy, action_steps=2, prefetch_ticks=1)  # type: ignore[arg-type]
    assert run(chunks, range(1)) == [(0, 0)]
    policy.gate = Event()
    assert run(chunks, range(1, 4)) == [(0, 1), None, None]
    asked = chunks._asked
    assert asked is not None
    policy.gate.set()
    asked.result(10.0)
    policy.gate = None
    assert run(chunks, range(4, 6)) == [(1, 3), (1, 4)]
    chunks.close()


def test_an_answer_of_which_nothing_is_left_is_asked_anew() -> None:
    policy = Counting(horizon=3)
    chunks = Chunks(policy, action_steps=2, prefetch_ticks=1)  # type: ignore[arg-type]
    run(chunks, range(1))
    policy.gate = Event()
    assert run(chunks, range(1, 5)) == [(0, 1), None, None, None]
    asked = chunks._asked
    assert asked is not None
    policy.gate.set()
    asked.result(10.0)
    policy.gate = None
    assert run(chunks, range(5, 6)) == [(5, 0)]
    chunks.close()


def test_a_reset_forgets_the_chunk_and_the_open_question() -> None:
    policy = Counting()
    chunks = Chunks(policy, action_steps=3, prefetch_ticks=1)  # type: ignore[arg-type]
    run(chunks, range(3))
    chunks.reset()
    assert policy.resets == 1
    assert run(chunks, range(10, 12)) == [(10, 0), (10, 1)]
    chunks.close()


def test_an_error_of_the_thread_comes_out_in_the_tick() -> None:
    policy = Counting()
    chunks = Chunks(policy, action_steps=1, prefetch_ticks=1)  # type: ignore[arg-type]

    def fail(*_: Any) -> Act:
        raise ValueError("no answer")

    policy.act = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(ValueError, match="no answer"):
        chunks.next(np.zeros((1, 4), np.float32), None)
    chunks.close()


@pytest.mark.parametrize(("steps", "ahead"), [(0, 0), (7, 0), (6, 1), (1, 2), (2, -1)])
def test_chunks_that_are_too_short_are_refused(steps: int, ahead: int) -> None:
    with pytest.raises(
        ConfigurationError, match=f"action_steps is {steps} and prefetch_ticks is {ahead}, but.* gives 6"
    ):
        Chunks(Counting(), action_steps=steps, prefetch_ticks=ahead)  # type: ignore[arg-type]


def test_the_loop_executes_chunks(tmp_path: Path) -> None:
    """Each displacement is added to the newest observation; records say which action of a chunk it was."""
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", horizon=4), expert="greedy")
    rig = Rig(policy, RobotFile.load(AVOIDING), action_steps=2)
    places = np.array([[0.3, 0.1], [0.4, 0.1], [0.5, 0.1], [0.6, 0.1]])
    expected = []
    for tick, place in enumerate(places):
        rig.time_s += PERIOD_S
        rig.see(tuple(place), tuple(place), rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
        if tick % 2 == 0:
            parameters = mixture_parameters(policy.spec)
            seen = np.array([[*place, *place]])
            chunk = parameters.means(seen)[parameters.gating(seen).argmax()].reshape(4, 2).clip(-0.01, 0.01)
        expected.append(place + chunk[tick % 2])
    np.testing.assert_allclose(rig.out.commands, expected, atol=1e-6)
    assert [record["chunk_step"] for record in rig.out.records] == [0, 1, 0, 1]
    assert ["inference_s" in record for record in rig.out.records] == [True, False, True, False]
    assert len(rig.out.experts) == 2


def test_a_loss_in_a_chunk_ends_it(tmp_path: Path) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", horizon=4))
    rig = Rig(policy, RobotFile.load(AVOIDING), action_steps=4)
    rig.see((0.3, 0.1), (0.3, 0.1), 10.0)
    rig.loop.tick(10.0, 0.0)
    rig.loop.tick(11.0, 0.0)
    rig.see((0.3, 0.1), (0.3, 0.1), 12.0)
    rig.loop.tick(12.0, 0.0)
    assert [record["chunk_step"] for record in rig.out.records] == [0, 0]


def test_whole_chunks_go_out_as_trajectories(tmp_path: Path) -> None:
    """One message a chunk, every point within the limits of step and range from the one before it."""
    path = write_mixture(
        tmp_path / "arm.onnx",
        horizon=5,
        observation=(ObservationEntry("elbow", "rad"),),
        action=(ActionEntry("elbow_position", "rad", -3.0, 3.0),),
    )
    entry = {"name": "elbow", "action": "elbow_position", "unit": "rad", "low": -1, "high": 1, "max_step": 0.1}
    robot = RobotFile.from_dict({
        "inputs": {
            "arm": {
                "topic": "joint_states", "type": "sensor_msgs/msg/JointState", "max_age_s": 0.5,
                "entries": {"elbow": {"joint": "elbow", "interface": "position", "unit": "rad"}},
            }
        },
        "command": {
            "topic": "arm", "type": "trajectory_msgs/msg/JointTrajectory", "on_loss": "hold",
            "entries": [entry | {"measured": "elbow"}],
        },
    })  # fmt: skip
    policy = OnnxPolicy.load(path, expert="greedy")
    rig = Rig(policy, robot, action_steps=2, trajectories=True)
    for tick in range(4):
        now_s = 10.0 + PERIOD_S * tick
        rig.receive("arm", joint_state(now_s, elbow=0.5), now_s)
        rig.loop.tick(now_s, 0.0)
    assert [record["commanded"] for record in rig.out.records] == [1, 0, 1, 0]
    assert not rig.out.commands
    first, second = (np.array(points)[:, 0] for points in rig.out.trajectories)
    assert len(first) == len(second) == 5
    for start, points in ((0.5, first), (first[1], second)):
        assert (np.abs(np.diff([start, *points])) <= 0.1 + 1e-9).all()
        assert (np.abs(points) <= 1).all()
