"""A robot that does not follow its commands: they wait beside it, and after a while nothing is commanded."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm_rig import MAX_ERROR, MAX_STEP, Arm, arm_document
from loop_rig import PERIOD_S
from robot_messages import joint_state

from vdd_ros.control.active_policy import ActivePolicy
from vdd_ros.errors import PolicyFileError
from vdd_ros.robot.robot_file import RobotFile


def steps(commands: np.ndarray) -> float:
    """Return the longest step of any joint."""
    return float(np.abs(np.diff(commands, axis=0)).max())


def test_commands_wait_beside_a_robot_that_stands(tmp_path: Path) -> None:
    """An emergency stop: whatever the policy wants, no command is further than max_error from the robot."""
    arm = Arm(tmp_path)
    arm.wants = np.array([2.0, 0.1])
    arm.run(0.9, noise=1e-4)
    assert np.abs(arm.commands).max() <= MAX_ERROR + 1e-3
    assert arm.commands[-1] == pytest.approx([MAX_ERROR, 0.1], abs=1e-3)
    assert arm.rig.loop.commander.limits.waited[0] > 0
    assert arm.rig.loop.commander.limits.waited[1] == 0
    assert (arm.blocked, arm.rig.loop.counters.failsafes) == ("", 0)


@pytest.mark.parametrize("timeout_s", [0.5, 1.0, 3.0])
def test_a_longer_wait_is_a_loss_until_the_next_episode(tmp_path: Path, timeout_s: float) -> None:
    """Even if the robot moves meanwhile, because somebody carries it home, nothing is commanded."""
    arm = Arm(tmp_path, follow_timeout_s=timeout_s)
    arm.wants = np.array([2.0, 0.1])
    reaches_s = MAX_ERROR / MAX_STEP * PERIOD_S
    arm.run(reaches_s + timeout_s - 3 * PERIOD_S, noise=1e-4)
    assert not arm.blocked
    arm.run(6 * PERIOD_S, noise=1e-4)
    assert "does not follow its commands" in arm.blocked
    assert "shoulder (max_error 0.143 rad)" in arm.blocked
    assert "elbow" not in arm.blocked
    assert (arm.rig.loop.counters.not_followed, arm.rig.loop.counters.failsafes) == (1, 1)
    sent = len(arm.commands)
    arm.places = np.array([0.5, -0.5])
    arm.run(2.0, noise=1e-3)
    assert (len(arm.commands), arm.rig.loop.counters.failsafes) == (sent, 1)
    arm.rig.loop.new_episode()
    arm.run(PERIOD_S, noise=0.0)
    assert arm.commands[sent:] == pytest.approx(np.array([[0.5 + MAX_STEP, -0.5 + MAX_STEP]]), abs=1e-6)


def test_other_losses_in_between_do_not_make_the_wait_shorter(tmp_path: Path) -> None:
    """The input is lost for a moment every half a second: what was waited before still counts."""
    arm = Arm(tmp_path)
    arm.wants = np.array([2.0, 0.1])
    for _ in range(8):
        arm.run(0.6, noise=1e-4)
        arm.rig.time_s += 0.3
        arm.tick(told=False)
    assert arm.rig.loop.counters.stale > 1
    assert "does not follow" in arm.blocked


def test_a_robot_that_is_let_go_does_not_leap(tmp_path: Path) -> None:
    """It goes on from where the command waited, a step at a time, to where the policy wants it."""
    arm = Arm(tmp_path)
    arm.wants = np.array([1.0, -1.0])
    arm.run(0.8, noise=1e-5)
    arm.run(3.0, lag_s=0.08)
    assert arm.places == pytest.approx([1.0, -1.0], abs=1e-2)
    assert steps(arm.commands) <= MAX_STEP + 1e-9
    assert (arm.blocked, arm.rig.loop.counters.failsafes) == ("", 0)


def test_a_robot_that_is_pushed_away_is_followed_step_by_step(tmp_path: Path) -> None:
    """The command comes back to within max_error of it, by no more than max_step a tick."""
    arm = Arm(tmp_path)
    arm.run(0.5, lag_s=0.0)
    for place in np.linspace(0.0, 0.6, 20):
        arm.places = np.array([place, 0.0])
        arm.tick()
    for _ in range(10):
        arm.tick()
    assert arm.commands[-1] == pytest.approx([0.6 - MAX_ERROR, 0.0], abs=1e-6)
    assert steps(arm.commands) <= MAX_STEP + 1e-9


@pytest.mark.parametrize("lag_s", [0.0, 0.05, 0.1, 0.2])
@pytest.mark.parametrize("grid", [0.0, 0.01])
def test_robots_that_lag_are_not_taken_for_one_that_stands(tmp_path: Path, lag_s: float, grid: float) -> None:
    """At full speed for seconds, to and fro, and at rest for long: no command waits, nothing is frozen."""
    arm = Arm(tmp_path)
    for target in (2.5, -2.5, 0.0):
        arm.wants = np.array([target, -target])
        arm.run(6.0, lag_s=lag_s, grid=grid)
    arm.run(20.0, lag_s=lag_s, grid=grid)
    counters = arm.rig.loop.counters
    assert (arm.blocked, counters.failsafes, counters.not_followed) == ("", 0, 0)
    assert arm.rig.loop.commander.limits.waited.tolist() == [0, 0]
    assert arm.rig.loop.commander.following.times_frozen == {"arm": 0}


def test_a_robot_that_keeps_a_constant_distance_within_the_bound_is_well(tmp_path: Path) -> None:
    """Gravity and friction: the joints rest bit by bit beside a command that rests too."""
    arm = Arm(tmp_path)
    arm.wants = np.array([0.5, 0.0])
    arm.run(1.0, lag_s=0.05)
    arm.places = arm.commands[-1] - 0.1
    arm.run(60.0)
    assert (arm.blocked, arm.rig.loop.commander.following.times_frozen) == ("", {"arm": 0})


def test_a_driver_that_is_frozen_is_noticed_although_its_stamps_are_fresh(tmp_path: Path) -> None:
    """Commands that swing within max_error: what is measured should change, and does not in one bit."""
    arm = Arm(tmp_path)
    told = []
    for tick in range(200):
        arm.wants = np.array([0.0, 0.1 if tick // 10 % 2 else -0.1])
        arm.tick()
        told.append(list(arm.rig.loop.commander.following.frozen) if len(arm.commands) == tick + 1 else [])
    assert len(arm.commands) < 2.0 / PERIOD_S
    assert "arm has not changed by a single bit" in arm.blocked
    assert "is its driver frozen" in arm.blocked
    assert ["arm"] in told
    assert arm.rig.loop.commander.following.times_frozen == {"arm": 1}
    assert arm.rig.loop.commander.limits.waited.tolist() == [0, 0]
    assert (arm.rig.loop.counters.not_followed, arm.rig.loop.counters.failsafes) == (1, 1)


def frozen_arm(folder: Path, document: dict[str, Any] | None = None) -> Arm:
    """Return an arm whose driver was frozen for too long."""
    arm = Arm(folder, document)
    for tick in range(200):
        arm.wants = np.array([0.0, 0.1 if tick // 10 % 2 else -0.1])
        arm.tick()
    assert arm.blocked
    return arm


def test_a_driver_that_wakes_is_believed_again(tmp_path: Path) -> None:
    """From where the robot is then: the first command steps from there."""
    arm = frozen_arm(tmp_path)
    sent = len(arm.commands)
    arm.places = np.array([0.15, 0.0])
    arm.wants = np.array([1.0, 0.0])
    arm.run(1.0, lag_s=0.05)
    assert arm.commands[sent] == pytest.approx([0.15 + MAX_STEP, 0.0], abs=1e-6)
    assert not arm.blocked


def test_a_frozen_reference_is_noticed_though_all_commands_are_the_same(tmp_path: Path) -> None:
    """Displacements of what is measured: a robot that never moves gets the same set point for ever."""
    document = arm_document()
    for entry in document["command"]["entries"]:
        entry["relative_to"] = entry["measured"]
    arm = Arm(tmp_path, document)
    arm.wants = np.array([0.0, 0.01])
    arm.run(4.0)
    assert len(arm.commands) < 2.5 / PERIOD_S
    assert len(set(arm.commands[:, 1])) == 1
    assert "arm has not changed by a single bit" in arm.blocked


@pytest.mark.parametrize("bias", [1e-4, 1e-3])
def test_small_displacements_of_a_robot_at_rest_are_no_fault(tmp_path: Path, bias: float) -> None:
    """For two minutes: friction holds it, the policy hardly wants to move."""
    document = arm_document()
    for entry in document["command"]["entries"]:
        entry["relative_to"] = entry["measured"]
    arm = Arm(tmp_path, document)
    rng = np.random.default_rng(1)
    for _ in range(round(120 / PERIOD_S)):
        arm.wants = bias + 2e-3 * rng.standard_normal(2)
        arm.tick()
    assert (arm.blocked, arm.rig.loop.commander.following.times_frozen) == ("", {"arm": 0})


def test_a_robot_that_rests_long_and_then_moves_late_is_no_fault(tmp_path: Path) -> None:
    """How long it rested before does not count: the command has only just begun to move."""
    arm = Arm(tmp_path)
    arm.run(60.0)
    arm.wants = np.array([0.12, 0.0])
    arm.run(0.4)
    assert not arm.blocked
    arm.run(2.0, lag_s=0.1)
    assert not arm.blocked


def test_a_joint_that_is_held_while_another_moves_is_not_frozen(tmp_path: Path) -> None:
    """A finger on an object, with a coarse encoder: its command swings within max_error; the message changes."""
    arm = Arm(tmp_path)
    for tick in range(400):
        arm.wants = np.array([math.sin(0.05 * tick), 0.1 if tick // 10 % 2 else -0.1])
        arm.tick()
        arm.places = np.array([arm.commands[-1][0], 0.0])
    assert (arm.blocked, arm.rig.loop.commander.following.times_frozen) == ("", {"arm": 0})


def test_nobody_follows_a_shadow(tmp_path: Path) -> None:
    """In shadow mode others command the robot: what the shadow would have commanded is no fault of the robot's."""
    arm = Arm(tmp_path, control=False)
    arm.wants = np.array([2.0, 0.1])
    arm.run(5.0)
    assert (arm.blocked, arm.rig.loop.counters.failsafes) == ("", 0)
    assert arm.rig.loop.commander.limits.waited.tolist() == [0, 0]


