"""Messages of one input that contradict each other: refused, counted, a loss where they go on, and never for ever."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from arm_rig import JOINTS, MAX_STEP, Arm, arm_document
from loop_rig import AVOIDING, PERIOD_S, Rig
from policy_files import write_mixture
from robot_messages import pose

from vdd_ros.control.active_policy import ActivePolicy
from vdd_ros.errors import RobotFileError
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

MAX_AGE_S = 0.2
ALLOWED = 10 * MAX_STEP
"""Largest change of a joint's value between messages: ten times that of its command in a period."""


def told(arm: Arm, *places: Sequence[float], spacing_s: float = 0.004) -> None:
    """Let a period pass in which these messages come, one after the other."""
    arm.rig.time_s += PERIOD_S
    for number, place in enumerate(places):
        arm.tell(place, later_s=spacing_s * number - spacing_s * len(places))
    arm.rig.loop.tick(arm.rig.time_s, 0.0)


def contradictions(arm: Arm) -> int:
    """Return the refused messages."""
    return arm.rig.loop.observer.contradictions["arm"]


def displacing() -> dict[str, Any]:
    """Return the robot file of an arm that is commanded relative to where it is."""
    document = arm_document()
    for entry in document["command"]["entries"]:
        entry["relative_to"] = entry["measured"]
    return document


TRUE, ZEROS = (1.0, -0.8), (0.0, 0.0)


@pytest.mark.parametrize("first", [TRUE, ZEROS])
def test_a_second_publisher_does_not_swing_the_command(tmp_path: Path, first: tuple[float, float]) -> None:
    """Whoever came first is believed for max_age_s at most; then nothing is commanded, as nobody knows who is right."""
    arm = Arm(tmp_path)
    arm.wants = np.array(first)
    for _ in range(10):
        told(arm, first)
    settled = len(arm.commands)
    arm.wants = np.array([first[0] + 0.1, first[1]])
    for _ in range(120):
        told(arm, TRUE, ZEROS)
    commands = arm.commands[settled:]
    assert len(commands) <= math.ceil(MAX_AGE_S / PERIOD_S) + 1
    assert (np.diff(arm.commands[:, 0]) >= -1e-9).all(), "it never swings back"
    assert contradictions(arm) == 120
    assert arm.rig.loop.counters.refused_messages == 120
    assert arm.rig.loop.counters.failsafes == 1
    assert arm.rig.loop.counters.contradicted > 100
    assert "changed by" in arm.rig.loop.observer.last_refusal
    assert "does this topic have two publishers?" in arm.rig.loop.observer.last_refusal
    assert "If not, increase the entry's max_rate in the robot file" in arm.rig.loop.observer.last_refusal


def test_the_command_goes_on_when_one_of_them_leaves(tmp_path: Path) -> None:
    """Once nothing contradicted for max_age_s: from where the robot is, as after every loss."""
    arm = Arm(tmp_path)
    arm.wants = np.array(TRUE)
    for _ in range(30):
        told(arm, TRUE, ZEROS)
    sent = len(arm.commands)
    arm.wants = np.array([2.0, -0.8])
    silent = 0
    while len(arm.commands) == sent:
        told(arm, TRUE)
        silent += 1
    assert silent == math.ceil(MAX_AGE_S / PERIOD_S)
    assert arm.commands[-1] == pytest.approx([TRUE[0] + MAX_STEP, TRUE[1]])


def test_nothing_is_commanded_where_two_publish_from_the_start(tmp_path: Path) -> None:
    """The first message may be the wrong one, and the first command would leap to it."""
    arm = Arm(tmp_path)
    arm.wants = np.array([0.5, 0.5])
    for _ in range(100):
        told(arm, ZEROS, TRUE)
    assert not len(arm.commands)


@pytest.mark.parametrize("seconds", [0.07, 0.3, 1.0])
def test_publishers_that_take_turns_do_not_pass(tmp_path: Path, seconds: float) -> None:
    """Commands are where the robot seems to be; where they leap, it is after a loss, with its pause and its guards."""
    arm = Arm(tmp_path, displacing())
    losses: list[int] = []
    for turn in range(20):
        for _ in range(round(seconds / PERIOD_S)):
            told(arm, (TRUE, ZEROS)[turn % 2])
            losses += [arm.rig.loop.counters.failsafes] * (len(arm.commands) - len(losses))
    leaps = np.abs(np.diff(arm.commands[:, 0])) > 0.5
    assert (np.diff(losses)[leaps] == 1).all()
    assert np.count_nonzero(leaps) == (19 if seconds > 3 * MAX_AGE_S else 0)
    assert contradictions(arm) > 0


