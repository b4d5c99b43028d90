"""Trajectories during lost ticks: the next one starts from the robot's position at that time."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm_rig import MAX_STEP, Arm, arm_document
from loop_rig import PERIOD_S


class Followed:
    """An arm that follows its trajectories in real time, also while nothing ticks."""

    def __init__(self, folder: Path) -> None:
        self.arm = Arm(folder, arm_document(max_error=math.inf), horizon=8, action_steps=4, trajectories=True)
        self.began_s = 0.0
        self.points = np.zeros((1, 2))
        self.went: list[np.ndarray] = []

    def pass_periods(self, count: int) -> None:
        """Let time pass, in which the robot goes on."""
        for _ in range(count):
            self.arm.rig.time_s += PERIOD_S
            done = round((self.arm.rig.time_s - self.began_s) / PERIOD_S)
            self.arm.places = self.points[min(max(done - 1, 0), len(self.points) - 1)]

    def tick(self) -> None:
        """Tick, and return the next set point."""
        rig = self.arm.rig
        sent = len(rig.out.trajectories)
        self.arm.tell(self.arm.places)
        rig.loop.tick(rig.time_s, 0.0)
        if len(rig.out.trajectories) > sent:
            self.began_s, self.points = rig.time_s, np.array(rig.out.trajectories[-1])
        done = round((rig.time_s - self.began_s) / PERIOD_S)
        self.went.append(self.points[min(done, len(self.points) - 1)])

    def plan(self) -> list[list[float]]:
        """Let the policy move the robot for six ticks, and return the trajectory that is under way."""
        self.arm.wants = np.array([2.0, -2.0])
        for _ in range(6):
            self.pass_periods(1)
            self.tick()
        return self.arm.rig.out.trajectories[-1]


@pytest.mark.parametrize("lost", [1, 2, 5, 9])
@pytest.mark.parametrize("after", [1, 2, 3, 4])
@pytest.mark.parametrize("end", ["goes on", "loss"])
def test_a_robot_does_not_leap_back_after_lost_ticks(tmp_path: Path, lost: int, after: int, end: str) -> None:
    """A process that was held up: neither the next chunk nor the end of the last one begins at a point that is over."""
    followed = Followed(tmp_path)
    followed.arm.wants = np.array([2.0, -2.0])
    for _ in range(8 + after):
        followed.pass_periods(1)
        followed.tick()
    followed.pass_periods(lost)
    place = followed.arm.places
    followed.pass_periods(1)
    if end == "loss":
        followed.arm.wants = np.full(2, math.nan)
        followed.arm.rig.loop.active.chunks.drop()
    followed.tick()
    for _ in range(6):
        followed.pass_periods(1)
        followed.tick()
    leaps = np.diff([place, *followed.went[8 + after :]], axis=0)
    assert np.abs(leaps).max() <= MAX_STEP * (2 + 1e-6)
    assert (leaps * np.array([1.0, -1.0])).min() >= -1e-9, "it never goes back"


@pytest.mark.parametrize("way", ["hangs", "no tick begins", "deactivated"])
@pytest.mark.parametrize("periods", [3, 5])
def test_the_end_of_a_trajectory_is_where_the_robot_is_by_then(tmp_path: Path, way: str, periods: int) -> None:
    """Whoever notices it, after however long: the point that is due then is the last one."""
    followed = Followed(tmp_path)
    rig, plan = followed.arm.rig, followed.plan()
    if way == "hangs":
        run = rig.loop.active.chunks.next

        def hang(*given: Any) -> Any:
            rig.timer.now_s += periods * PERIOD_S
            assert rig.loop.check_overdue()
            return run(*given)

        rig.loop.active.chunks.next = hang  # type: ignore[method-assign, assignment]
        followed.pass_periods(1)
        followed.tick()
    else:
        rig.timer.now_s += (periods + 1) * PERIOD_S
        (rig.loop.enter_failsafe if way == "no tick begins" else rig.loop.stop)()
    assert rig.out.trajectories[-1] == [plan[2 + periods]]
    assert rig.loop.counters.failsafes == 1


@pytest.mark.parametrize("way", ["enter_failsafe", "stop"])
@pytest.mark.parametrize("share", [0.02, 0.4, 0.6, 0.98])
def test_the_end_of_a_trajectory_between_two_ticks_does_not_hurry_the_robot(
    tmp_path: Path, share: float, way: str
) -> None:
    """A pause or a deactivation comes between ticks; the last point is reached a period later."""
    followed = Followed(tmp_path)
    rig, plan = followed.arm.rig, followed.plan()
    rig.timer.step_s = 0.0
    rig.timer.now_s = rig.loop._interruption.began + share * PERIOD_S
    getattr(rig.loop, way)()
    shoulder = [place for place, _ in plan]
    there = np.interp(1 + share, np.arange(len(plan) + 1), [shoulder[0] - MAX_STEP, *shoulder])
    (last,) = rig.out.trajectories[-1]
    assert 0 <= last[0] - there <= MAX_STEP * (1 + 1e-9)