@pytest.mark.parametrize("change", [{"max_error": math.inf}, {"max_step": math.inf}, {"measured": None}])
def test_unbounded_numbers_follow_the_policy(tmp_path: Path, change: dict[str, Any]) -> None:
    """An explicit .inf, no max_step to tell what is far, nothing that measures: the policy's target is commanded."""
    arm = Arm(tmp_path, arm_document(**change))
    arm.wants = np.array([0.5, -0.5])
    arm.run(5.0)
    assert arm.commands[-1] == pytest.approx([0.5, -0.5])
    assert not arm.blocked


def test_the_bound_of_the_robot_file(tmp_path: Path) -> None:
    arm = Arm(tmp_path, arm_document(max_error=0.05))
    arm.wants = np.array([0.5, -0.5])
    arm.run(0.5, noise=1e-6)
    assert arm.commands[-1] == pytest.approx([0.05, -0.05], abs=1e-5)


def test_a_free_first_command_is_bounded_too(tmp_path: Path) -> None:
    arm = Arm(tmp_path, first_action="free")
    arm.wants = np.array([2.0, 0.1])
    arm.tick()
    assert arm.commands[0] == pytest.approx([MAX_ERROR, 0.1])


class Chunked:
    """An arm that follows its newest trajectory, point by point."""

    def __init__(self, folder: Path, action_steps: int, horizon: int = 8) -> None:
        self.arm = Arm(folder, horizon=horizon, action_steps=action_steps, trajectories=True)
        self.due: list[list[float]] = []
        self.plan: list[list[float]] = []

    def run(self, seconds: float, *, stands: bool, noise: float = 1e-5) -> None:
        rng = np.random.default_rng(2)
        arm = self.arm
        for _ in range(round(seconds / PERIOD_S)):
            arm.rig.time_s += PERIOD_S
            arm.tell(arm.places + noise * rng.standard_normal(2))
            sent = len(arm.rig.out.trajectories)
            arm.rig.loop.tick(arm.rig.time_s, 0.0)
            if len(arm.rig.out.trajectories) > sent:
                self.plan = list(arm.rig.out.trajectories[-1])
            point = self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]
            self.due.append(point)
            if not stands:
                arm.places = np.array(point)


