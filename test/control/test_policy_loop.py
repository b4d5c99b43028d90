"""The policy node's tick, with synthetic messages and times: commands, their instants, and records."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from loop_rig import AVOIDING, MakeRig, Rig
from policy_files import (
    DIFFUSIONS,
    MIXTURES,
    ONE_STEPS,
    diffusion_parameters,
    mixture_parameters,
    mixture_spec,
    write_policy,
)
from robot_messages import pose

from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile


def expected_action(observation: np.ndarray, goal: np.ndarray | None = None, **spec: Any) -> np.ndarray:
    """Return the likeliest expert's mean, within the policy's limits, from the closed form."""
    parameters = mixture_parameters(mixture_spec(**spec))
    mean = parameters.means(observation, goal)[parameters.gating(observation, goal).argmax()]
    return np.clip(mean, -0.01, 0.01)


def test_command_is_the_newest_value_plus_the_action(rig: MakeRig) -> None:
    """What goes out is the set point of the robot file: desired position plus displacement."""
    made = rig()
    made.see((0.5, 0.1), (0.49, 0.09), now_s=10.0)
    made.loop.tick(10.01, 0.0)
    expected = np.array([0.5, 0.1]) + expected_action(np.array([[0.5, 0.1, 0.49, 0.09]]))
    np.testing.assert_allclose(made.out.commands, [expected], atol=1e-6)
    assert made.out.records[0]["commanded"] == 1.0


def test_nothing_is_commanded_before_every_input_was_seen(rig: MakeRig) -> None:
    """The start gate: ticks are counted, nothing is commanded or recorded."""
    made = rig()
    made.loop.tick(10.0, 0.0)
    made.receive("desired", pose(0.5, 0.1, stamp_s=10.0), 10.0)
    made.loop.tick(10.01, 0.0)
    assert made.loop.observer.missing() == ("tcp",)
    assert (made.loop.counters.ticks, made.loop.counters.waiting) == (2, 2)
    assert not made.out.commands
    assert not made.out.records


def test_stale_input_stops_commands_until_it_comes_again(rig: MakeRig) -> None:
    """An input older than max_age_s (0.2 s) stops commands, even if the other is fresh."""
    made = rig()
    made.see((0.5, 0.1), (0.5, 0.1), now_s=10.0)
    made.receive("desired", pose(0.5, 0.1, stamp_s=10.15), 10.15)
    made.loop.tick(10.19, 0.0)
    made.loop.tick(10.21, 0.0)
    assert made.loop.observer.stale(10.21) == ["tcp"]
    assert (len(made.out.commands), made.loop.counters.stale) == (1, 1)
    made.see((0.5, 0.1), (0.5, 0.1), now_s=10.3)
    made.loop.tick(10.31, 0.0)
    assert len(made.out.commands) == 2


def test_age_is_that_of_the_oldest_input(rig: MakeRig) -> None:
    """The record tells how old the oldest of the newest values was."""
    made = rig()
    made.receive("tcp", pose(0.5, 0.1, stamp_s=10.0), 10.0)
    made.receive("desired", pose(0.5, 0.1, stamp_s=10.05), 10.05)
    made.loop.tick(10.06, 0.0)
    assert made.out.records[0]["observation_age_s"] == pytest.approx(0.06)


def test_message_without_stamp_has_the_time_of_its_receipt(rig: MakeRig) -> None:
    """Drivers that leave the stamp empty are dated by their arrival."""
    made = rig()
    made.receive("desired", pose(0.5, 0.1), 10.0)
    made.receive("tcp", pose(0.5, 0.1), 10.02)
    made.loop.tick(10.05, 0.0)
    assert made.out.records[0]["observation_age_s"] == pytest.approx(0.05)


@pytest.mark.parametrize("stamp_s", [9.0, 11.0])
def test_clocks_that_differ_are_named(rig: MakeRig, stamp_s: float) -> None:
    """A stamp that is off by more than max_age_s when it arrives is refused with the reason."""
    made = rig()
    made.see((0.5, 0.1), (0.5, 0.1), now_s=9.9)
    made.receive("tcp", pose(0.5, 0.1, stamp_s=stamp_s), 10.0)
    assert made.loop.counters.refused_messages == 1
    assert "are the clocks synchronised?" in made.loop.observer.last_refusal
    made.loop.tick(10.01, 0.0)
    assert len(made.out.commands) == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
def test_observation_that_is_not_finite_is_refused(rig: MakeRig, value: float) -> None:
    """A bad value never reaches the policy; the good one before it holds until it is stale."""
    made = rig()
    made.see((0.5, 0.1), (0.5, 0.1), now_s=10.0)
    made.receive("tcp", pose(value, 0.1, stamp_s=10.05), 10.05)
    made.loop.tick(10.1, 0.0)
    assert made.loop.counters.refused_messages == 1
    assert made.loop.observer.last_refusal == f"tcp: tcp_x is {value:g}, not finite in single precision"
    expected = np.array([0.5, 0.1]) + expected_action(np.array([[0.5, 0.1, 0.5, 0.1]]))
    np.testing.assert_allclose(made.out.commands, [expected], atol=1e-6)


def test_action_that_is_not_finite_is_dropped(rig: MakeRig) -> None:
    """A NaN from the policy is counted, not commanded, and leaves no trace in the next command."""
    made = rig(nan_above=0.6)
    made.see((0.7, 0.1), (0.5, 0.1), now_s=10.0)
    made.loop.tick(10.01, 0.0)
    assert not made.out.commands
    assert made.loop.commander.limits.refused == 1
    assert made.out.records[0]["commanded"] == 0.0
    made.see((0.5, 0.1), (0.5, 0.1), now_s=10.02)
    made.loop.tick(10.03, 0.0)
    expected = np.array([0.5, 0.1]) + expected_action(np.array([[0.5, 0.1, 0.5, 0.1]]))
    np.testing.assert_allclose(made.out.commands, [expected], atol=1e-6)


def test_command_is_limited_to_its_range(rig: MakeRig) -> None:
    """Less than a step of 0.02 m outside its range (x up to 0.85 m) a robot is commanded back; further out, nothing."""
    made = rig(action=tuple(Feature(n, "m", -1.0, 1.0) for n in ("delta_desired_x", "delta_desired_y")))
    made.see((0.9, 0.1), (0.9, 0.1), now_s=10.0)
    made.loop.tick(10.01, 0.0)
    assert (made.loop.commander.limits.unreachable, made.out.commands) == (1, [])
    made.see((0.86, 0.1), (0.86, 0.1), now_s=10.03)
    made.loop.tick(10.04, 0.0)
    assert made.loop.commander.limits.out_of_range[0] == 1
    assert made.out.commands[0][0] == pytest.approx(0.85)


def test_step_is_limited_from_the_value_it_is_relative_to(rig: MakeRig, tmp_path: Path) -> None:
    """A displacement above max_step is cut; a robot that was moved elsewhere starts from where it is."""
    document = yaml.safe_load(AVOIDING.read_text())
    for entry in document["command"]["entries"]:
        entry["max_step"] = 1e-4
    for entry in [entry for source in document["inputs"].values() for entry in source["entries"].values()]:
        entry["max_rate"] = math.inf
    made = Rig(rig().policy, RobotFile.from_dict(document))
    for now_s, start in ((10.0, 0.4), (10.1, 0.7)):
        made.see((start, 0.1), (start, 0.1), now_s=now_s)
        made.loop.tick(now_s + 0.01, 0.0)
        wanted = expected_action(np.array([[start, 0.1, start, 0.1]]))[0]
        assert made.out.commands[-1][0] == pytest.approx(start + math.copysign(1e-4, wanted), abs=1e-7)
    assert made.loop.commander.limits.too_far[0] == 2


def test_absolute_numbers_step_from_the_command_before(rig: MakeRig) -> None:
    """Beside a relative number, an absolute one that nothing measures is free at first and then limited to its step."""
    document = yaml.safe_load(AVOIDING.read_text())
    gripper = document["command"]["entries"][1]
    del gripper["relative_to"], gripper["measured"], gripper["first_step"]
    gripper["max_step"] = 1e-4
    made = Rig(rig().policy, RobotFile.from_dict(document))
    for now_s, y in ((10.0, -2.0), (10.1, 2.0)):
        made.see((0.5, y), (0.5, y), now_s=now_s)
        made.loop.tick(now_s + 0.01, 0.0)
    first, second = (expected_action(np.array([[0.5, y, 0.5, y]]))[1] for y in (-2.0, 2.0))
    assert made.out.commands[0][1] == pytest.approx(first, abs=1e-7)
    assert made.out.commands[1][1] == pytest.approx(first + math.copysign(1e-4, second - first), abs=1e-7)


def test_shadow_mode_does_everything_but_command(rig: MakeRig) -> None:
    """Records and experts come, commands do not."""
    made = rig(control=False)
    made.see((0.5, 0.1), (0.5, 0.1), now_s=10.0)
    made.loop.tick(10.01, 0.0)
    assert not made.out.commands
    assert len(made.out.experts) == 1
    assert made.out.records[0]["commanded"] == 0.0
    assert made.loop.counters.commands == 0


def test_records_are_numbered_without_gap(rig: MakeRig) -> None:
    """Ticks that wait or are stale make no gap, and neither does a new activation."""
    made = rig()
    made.loop.tick(9.9, 0.0)
    for now_s in (10.0, 10.1, 10.5, 10.6):
        made.see((0.5, 0.1), (0.5, 0.1), now_s=now_s)
        made.loop.tick(now_s + 0.01, 0.0)
    made.loop.tick(12.0, 0.0)
    made.loop.start()
    made.see((0.5, 0.1), (0.5, 0.1), now_s=13.0)
    made.loop.tick(13.01, 0.0)
    assert [record["seq"] for record in made.out.records] == [0, 1, 2, 3, 4]


def test_durations_are_those_of_the_timer(rig: MakeRig) -> None:
    """Four readings of a timer of 1 ms: each stage takes 1 ms, the total 3; bookkeeping is that of the tick before."""
    made = rig()
    for now_s in (10.0, 10.1):
        made.see((0.5, 0.1), (0.5, 0.1), now_s=now_s)
        made.loop.tick(now_s, 0.002)
    first, second = made.out.records
    for stage, milliseconds in (("assemble_s", 1), ("inference_s", 1), ("publish_s", 1), ("total_s", 3)):
        assert first[stage] == pytest.approx(1e-3 * milliseconds)
    assert first["bookkeeping_s"] == 0.0
    assert second["bookkeeping_s"] == pytest.approx(1e-3)
    assert second["period_s"] == pytest.approx(5e-3)
    assert second["lateness_s"] == 0.002
    assert second["stamp_s"] == 10.1


@pytest.mark.parametrize(("lateness_s", "missed"), [(0.031, 0.0), (0.033, 1.0)])
def test_deadline_counts_the_late_start(rig: MakeRig, lateness_s: float, missed: float) -> None:
    """With 3 ms of work in a period of 35 ms, a tick may start 32 ms late."""
    made = rig()
    made.see((0.5, 0.1), (0.5, 0.1), now_s=10.0)
    made.loop.tick(10.0, lateness_s)
    assert made.out.records[0]["deadline_missed"] == missed
    assert made.loop.counters.deadline_misses == missed


def test_dry_runs_change_nothing_that_comes_out(rig: MakeRig) -> None:
    """Before inputs were seen, between ticks and with stale input: only the ticks are seen."""
    plain, tried = rig(), rig()
    for now_s in (10.0, 10.1, 10.2):
        for made in (plain, tried):
            if made is tried:
                made.loop.dry_run(now_s)
            made.see((0.5, now_s - 10), (0.5, 0.1), now_s=now_s)
            if made is tried:
                made.loop.dry_run(now_s)
            made.loop.tick(now_s + 0.01, 0.0)
    tried.loop.dry_run(99.0)
    assert vars(tried.out) == vars(plain.out)
    assert tried.loop.counters == plain.loop.counters
    limits = [(made.loop.commander.limits.accepted, *made.loop.commander.limits.too_far) for made in (plain, tried)]
    assert limits[0] == limits[1]


def test_history_is_sampled_by_stamp(rig: MakeRig) -> None:
    """Rows are one period of training apart, whatever the rate of messages and ticks."""
    made = rig(history=2, rate_hz=10.0)
    for now_s, x in ((10.0, 0.3), (10.04, 0.4), (10.1, 0.5)):
        made.see((x, 0.1), (x, 0.1), now_s=now_s)
    made.loop.tick(10.15, 0.0)
    observation = np.array([[0.4, 0.1, 0.4, 0.1], [0.5, 0.1, 0.5, 0.1]])
    expected = np.array([0.5, 0.1]) + expected_action(observation, history=2, rate_hz=10.0)
    np.testing.assert_allclose(made.out.commands, [expected], atol=1e-6)


def test_new_episode_forgets_what_was_seen(rig: MakeRig) -> None:
    """After a new episode the start gate is closed until every input came again."""
    made = rig()
    made.see((0.5, 0.1), (0.5, 0.1), now_s=10.0)
    made.loop.tick(10.01, 0.0)
    made.loop.new_episode()
    made.loop.tick(10.02, 0.0)
    assert len(made.out.commands) == 1
    assert made.loop.observer.missing() == ("desired", "tcp")


@pytest.mark.parametrize("kind", MIXTURES)
def test_every_kind_of_mixture_acts_and_names_its_expert(rig: MakeRig, kind: str) -> None:
    """Students differ in how they were made; on the robot they are the same."""
    made = rig(method=kind)
    made.see((0.5, 0.1), (0.5, 0.1), now_s=10.0)
    made.loop.tick(10.01, 0.0)
    expected = np.array([0.5, 0.1]) + expected_action(np.array([[0.5, 0.1, 0.5, 0.1]]))
    np.testing.assert_allclose(made.out.commands, [expected], atol=1e-6)
    assert len(made.out.experts) == 1


@pytest.mark.parametrize("kind", DIFFUSIONS + ONE_STEPS)
def test_policies_without_experts_run_in_the_same_loop(tmp_path: Path, kind: str) -> None:
    """A teacher or a one-step policy acts on the noise of its seed; only the expert is missing."""
    policy = OnnxPolicy.load(write_policy(tmp_path / "policy.onnx", kind), seed=3)
    made = Rig(policy, RobotFile.load(AVOIDING))
    made.see((0.5, 0.1), (0.5, 0.1), now_s=10.0)
    made.loop.tick(10.01, 0.0)
    noise = np.random.default_rng(3).standard_normal(policy.spec.noise_shape, dtype=np.float32)
    action = diffusion_parameters(policy.spec).sample(np.array([[0.5, 0.1, 0.5, 0.1]]), noise)[0]
    np.testing.assert_allclose(made.out.commands, [np.array([0.5, 0.1]) + np.clip(action, -0.01, 0.01)], atol=1e-6)
    assert not made.out.experts


GOALS = np.array([[[0.6, 0.3, 0.6, 0.3], [0.7, 0.4, 0.7, 0.4]], [[0.2, 0.0, 0.2, 0.0], [0.1, 0.1, 0.1, 0.1]]])

SEEN = np.array([[0.5, 0.1, 0.5, 0.1]])


def test_nothing_is_commanded_before_the_first_goal(rig: MakeRig) -> None:
    """The goal is one more start gate; warm_up_runs wait for it too."""
    made = rig(goal_length=2)
    made.loop.tick(9.9, 0.0)
    assert made.loop.observer.missing() == ("desired", "tcp", "~/goal")
    made.see((0.5, 0.1), (0.5, 0.1), now_s=10.0)
    made.loop.dry_run(10.0)
    made.loop.tick(10.01, 0.0)
    assert (made.loop.observer.missing(), made.loop.counters.waiting, made.out.commands) == (("~/goal",), 2, [])
    made.loop.receive_goal(GOALS[0].ravel())
    made.loop.tick(10.05, 0.0)
    assert (made.loop.observer.missing(), len(made.out.commands)) == ((), 1)


def test_a_goal_holds_until_the_next_one(rig: MakeRig) -> None:
    """Over episodes too, and whatever the caller does with its array afterwards."""
    made, expected = rig(goal_length=2), []
    for now_s, new in ((10.0, 0), (10.1, None), (10.2, 1), (10.3, None)):
        if new is not None:
            message = GOALS[new].ravel().copy()
            made.loop.receive_goal(message)
            message[:] = 0
            held = GOALS[new]
        if now_s == 10.3:
            made.loop.new_episode()
        made.see((0.5, 0.1), (0.5, 0.1), now_s=now_s)
        made.loop.dry_run(now_s)
        made.loop.tick(now_s + 0.01, 0.0)
        expected.append(np.array([0.5, 0.1]) + expected_action(SEEN, held, goal_length=2))
    np.testing.assert_allclose(made.out.commands, expected, atol=1e-6)
    assert not np.allclose(expected[0], expected[2], atol=1e-4)
    assert (made.loop.counters.goals, made.loop.counters.refused_goals) == (2, 0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("goal", "reason"),
    [
        ([], "~/goal: 0 numbers; it must be (2, 4) in one row"),
        ([0.5] * 7, "~/goal: 7 numbers"),
        ([0.5] * 16, "~/goal: 16 numbers"),
        ([0.5] * 7 + [math.nan], "~/goal: value not finite in single precision"),
        ([0.5] * 7 + [1e300], "~/goal: value not finite in single precision"),
    ],
)
def test_a_goal_that_does_not_fit_is_refused_and_the_old_one_stays(
    rig: MakeRig, goal: list[float], reason: str
) -> None:
    """Counted, with the reason."""
    made = rig(goal_length=2)
    made.loop.receive_goal(goal)
    assert (made.loop.counters.refused_goals, made.loop.observer.missing()[-1]) == (1, "~/goal")
    made.loop.receive_goal(GOALS[0].ravel())
    made.loop.receive_goal(goal)
    assert (made.loop.counters.refused_goals, made.loop.counters.goals) == (2, 1)
    assert made.loop.observer.last_refusal.startswith(reason)
    made.see((0.5, 0.1), (0.5, 0.1), now_s=10.0)
    made.loop.tick(10.01, 0.0)
    action = expected_action(SEEN, GOALS[0], goal_length=2)
    np.testing.assert_allclose(made.out.commands, [np.array([0.5, 0.1]) + action], atol=1e-6)