def test_a_real_jump_is_a_loss_and_then_believed(tmp_path: Path) -> None:
    """A driver that counts from another zero: within twice max_age_s commands begin again, from there."""
    arm = Arm(tmp_path)
    arm.wants = np.array(TRUE)
    for _ in range(10):
        told(arm, TRUE)
    sent = len(arm.commands)
    arm.wants = np.array([-1.0, 0.0])
    elsewhere = (-2.0, 1.0)
    silent_s = 0.0
    while len(arm.commands) == sent or np.abs(arm.commands[-1] - np.array(TRUE)).max() < 1.0:
        told(arm, elsewhere)
        silent_s += PERIOD_S
        assert silent_s < 1.0
    assert arm.rig.loop.counters.failsafes == 1
    assert silent_s <= 2 * MAX_AGE_S + 3 * PERIOD_S
    assert arm.commands[-1] == pytest.approx([-2.0 + MAX_STEP, 1.0 - MAX_STEP])


def test_a_new_episode_may_begin_elsewhere(tmp_path: Path) -> None:
    """At once, and without a refusal."""
    arm = Arm(tmp_path)
    for place in (TRUE, (-2.0, 1.0), ZEROS):
        arm.rig.loop.new_episode()
        told(arm, place)
    assert (len(arm.commands), contradictions(arm), arm.rig.loop.counters.refused_messages) == (3, 0, 0)


def test_an_input_that_comes_back_elsewhere_after_a_gap_starts_over(tmp_path: Path) -> None:
    """Also where the gap lies between two ticks, so that none of them saw a stale input: the command must not leap."""
    arm, elsewhere = Arm(tmp_path, displacing()), (2.5, -2.5)
    for _ in range(5):
        told(arm, ZEROS)
    arm.rig.time_s += 0.15
    arm.rig.loop.tick(arm.rig.time_s, 0.0)
    sent = len(arm.commands)
    arm.rig.time_s += 0.1
    arm.tell(elsewhere)
    arm.rig.loop.tick(arm.rig.time_s, 0.0)
    assert arm.rig.loop.counters.stale == 0
    assert (len(arm.commands), arm.rig.loop.counters.failsafes) == (sent, 1)
    for _ in range(8):
        told(arm, elsewhere)
    assert arm.commands[-1] == pytest.approx(elsewhere)


def test_one_wrong_message_is_left_out_and_no_more(tmp_path: Path) -> None:
    """A glitch is refused and counted; the commands go on without it."""
    arm = Arm(tmp_path)
    for number in range(60):
        told(arm, (0.0, 0.0), *([(0.0, 2.0)] if number % 20 == 10 else []))
    assert contradictions(arm) == 3
    assert (len(arm.commands), arm.rig.loop.counters.failsafes) == (60, 0)


@pytest.mark.parametrize("speed", [0.5, 5.0, 0.95 * ALLOWED / PERIOD_S])
@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_a_robot_that_moves_fast_contradicts_nothing(tmp_path: Path, speed: float, noise: float) -> None:
    """Up to ten times as fast as its commands: thrown by hand, or let go by a brake."""
    rng = np.random.default_rng(0)
    arm = Arm(tmp_path)
    for tick in range(100):
        place = (1 - abs(1 - tick * PERIOD_S * speed % 2)) * np.ones(2) + noise * rng.standard_normal(2)
        told(arm, tuple(place))
    assert contradictions(arm) == 0


def test_bursts_contradict_nothing(tmp_path: Path) -> None:
    """Messages without a stamp that waited somewhere: dated by their arrival they seem to lie close together."""
    document = arm_document()
    document["inputs"]["arm"]["stamp"] = "arrival"
    arm = Arm(tmp_path, document)
    for burst in range(20):
        told(arm, *[(0.01 * (5 * burst + number), 0.0) for number in range(5)], spacing_s=1e-4)
    assert contradictions(arm) == 0
    assert arm.rig.loop.counters.refused_messages == 0


@pytest.mark.parametrize("unit", ["rad", "deg"])
def test_an_angle_that_jumps_by_once_around_contradicts_nothing(tmp_path: Path, unit: str) -> None:
    """An encoder that gives -pi to pi; half of that is a contradiction."""
    around = 2 * math.pi if unit == "rad" else 360.0
    arm = Arm(tmp_path, arm_document(max_error=math.inf), units=(unit, unit))
    document = arm.rig.loop.observer.inputs["arm"].source.entries
    assert [entry.unit for entry in document] == ["rad", "rad"]
    for tick in range(100):
        angle = 0.1 * tick
        told(arm, (math.remainder(angle, 2 * math.pi), 0.0))
    assert contradictions(arm) == 0
    told(arm, (math.remainder(angle + 1.0, 2 * math.pi), 0.0))
    assert contradictions(arm) == 1
    assert around > 1


def test_a_refusal_for_another_reason_is_not_a_contradiction(tmp_path: Path) -> None:
    """An old message, and one that is not finite, however far from the newest."""
    arm = Arm(tmp_path)
    told(arm, ZEROS)
    arm.tell(TRUE, later_s=-0.02)
    assert "stamp not newer" in arm.rig.loop.observer.last_refusal
    for later_s, value in ((0.01, math.nan), (0.02, math.inf), (0.03, 1e300)):
        arm.rig.loop.observer.last_refusal = ""
        arm.tell((value, 0.0), later_s=later_s)
        assert "not finite" in arm.rig.loop.observer.last_refusal
    assert contradictions(arm) == 0


