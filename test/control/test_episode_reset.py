"""An episode ends while a chunk is in flight: what the robot and the next episode still get of it."""

from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from arm_rig import MAX_STEP, Arm, arm_document
from loop_rig import PERIOD_S

HORIZON = 8
FAR = 0.4


class Gate:
    """Lets an arm's policy answer once it is open, and notes where the shoulder was when it was asked."""

    def __init__(self, arm: Arm) -> None:
        self.open, self.asked, self._act = Event(), [], arm.rig.policy.act
        arm.rig.policy.act = self._wait  # type: ignore[method-assign, assignment]

    open: Event
    asked: list[float]

    def _wait(self, window: Any, *given: Any) -> Any:
        self.asked.append(float(window[-1, 0]))
        assert self.open.wait(120.0)
        return self._act(window, *given)


class ChunkedArm:
    """An arm that walks away from zero under trajectories of `HORIZON` points, four of which are executed."""

    def __init__(self, folder: Path, document: dict[str, Any] | None = None, **settings: Any) -> None:
        self.arm = Arm(folder, document, horizon=HORIZON, action_steps=4, trajectories=True, **settings)
        self.sent = self.arm.rig.out.trajectories

    def walk(self) -> None:
        """Walk to `FAR`, and one tick into a chunk."""
        arm = self.arm
        while arm.places[0] < FAR or arm.rig.loop.active.chunks._left != 3:
            ahead = arm.places[0] + MAX_STEP * np.arange(1, HORIZON + 1)
            arm.wants = np.repeat(ahead[:, None], 2, axis=1)
            arm.tick()
            arm.places = arm.places + MAX_STEP


def test_a_robot_that_was_reset_is_not_sent_back(tmp_path: Path) -> None:
    """The robot stands at home when the episode's number comes: no point of the old chunk may reach it any more."""
    rig = ChunkedArm(tmp_path)
    rig.walk()
    before = len(rig.sent)
    rig.arm.places = np.zeros(2)
    rig.arm.wants = np.zeros((HORIZON, 2))
    rig.arm.rig.loop.new_episode()
    for _ in range(3):
        rig.arm.tick()
    points = np.concatenate([np.array(each) for each in rig.sent[before:]])
    assert np.abs(points).max() <= MAX_STEP


def test_the_old_chunk_is_replaced_by_the_robots_place_while_the_new_one_is_computed(tmp_path: Path) -> None:
    """With prefetching the first tick only asks; the controller would go on along the old chunk meanwhile."""
    rig = ChunkedArm(tmp_path, prefetch_ticks=1)
    rig.arm.wants = np.repeat(MAX_STEP * np.arange(1, HORIZON + 1)[:, None], 2, axis=1)
    chunks = rig.arm.rig.loop.active.chunks
    while not rig.sent:
        rig.arm.tick()
        if chunks._requested is not None:
            chunks._requested.result(10.0)
    gate = Gate(rig.arm)
    before = len(rig.sent)
    rig.arm.places = np.array([0.3, -0.3])
    rig.arm.rig.loop.new_episode()
    rig.arm.tick(told=False)
    assert len(rig.sent) == before  # nobody knows yet where the robot is
    rig.arm.tick()
    rig.arm.tick()
    gate.open.set()
    assert [np.round(each, 6).tolist() for each in rig.sent[before:]] == [[[0.3, -0.3]]]
    rig.arm.rig.loop.close()


def test_a_chunk_that_is_over_needs_no_cancellation(tmp_path: Path) -> None:
    """Its controller has reached the end; somebody else may move the robot home now."""
    rig = ChunkedArm(tmp_path)
    rig.walk()
    before = len(rig.sent)
    rig.arm.rig.loop.new_episode()
    rig.arm.rig.time_s += HORIZON * PERIOD_S
    rig.arm.wants = np.full((HORIZON, 2), np.nan)
    rig.arm.tick()
    assert rig.sent[before:] == []


