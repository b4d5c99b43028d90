"""Pauses, homing and the end of a task, on a hand-fed loop: the robot's commands, and discarded actions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm_rig import MAX_STEP, Arm, arm_document
from loop_rig import PERIOD_S

from vdd_ros.control.episodes import Phase
from vdd_ros.control.task_end import TaskEnd
from vdd_ros.errors import RobotFileError
from vdd_ros.robot.robot_file import RobotFile

HORIZON = 8


class Homed:
    """An arm with a home service that answers when a test says so."""

    def __init__(self, folder: Path, *, home: bool = True, **settings: Any) -> None:
        self.arm = Arm(folder, **settings)
        self.episodes = self.arm.rig.loop.episodes
        self.calls = 0
        if home:
            self.episodes.go_home = self._call

    def _call(self) -> None:
        self.calls += 1

    @property
    def counters(self) -> Any:
        return self.arm.rig.loop.counters

    def move(self, ticks: int = 4) -> None:
        """Let the policy move the arm, which follows."""
        self.arm.wants = np.full_like(self.arm.wants, 1.0)
        for _ in range(ticks):
            before = len(self.arm.commands)
            self.arm.tick()
            if len(self.arm.commands) > before:
                self.arm.places = self.arm.commands[-1]

    def stands(self, ticks: int = 3) -> bool:
        """Whether nothing is commanded for some ticks."""
        before = len(self.arm.commands)
        for _ in range(ticks):
            self.arm.tick()
        return len(self.arm.commands) == before


@pytest.mark.parametrize(
    ("how", "phase"), [("pause", "paused"), ("end", "homing"), ("send_home", "homing"), ("end without home", "ended")]
)
def test_a_phase_without_commands_is_told_after_the_last_one(tmp_path: Path, how: str, phase: str) -> None:
    rig = Homed(tmp_path, home=how != "end without home")
    rig.move()
    told: list[tuple[str, int]] = []
    rig.episodes.entered = lambda name: told.append((name, rig.counters.failsafes))
    getattr(rig.episodes, how.split(maxsplit=1)[0])("by hand")
    assert told == [(phase, 1)]


def test_a_pause_ends_commanding_at_once_and_lasts_until_the_resumption(tmp_path: Path) -> None:
    rig = Homed(tmp_path)
    rig.move()
    rig.episodes.pause("by hand")
    assert rig.stands()
    assert (rig.counters.paused, rig.counters.failsafes) == (3, 1)
    rig.episodes.new_number(0.0)  # whoever paused it decides when it goes on
    rig.episodes.end("the task is over")
    assert rig.stands()
    assert rig.calls == 0
    assert rig.episodes.resume() == "an episode begins with the next tick"
    rig.arm.places = np.array([-0.5, 0.5])  # somebody moved it meanwhile
    for _ in range(2):
        rig.arm.tick()
    assert np.abs(rig.arm.commands[-1] - rig.arm.places).max() <= MAX_STEP + 1e-9
    assert rig.episodes.resume() == "it is already running"


def test_a_pause_within_a_tick_stops_that_ticks_command(tmp_path: Path) -> None:
    """The request comes from another thread, while the policy computes."""
    rig = Homed(tmp_path)
    rig.move()
    act = rig.arm.rig.policy.act

    def slow(*given: Any) -> Any:
        rig.episodes.pause("by hand")
        return act(*given)

    rig.arm.rig.policy.act = slow  # type: ignore[method-assign, assignment]
    assert rig.stands(1)


def test_a_pause_replaces_the_rest_of_a_trajectory_by_the_point_that_is_due(tmp_path: Path) -> None:
    arm = Arm(tmp_path, horizon=HORIZON, action_steps=4, trajectories=True)
    arm.wants = np.repeat(MAX_STEP * np.arange(1, HORIZON + 1)[:, None], 2, axis=1)
    arm.tick()
    arm.tick()
    sent = arm.rig.out.trajectories
    chunk = sent[-1]
    arm.rig.loop.episodes.pause("by hand")
    assert sent[1:] in ([[chunk[1]]], [[chunk[2]]])  # of this tick or the next
    before = len(sent)
    for _ in range(3):
        arm.tick()
    assert len(sent) == before


def test_a_new_number_calls_home_and_the_answer_begins_the_episode(tmp_path: Path) -> None:
    rig = Homed(tmp_path)
    rig.move()
    rig.episodes.new_number(0.0)
    rig.episodes.new_number(0.0)  # once is enough
    assert rig.calls == 1
    assert rig.stands()
    assert rig.episodes.phase is Phase.HOMING
    rig.arm.places = np.zeros(2)
    rig.episodes.homed("")
    for _ in range(2):
        rig.arm.tick()
    assert rig.episodes.running
    assert np.abs(rig.arm.commands[-1]).max() <= MAX_STEP + 1e-9
    rig.episodes.homed("")  # an answer that nobody waits for
    assert rig.episodes.running


def test_a_robot_that_does_not_get_home_stands_until_somebody_decides(tmp_path: Path) -> None:
    rig = Homed(tmp_path)
    rig.move()
    rig.episodes.new_number(0.0)
    rig.episodes.homed("/home did not answer within 60 s")
    assert rig.stands()
    assert rig.episodes.phase is Phase.ENDED
    assert rig.episodes.failed
    assert rig.episodes.reason == "the robot did not reach home: /home did not answer within 60 s"
    rig.episodes.new_number(0.0)
    assert (rig.calls, rig.episodes.failed) == (2, False)


def test_a_pause_on_the_way_home_waits_for_the_answer_too(tmp_path: Path) -> None:
    rig = Homed(tmp_path)
    rig.move()
    rig.episodes.end("the task is over")
    rig.episodes.pause("by hand")
    rig.episodes.resume()
    assert rig.episodes.phase is Phase.HOMING
    rig.episodes.pause("by hand")
    rig.episodes.homed("")
    assert rig.stands()
    rig.episodes.resume()
    rig.move(3)
    assert not rig.stands(1)


def test_a_way_home_that_fails_during_a_pause_is_told_and_stays_a_pause(tmp_path: Path) -> None:
    rig = Homed(tmp_path)
    rig.move()
    rig.episodes.end("the task is over")
    rig.episodes.pause("by hand")
    rig.episodes.homed("the brake is on")
    assert rig.stands()
    assert (rig.episodes.phase, rig.episodes.failed) == (Phase.PAUSED, True)
    assert rig.episodes.reason == "by hand; the robot did not reach home: the brake is on"
    rig.episodes.resume()
    rig.move(2)
    assert (rig.episodes.running, rig.episodes.failed, rig.episodes.reason) == (True, False, "")


def test_without_home_the_end_of_a_task_waits_for_the_next_number(tmp_path: Path) -> None:
    rig = Homed(tmp_path, home=False)
    rig.move()
    rig.episodes.end("the task is over")
    assert rig.stands()
    assert rig.episodes.reason == "the episode is over: the task is over"
    rig.episodes.new_number(-np.inf)
    assert not rig.stands(2)


def test_activation_runs_whatever_came_before(tmp_path: Path) -> None:
    rig = Homed(tmp_path)
    rig.move()
    rig.episodes.new_number(0.0)
    rig.arm.rig.loop.stop()
    rig.arm.rig.loop.start()
    rig.episodes.homed("too late")
    assert rig.episodes.running
    assert not rig.stands(2)


def test_a_successor_takes_over_during_a_pause(tmp_path: Path) -> None:
    (tmp_path / "next").mkdir()
    rig, after = Homed(tmp_path), Arm(tmp_path / "next").rig.loop.active
    rig.move()
    rig.episodes.pause("by hand")
    taken: list[bool] = []
    rig.arm.rig.loop.swap.hand_over(after, lambda: taken.append(True))
    assert rig.stands(5)
    assert taken == [True]


def done_document(**rule: Any) -> dict[str, Any]:
    return arm_document() | {"episodes": {"done": rule}}


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ({"entry": "elbow", "above": 0.3}, 0.31),
        ({"entry": "elbow", "below": -0.3}, -0.31),
    ],
)
def test_a_task_is_over_once_its_rule_has_held_for_its_time(tmp_path: Path, rule: dict[str, Any], place: float) -> None:
    """In the first instant in which the entry has been beyond the bound for `for_s`, and no tick earlier."""
    robot = RobotFile.from_dict(done_document(**rule, for_s=2.5 * PERIOD_S))
    done = TaskEnd.of(robot)
    spec = Arm(tmp_path).rig.policy.spec
    assert done is not None
    seen = [0.0, place, 0.0, *[place] * 6]
    held = [
        done.holds(np.array([0.0, elbow], np.float32), spec, 10.0 + tick * PERIOD_S) for tick, elbow in enumerate(seen)
    ]
    assert held == [False] * 6 + [True] * 3


def test_a_rule_that_holds_from_the_start_says_nothing_until_it_was_broken(tmp_path: Path) -> None:
    """Otherwise a robot that cannot leave its goal would be sent home for ever."""
    done, spec = TaskEnd.of(RobotFile.from_dict(done_document(entry="elbow", above=0.3))), Arm(tmp_path).rig.policy.spec
    assert done is not None

    def holds(elbow: float) -> bool:
        return done.holds(np.array([0.0, elbow], np.float32), spec, 1.0)

    assert [holds(elbow) for elbow in (0.4, 0.4, 0.2, 0.4)] == [False, False, False, True]
    done.reset()
    assert not holds(0.4)


def test_the_bound_is_in_the_unit_of_the_robot_file(tmp_path: Path) -> None:
    """The policy observes radians, the robot file reads degrees."""
    document = done_document(entry="elbow", above=90.0)
    document["inputs"]["arm"]["entries"]["elbow"]["unit"] = "deg"
    document["command"]["entries"][1] |= {"unit": "deg"}
    done, spec = TaskEnd.of(RobotFile.from_dict(document)), Arm(tmp_path).rig.policy.spec
    assert done is not None
    places = [0.0, 1.57, 1.58]
    assert [done.holds(np.array([0.0, elbow], np.float32), spec, 1.0) for elbow in places] == [False, False, True]


def test_the_rule_ends_the_episode_in_the_loop(tmp_path: Path) -> None:
    document = done_document(entry="shoulder", above=0.05)
    robot = RobotFile.from_dict(document)
    rig = Homed(tmp_path, document=document, task_end=TaskEnd.of(robot))
    rig.move(8)
    assert rig.calls == 1
    assert rig.episodes.reason == "waiting for the robot to reach home: shoulder above 0.05"
    assert rig.arm.places[0] <= 0.05 + 2 * MAX_STEP
    rig.arm.places = np.zeros(2)
    rig.episodes.homed("")
    rig.move(8)
    assert rig.calls == 2


@pytest.mark.parametrize(
    ("episodes", "words"),
    [
        ({"done": {"entry": "wrist", "above": 1}}, r"episodes.done.entry: is 'wrist'; .* shoulder, elbow"),
        ({"done": {"entry": "elbow"}}, "episodes.done: has neither `above` nor `below`"),
        ({"done": {"entry": "elbow", "above": 1, "below": 0}}, "episodes.done: has both `above` and `below`"),
        ({"done": {"entry": "elbow", "above": "high"}}, "episodes.done.above: must be a number"),
        ({"done": {"entry": "elbow", "above": 1, "for_s": -1}}, "episodes.done.for_s: is -1; it must be 0 or more"),
        ({"done": {"topic": "/done", "above": 1}}, "episodes.done.above: is unknown here"),
        ({"home": {}}, "episodes.home: must be a mapping"),
        ({"home": {"servce": "/home"}}, "episodes.home.service: is missing, but 'servce' is there"),
        ({"home": {"service": "/home", "timeout_s": 0}}, "episodes.home.timeout_s: must be above zero"),
        ({"topic": "an episode"}, "episodes.topic: is 'an episode' with ' '"),
        ({"start": "/go"}, "episodes.start: is unknown here; allowed are done, home, topic"),
        ({}, "episodes: must be a mapping with at least one key"),
    ],
    ids=str,
)
def test_wrong_rules_are_refused_with_their_path(episodes: dict[str, Any], words: str) -> None:
    with pytest.raises(RobotFileError, match=words):
        RobotFile.from_dict(arm_document() | {"episodes": episodes})


def test_a_pause_that_comes_while_an_episode_begins_is_not_lost(tmp_path: Path) -> None:
    """Whatever the ticks do at that instant, the last word is the pause."""
    rig = Homed(tmp_path, home=False)
    rig.move()
    begin = rig.episodes._begin

    def begin_late(since_s: float) -> None:
        rig.episodes.pause("by hand")
        begin(since_s)

    rig.episodes._begin = begin_late
    rig.episodes.new_number(-np.inf)
    assert rig.stands()
    rig.episodes.resume()
    assert rig.stands()
    rig.episodes._begin = begin
    rig.episodes.resume()
    assert not rig.stands(3)


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("answer", [None, "", "it did not answer within 60 s"])
def test_a_deactivation_on_the_way_home_stops_the_robot_once_more(
    tmp_path: Path, answer: str | None, *, paused: bool
) -> None:
    """The fail-safe came before the call of the home service, which moves the robot, also after a time-out."""
    arm = _arm_with_stop(tmp_path)
    episodes = arm.rig.loop.episodes
    episodes.send_home("an operator called")
    assert arm.rig.out.calls == 1
    if paused:
        episodes.pause("an operator called")
    if answer is not None:
        episodes.homed(answer)
    arm.rig.loop.stop()
    arm.rig.loop.stop()
    assert arm.rig.out.calls == (1 if answer == "" else 2)


def test_a_deactivation_on_the_way_home_that_fails_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arm = _arm_with_stop(tmp_path)
    arm.rig.loop.episodes.send_home("an operator called")

    def fail(*_: object) -> None:
        raise OSError("no more memory")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no more memory"):
        patch.setattr(arm.rig.out, "request_stop", fail)
        arm.rig.loop.stop()
    arm.rig.loop.stop()
    assert arm.rig.out.calls == 2


def _arm_with_stop(tmp_path: Path) -> Arm:
    """Return an arm with `on_loss: call` that has moved and can be sent home."""
    document = arm_document()
    document["command"] |= {"on_loss": "call", "loss_service": "halt"}
    arm = Arm(tmp_path, document)
    arm.rig.loop.episodes.go_home = lambda: None
    arm.tick()
    return arm