def avoiding(folder: Path, *, measured: bool = True, **rates: float) -> Rig:
    """Return a rig of Avoiding with input rates; the tool's measures the commands, or none does."""
    document = yaml.safe_load(AVOIDING.read_text())
    if not measured:
        for entry in document["command"]["entries"]:
            del entry["measured"]
    for source in document["inputs"].values():
        for name in rates.keys() & source["entries"].keys():
            source["entries"][name]["max_rate"] = rates[name]
    policy = OnnxPolicy.load(write_mixture(folder / "p.onnx"), expert="greedy")
    return Rig(policy, RobotFile.from_dict(document))


def test_a_second_publisher_of_the_reference_does_not_swing_the_command(tmp_path: Path) -> None:
    """Commands relative to an input leap with it, whatever their max_step: it may not leap."""
    rig = avoiding(tmp_path)
    for _ in range(120):
        rig.time_s += PERIOD_S
        for number, (x, y) in enumerate(((0.6, 0.3), (0.3, 0.0))):
            rig.receive("desired", pose(x, y, rig.time_s - 0.01 + 0.005 * number), rig.time_s - 0.01 + 0.005 * number)
        rig.receive("tcp", pose(0.6, 0.3, rig.time_s), rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
    assert len(rig.out.commands) < 2 or np.abs(np.diff(rig.out.commands, axis=0)).max() < 0.05
    assert rig.loop.observer.contradictions == {"desired": 120, "tcp": 0}


@pytest.mark.parametrize("measured", [True, False])
def test_a_rate_of_the_robot_file(tmp_path: Path, measured: bool) -> None:
    """Whether the entry measures a command or none: 2 m/s are 7 cm a period."""
    rig = avoiding(tmp_path, measured=measured, tcp_x=2.0)
    for x in (0.5, 0.55, 0.65, 0.58, 0.58):
        rig.time_s += PERIOD_S
        rig.see((0.5, 0.1), (x, 0.1), rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
    assert rig.loop.observer.contradictions == {"desired": 0, "tcp": 1}
    assert "tcp: tcp_x changed by 0.1 within" in rig.loop.observer.last_refusal


@pytest.mark.parametrize("rates", [{}, {"tcp_x": math.inf, "tcp_y": math.inf}])
def test_no_rate(tmp_path: Path, rates: dict[str, float]) -> None:
    """With .inf an input may leap; one that nothing limits is not watched at all, nor one that measures no command."""
    rig = avoiding(tmp_path, measured=bool(rates), desired_x=math.inf, desired_y=math.inf, **rates)
    for x in (0.3, 0.8, 0.3):
        rig.time_s += PERIOD_S
        rig.see((x, 0.1), (x, 0.1), rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
    assert (rig.loop.observer.contradictions, len(rig.out.commands)) == ({}, 3)


@pytest.mark.parametrize("rate", [0, -1.0, "fast", math.nan])
def test_rates_that_cannot_be_meant(rate: Any) -> None:
    document = arm_document()
    document["inputs"]["arm"]["entries"][JOINTS[0]]["max_rate"] = rate
    with pytest.raises(RobotFileError, match="max_rate: must be"):
        RobotFile.from_dict(document)


def test_messages_queued_before_an_episode_are_ignored(tmp_path: Path) -> None:
    """A thread that was held up takes the episode's number first, and then what was published before that."""
    rig = avoiding(tmp_path)
    rig.see((0.8, 0.4), (0.8, 0.4), 10.0)
    rig.loop.tick(10.0, 0.0)
    rig.loop.new_episode(10.05)
    rig.see((0.8, 0.4), (0.8, 0.4), 10.04)
    assert rig.loop.observer.missing() == ("desired", "tcp")
    rig.see((0.3, 0.0), (0.3, 0.0), 10.06)
    rig.loop.tick(10.07, 0.0)
    assert rig.out.commands[-1] == pytest.approx([0.3, 0.0], abs=0.011)
    assert rig.loop.counters.refused_messages == 0


def test_counters_of_inputs_do_not_go_back_where_another_policy_takes_over(tmp_path: Path) -> None:
    """They are of the inputs, which stay the same."""
    arm = Arm(tmp_path)
    for _ in range(12):
        told(arm, TRUE, ZEROS)
    arm.rig.time_s += 1.0
    arm.tick(told=False)
    told(arm, *[TRUE] * 9, spacing_s=1e-5)
    before = arm.rig.loop.observer
    counted = before.contradictions, dict(before.times_stale), dict(before.too_fast)
    assert all(0 not in each.values() for each in counted)
    arm.rig.loop.take_over(ActivePolicy.of(arm.rig.policy, RobotFile.from_dict(arm_document()), period_s=PERIOD_S))
    after = arm.rig.loop.observer
    assert (after.contradictions, after.times_stale, after.too_fast) == counted
    assert after is not before