def test_numbers_that_nothing_measures_stay_where_they_are_due(tmp_path: Path) -> None:
    rig = ChunkedArm(tmp_path, arm_document(measured=None))
    rig.walk()
    before, due = len(rig.sent), rig.sent[-1][1]
    rig.arm.rig.loop.new_episode()
    assert rig.sent[before:] == [[due]]


def test_answers_to_questions_of_the_old_episode_are_thrown_away_and_counted(tmp_path: Path) -> None:
    """The question was put at 0.3; the new episode begins at 0, and only its own questions move the robot."""
    rig = ChunkedArm(tmp_path, prefetch_ticks=1)
    arm, loop = rig.arm, rig.arm.rig.loop
    gate = Gate(arm)
    arm.places = np.array([0.3, 0.3])
    arm.tick()
    loop.new_episode()
    arm.places = np.zeros(2)
    gate.open.set()
    while not rig.sent:
        arm.tick()
        if (open_request := loop.active.chunks._requested) is not None:
            open_request.result(10.0)
    assert gate.asked[:2] == [pytest.approx(0.3), 0.0]
    assert np.abs(np.array(rig.sent[0])).max() <= MAX_STEP
    assert loop.counters.dropped_answers == 1
    loop.close()


def test_a_policy_that_waits_to_take_over_forgets_its_question_too(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    rig = ChunkedArm(tmp_path)
    arm, loop = rig.arm, rig.arm.rig.loop
    other = Arm(tmp_path / "other", horizon=HORIZON, action_steps=4, prefetch_ticks=1)
    gate, successor = Gate(other), other.rig.loop.active
    loop.swap.hand_over(successor, lambda: None)
    arm.places = np.array([0.3, 0.3])
    for _ in range(3):
        arm.tick()
    assert successor.chunks._requested is not None
    loop.new_episode()
    arm.places = np.zeros(2)
    gate.open.set()
    while loop.active is not successor:
        arm.tick()
        if successor.chunks._requested is not None:
            successor.chunks._requested.result(10.0)
    assert gate.asked == [pytest.approx(0.3), 0.0]
    assert loop.counters.dropped_answers == 1
    loop.close()


@pytest.mark.parametrize("periods", [0, 1, 2])
@pytest.mark.parametrize("end", ["pause", "hang", "deactivation", "home"])
def test_whoever_ends_commanding_before_the_first_observation_stops_the_old_chunk(
    tmp_path: Path, end: str, periods: int
) -> None:
    """An episode begins and is interrupted at once: no observation will come that replaces the rest of the chunk."""
    rig = ChunkedArm(tmp_path)
    rig.walk()
    loop, timer = rig.arm.rig.loop, rig.arm.rig.timer
    before, plan = len(rig.sent), rig.sent[-1]
    loop.episodes.new_number(-np.inf)
    for _ in range(periods):
        rig.arm.tick(told=False)
    assert rig.sent[before:] == []
    timer.now_s = loop._interruption.began + 0.5 * PERIOD_S
    if end == "pause":
        loop.episodes.pause("an operator called")
    elif end == "hang":
        loop.enter_failsafe()
    elif end == "deactivation":
        loop.stop()
    else:
        loop.episodes.go_home = lambda: None
        loop.episodes.new_number(-np.inf)
    assert rig.sent[before:] == [[plan[max(1, periods)]]]
    rig.arm.tick()
    if end in ("pause", "home"):
        assert len(rig.sent) == before + 1


def test_numbers_that_nothing_measures_follow_the_old_chunk_until_it_is_cut(tmp_path: Path) -> None:
    """The robot went on along it meanwhile: the point that was due at the episode's begin is behind it."""
    document = arm_document()
    del document["command"]["entries"][1]["measured"]
    rig = ChunkedArm(tmp_path, document)
    rig.walk()
    before, plan = len(rig.sent), rig.sent[-1]
    rig.arm.rig.loop.new_episode()
    for _ in range(3):
        rig.arm.tick(told=False)
    rig.arm.places = np.zeros(2)
    rig.arm.wants = np.full((HORIZON, 2), np.nan)
    rig.arm.tick()
    assert rig.sent[before:] == [[[0.0, plan[4][1]]]]