@pytest.mark.parametrize("action_steps", [1, 4, 8])
def test_trajectories_wait_too(tmp_path: Path, action_steps: int) -> None:
    """No point is due further than max_error from a robot that stands, whenever the chunk with it came."""
    chunked = Chunked(tmp_path, action_steps)
    chunked.arm.wants = np.array([2.0, -2.0])
    chunked.run(0.7, stands=False)
    chunked.run(0.7, stands=True)
    place = chunked.arm.places
    assert np.abs(np.array(chunked.due) - place)[-20:].max() <= MAX_ERROR + MAX_STEP + 1e-3
    assert chunked.due[-1] == pytest.approx(place + np.array([MAX_ERROR, -MAX_ERROR]), abs=1e-3)
    assert steps(np.array(chunked.due)) <= MAX_STEP + 1e-9
    assert (chunked.arm.blocked, chunked.arm.rig.loop.counters.failsafes) == ("", 0)
    chunked.run(0.5, stands=False)
    assert steps(np.array(chunked.due)) <= MAX_STEP + 1e-9
    chunked.run(2.0, stands=True)
    assert "does not follow" in chunked.arm.blocked
    sent = len(chunked.arm.rig.out.trajectories)
    chunked.run(1.0, stands=True)
    assert (len(chunked.arm.rig.out.trajectories), chunked.arm.rig.loop.counters.failsafes) == (sent, 1)


