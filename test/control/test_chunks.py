"""Chunks of actions: the action of each tick, the time of requests, and late answers."""

from pathlib import Path
from threading import Event
from threading import enumerate as enumerate_threads
from typing import Any

import numpy as np
import pytest
from loop_rig import AVOIDING, PERIOD_S, Rig
from policy_files import mixture_parameters, mixture_spec, write_mixture
from robot_messages import joint_state

from vdd_ros.control.chunks import Chunks
from vdd_ros.errors import ConfigurationError
from vdd_ros.features import Feature
from vdd_ros.policy.act import Act
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

HORIZON = 6


class Counting:
    """A policy whose chunks say what they were asked: action k of the question about x is (x, k)."""

    def __init__(self, horizon: int = HORIZON) -> None:
        self.spec = mixture_spec(horizon=horizon)
        self.asked: list[float] = []
        self.resets = 0
        self.gate: Event | None = None

    def act(self, observation: np.ndarray, *given: Any) -> Act:
        if self.gate is not None:
            assert self.gate.wait(120.0)
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
        if chunks.due:
            chunks.request(np.full((1, 4), tick, np.float32), None)
        if chunks._requested is not None and chunks._policy.gate is None:  # type: ignore[attr-defined]
            chunks._requested.result(10.0)
    return done