@pytest.mark.parametrize("action_steps", [1, 4, 8])
def test_trajectories_that_are_followed_are_not_cut(tmp_path: Path, action_steps: int) -> None:
    chunked = Chunked(tmp_path, action_steps)
    for target in (2.0, -2.0, 0.0):
        chunked.arm.wants = np.array([target, -target])
        chunked.run(8.0, stands=False)
    assert all(len(points) == 8 for points in chunked.arm.rig.out.trajectories)
    assert chunked.arm.rig.loop.commander.limits.waited.tolist() == [0, 0]
    assert not chunked.arm.blocked


def standing(folder: Path) -> Arm:
    """Return an arm whose robot did not follow for too long."""
    arm = Arm(folder)
    arm.wants = np.array([2.0, 0.1])
    arm.run(2.0, noise=1e-4)
    assert arm.blocked
    return arm


@pytest.mark.parametrize("back_s", [0.1, 1.0, 3600.0])
def test_a_clock_that_is_set_back_does_not_let_a_robot_go(tmp_path: Path, back_s: float) -> None:
    """Nobody has freed it: what is over with an episode or an activation is not over with a step of the clock."""
    arm = standing(tmp_path)
    sent = len(arm.commands)
    arm.rig.time_s -= back_s
    arm.run(2.0, noise=1e-4)
    assert arm.rig.loop.counters.clock_jumps == 1
    assert len(arm.commands) == sent
    assert "does not follow" in arm.blocked
    arm.rig.loop.new_episode()
    arm.run(PERIOD_S)
    assert (len(arm.commands), arm.blocked) == (sent + 1, "")