def test_as_many_actions_as_asked_for_are_executed() -> None:
    policy = Counting()
    assert run(Chunks(policy, action_steps=3), range(7)) == [  # type: ignore[arg-type]
        (0, 0), (0, 1), (0, 2), (3, 0), (3, 1), (3, 2), (6, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("ahead", [1, 2])
def test_prefetched_chunks_begin_with_the_action_of_their_tick(ahead: int) -> None:
    """Every action is the one that its chunk meant for the tick in which it is executed; the first tick only asks."""
    policy = Counting()
    chunks = Chunks(policy, action_steps=3, prefetch_ticks=ahead)  # type: ignore[arg-type]
    first, *done = run(chunks, range(10))
    assert first is None
    assert [asked + place for asked, place in done] == list(range(1, 10))  # type: ignore[misc]
    assert policy.asked[:3] == [0, 4 - ahead, 7 - ahead]
    chunks.close()


def test_a_late_answer_costs_the_ticks_that_it_is_late() -> None:
    policy = Counting()
    chunks = Chunks(policy, action_steps=2, prefetch_ticks=1)  # type: ignore[arg-type]
    assert run(chunks, range(2)) == [None, (0, 1)]
    policy.gate = Event()
    assert run(chunks, range(2, 5)) == [(0, 2), None, None]
    assert not chunks.starting
    asked = chunks._requested
    assert asked is not None
    policy.gate.set()
    asked.result(10.0)
    policy.gate = None
    assert run(chunks, range(5, 7)) == [(2, 3), (2, 4)]
    chunks.close()


def test_the_first_answer_is_waited_for_in_no_tick() -> None:
    """However long it takes: a policy slower than a period works, as long as its chunks are long enough."""
    policy = Counting()
    policy.gate = Event()
    chunks = Chunks(policy, action_steps=2, prefetch_ticks=2)  # type: ignore[arg-type]
    assert run(chunks, range(3)) == [None, None, None]
    starting = [chunks.starting]
    asked = chunks._requested
    assert asked is not None
    policy.gate.set()
    asked.result(10.0)
    policy.gate = None
    assert run(chunks, range(3, 6)) == [(0, 3), (0, 4), (3, 2)]
    assert [*starting, chunks.starting] == [True, False]
    chunks.close()


def test_a_dropped_request_is_not_waited_for() -> None:
    """Nothing is asked while a dropped question is open, so that no two runs of the policy overlap."""
    policy = Counting()
    policy.gate = Event()
    chunks = Chunks(policy, action_steps=3, prefetch_ticks=1)  # type: ignore[arg-type]
    run(chunks, range(1))
    dropped = chunks._requested
    assert dropped is not None
    chunks.reset()
    assert run(chunks, range(1, 3)) == [None, None]
    assert chunks._requested is None
    policy.gate.set()
    dropped.result(10.0)
    policy.gate = None
    assert run(chunks, range(3, 5)) == [None, (3, 1)]
    assert policy.resets == 1
    assert policy.asked == [0, 3]
    chunks.close()


def test_another_policy_is_primed_before_it_takes_over() -> None:
    policy = Counting()
    chunks = Chunks(policy, action_steps=2, prefetch_ticks=1)  # type: ignore[arg-type]
    policy.gate = Event()
    assert [chunks.prime(np.full((1, 4), tick, np.float32), None) for tick in (7, 8)] == [False, False]
    asked = chunks._requested
    assert asked is not None
    policy.gate.set()
    asked.result(10.0)
    policy.gate = None
    assert chunks.prime(np.full((1, 4), 9, np.float32), None)
    assert run(chunks, range(9, 10)) == [(7, 2)]
    chunks.close()
    assert Chunks(policy).prime(np.zeros((1, 4), np.float32), None)  # type: ignore[arg-type]


def test_the_thread_that_asks_is_not_a_child_of_the_one_that_ticks() -> None:
    """Priority and cores are inherited; those of the thread that ticks are for it alone."""
    before = set(enumerate_threads())
    chunks = Chunks(Counting(), action_steps=2, prefetch_ticks=1)  # type: ignore[arg-type]
    (asker,) = set(enumerate_threads()) - before
    run(chunks, range(1))
    assert set(enumerate_threads()) <= {*before, asker}
    chunks.close()
    asker.join(120.0)
    assert not asker.is_alive()


def test_an_answer_with_nothing_left_is_requested_again() -> None:
    policy = Counting(horizon=3)
    chunks = Chunks(policy, action_steps=2, prefetch_ticks=1)  # type: ignore[arg-type]
    run(chunks, range(2))
    policy.gate = Event()
    assert run(chunks, range(2, 6)) == [(0, 2), None, None, None]
    asked = chunks._requested
    assert asked is not None
    policy.gate.set()
    asked.result(10.0)
    policy.gate = None
    assert run(chunks, range(6, 8)) == [None, (6, 1)]
    chunks.close()


def test_a_reset_forgets_the_chunk_and_the_open_question() -> None:
    policy = Counting()
    chunks = Chunks(policy, action_steps=3, prefetch_ticks=1)  # type: ignore[arg-type]
    run(chunks, range(3))
    chunks.reset()
    assert chunks.starting
    assert run(chunks, range(10, 12)) == [None, (10, 1)]
    assert policy.resets == 1
    chunks.close()


def test_an_error_of_the_thread_comes_out_in_the_tick() -> None:
    policy = Counting()
    chunks = Chunks(policy, action_steps=1, prefetch_ticks=1)  # type: ignore[arg-type]

    def fail(*_: Any) -> Act:
        raise ValueError("no answer")

    policy.act = fail  # type: ignore[method-assign, assignment]
    assert chunks.next(np.zeros((1, 4), np.float32), None) is None
    assert chunks._requested is not None
    chunks._requested.exception(10.0)
    with pytest.raises(ValueError, match="no answer"):
        chunks.next(np.zeros((1, 4), np.float32), None)
    chunks.close()


@pytest.mark.parametrize(("steps", "ahead"), [(0, 0), (7, 0), (6, 1), (1, 2), (2, -1)])
def test_chunks_that_are_too_short_are_refused(steps: int, ahead: int) -> None:
    with pytest.raises(
        ConfigurationError, match=f"action_steps is {steps} and prefetch_ticks is {ahead}, but.* returns 6"
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


def an_arm(tmp_path: Path, max_age_s: float = 0.5, **rig: Any) -> Rig:
    """Return a loop for one joint, whose policy gives five positions at a time."""
    path = write_mixture(
        tmp_path / "arm.onnx",
        horizon=5,
        observation=(Feature("elbow", "rad"),),
        action=(Feature("elbow_position", "rad", -3.0, 3.0),),
    )
    entry = {"name": "elbow", "action": "elbow_position", "unit": "rad", "low": -1, "high": 1, "max_step": 0.1}
    robot = RobotFile.from_dict({
        "inputs": {
            "arm": {
                "topic": "joint_states", "type": "sensor_msgs/msg/JointState", "max_age_s": max_age_s,
                "entries": {"elbow": {"joint": "elbow", "interface": "position", "unit": "rad"}},
            }
        },
        "command": {
            "topic": "arm", "type": "trajectory_msgs/msg/JointTrajectory", "on_loss": "hold",
            "entries": [entry | {"measured": "elbow"}],
        },
    })  # fmt: skip
    return Rig(OnnxPolicy.load(path, expert="greedy"), robot, trajectories=True, **rig)


def move(rig: Rig, ticks: int) -> None:
    for _ in range(ticks):
        rig.time_s += PERIOD_S
        rig.receive("arm", joint_state(rig.time_s, elbow=0.5), rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)


def test_whole_chunks_go_out_as_trajectories(tmp_path: Path) -> None:
    """One message a chunk, every point within the limits of step and range from the one before it."""
    rig = an_arm(tmp_path, action_steps=2)
    move(rig, 4)
    assert [record["commanded"] for record in rig.out.records] == [1, 0, 1, 0]
    assert not rig.out.commands
    first, second = (np.array(points)[:, 0] for points in rig.out.trajectories)
    assert len(first) == len(second) == 5
    for start, points in ((0.5, first), (first[1], second)):
        assert (np.abs(np.diff([start, *points])) <= 0.1 + 1e-9).all()
        assert (np.abs(points) <= 1).all()


@pytest.mark.parametrize("how", ["stale", "stop"])
@pytest.mark.parametrize("after", [1, 3])
def test_a_loss_cuts_a_trajectory_off(tmp_path: Path, after: int, how: str) -> None:
    """A controller follows what it has to the end: it gets the point that is due, alone. Only once.

    Between two ticks that is the point under way: the next one would be two steps away, to be made in one period.
    """
    rig = an_arm(tmp_path, 0.9 * PERIOD_S, action_steps=4)
    move(rig, after)
    if how == "stale":
        rig.loop.tick(rig.time_s + PERIOD_S, 0.0)
        rig.loop.tick(rig.time_s + 2 * PERIOD_S, 0.0)
    rig.loop.stop()
    plan, hold = rig.out.trajectories
    assert hold == [plan[after if how == "stale" else after - 1]]
    assert rig.loop.counters.failsafes == 1


def test_a_trajectory_that_has_ended_needs_no_end(tmp_path: Path) -> None:
    rig = an_arm(tmp_path, action_steps=5)
    move(rig, 5)
    rig.loop.stop()
    assert len(rig.out.trajectories) == 1


def test_nor_does_one_that_ended_while_nothing_ticked(tmp_path: Path) -> None:
    """The robot is at its last point by then; any other one would make it leap back."""
    rig = an_arm(tmp_path, action_steps=4)
    move(rig, 2)
    rig.loop.tick(rig.time_s + 1.0, 0.0)
    assert (len(rig.out.trajectories), rig.loop.counters.failsafes) == (1, 1)


def test_a_policy_slower_than_a_period_acts_ahead(tmp_path: Path) -> None:
    """Two periods an inference: the first ticks wait for the first chunk, and no action counts as late."""
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", horizon=6))
    rig = Rig(policy, RobotFile.load(AVOIDING), action_steps=3, prefetch_ticks=3, step_s=1e-4)
    gate, act = Event(), policy.act

    def slow(*given: Any) -> Act:
        assert gate.wait(120.0)
        return act(*given)

    policy.act = slow  # type: ignore[method-assign, assignment]
    for tick in range(12):
        rig.time_s += PERIOD_S
        rig.see((0.3, 0.1), (0.3, 0.1), rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
        asked = rig.loop.active.chunks._requested
        assert asked is not None
        if tick % 3 == 1:
            gate.set()
            asked.result(10.0)
            gate.clear()
    counters = rig.loop.counters
    assert (counters.waiting, counters.overruns, counters.commands) == (2, 0, 10)
    gate.set()
    rig.loop.close()