def test_a_driver_that_wakes_after_the_clock_was_set_back_is_believed(tmp_path: Path) -> None:
    arm = frozen_arm(tmp_path)
    sent = len(arm.commands)
    arm.rig.time_s -= 1.0
    arm.run(1.0)
    assert len(arm.commands) == sent
    arm.places = np.array([0.15, 0.0])
    arm.run(1.0, lag_s=0.05)
    assert len(arm.commands) > sent


def test_another_policy_does_not_make_the_wait_longer(tmp_path: Path) -> None:
    """It is the same robot that does not follow."""
    once, other = Arm(tmp_path), Arm(tmp_path)
    for arm in (once, other):
        arm.wants = np.array([2.0, 0.1])
        arm.run(0.9, noise=1e-4)
        assert not arm.blocked
    active = ActivePolicy.of(other.rig.policy, RobotFile.from_dict(arm_document()), period_s=PERIOD_S)
    active.observer.receive("arm", joint_state(other.rig.time_s, shoulder=0.0, elbow=0.0), other.rig.time_s)
    other.rig.loop.take_over(active)
    ticks = []
    for arm in (once, other):
        while not arm.blocked:
            arm.run(PERIOD_S, noise=1e-4)
        ticks.append(arm.rig.loop.counters.ticks)
    assert ticks[1] - ticks[0] in (0, 1)


def test_the_error_names_the_remedy_for_a_lagging_robot(tmp_path: Path) -> None:
    assert "increase the max_error of the entry in the robot file" in standing(tmp_path).blocked


@pytest.mark.parametrize("why", ["stale", "broken"])
def test_one_thread_at_a_time_enters_the_failsafe(tmp_path: Path, why: str) -> None:
    """A watchdog, or a deactivation, may do the same at that moment, with the same message in hand."""
    document = arm_document()
    document["command"] |= {"on_loss": "call", "loss_service": "halt"}
    arm = Arm(tmp_path, document)
    arm.run(0.5, lag_s=0.05)
    alone: list[bool] = []
    arm.rig.out.request_stop = lambda: alone.append(arm.rig.loop._interruption.sending.locked())  # type: ignore[method-assign]
    if why == "stale":
        arm.rig.time_s += 1.0
    else:

        def broken(*_: Any) -> None:
            raise PolicyFileError("broken")

        arm.rig.policy.act = broken  # type: ignore[method-assign, assignment]
    arm.tick(told=why == "broken")
    assert alone == [True]


def seldom(folder: Path, *, frozen: bool) -> Arm:
    """Return an arm that follows displacements, after 20 s in which its sensor spoke every 1.4 s."""
    document = arm_document()
    document["inputs"]["arm"]["max_age_s"] = 3.0
    for entry in document["command"]["entries"]:
        entry["relative_to"] = entry["measured"]
    arm = Arm(folder, document)
    arm.wants = np.array([0.02, -0.02])
    for tick in range(600):
        arm.tick(told=tick % 40 == 0)
        if not frozen:
            arm.places = arm.places + 0.1 * (arm.commands[-1] - arm.places)
    return arm


def test_a_sensor_that_is_slower_than_the_timeout_is_not_frozen(tmp_path: Path) -> None:
    """Between two of its messages it has said nothing; `max_age_s` allows for that."""
    arm = seldom(tmp_path, frozen=False)
    assert (arm.blocked, arm.rig.loop.counters.failsafes, len(arm.commands)) == ("", 0, 600)
    assert arm.rig.loop.commander.following.times_frozen == {"arm": 0}


def test_a_slow_sensor_that_is_frozen_is_noticed(tmp_path: Path) -> None:
    """With its next message or the one after."""
    arm = seldom(tmp_path, frozen=True)
    assert "arm has not changed by a single bit" in arm.blocked
    assert len(arm.commands) <= 81
