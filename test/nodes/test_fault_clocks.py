"""Clocks that jump, differ or stand still: no command about a past that is over, and commands again afterwards."""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from loop_rig import AVOIDING, PERIOD_S, Rig
from node_rig import FAST_HZ, MakeNode, started
from policy_files import write_mixture
from robot_messages import pose
from ros_helpers import Bench

pytest.importorskip("rclpy")

from fault_rig import SimulatedRobot, Watched

from vdd_ros.nodes.policy.session import PolicySession
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

HOUR_S = 3600.0
MAX_AGE_S = 0.2  # of both inputs of Avoiding


@pytest.fixture
def rig(tmp_path: Path) -> Callable[..., Rig]:
    """Make rigs for Avoiding's robot."""

    def make(history: int = 1) -> Rig:
        path = write_mixture(tmp_path / "policy.onnx", history=history)
        return Rig(OnnxPolicy.load(path, expert="greedy"), RobotFile.load(AVOIDING))

    return make


def run(made: Rig, from_s: float, ticks: int, place: float = 0.5) -> float:
    """Tick with fresh observations; return the time after the last tick."""
    for tick in range(ticks):
        made.see((place, 0.1), (place, 0.1), from_s + tick * PERIOD_S)
        made.loop.tick(from_s + tick * PERIOD_S + 0.001, 0.0)
    return from_s + ticks * PERIOD_S


@pytest.mark.parametrize("back_s", [1.0, HOUR_S])
def test_clock_set_back_begins_anew(rig: Callable[..., Rig], back_s: float) -> None:
    """Nothing is commanded from what was seen before; messages of the new time are taken at once."""
    made = rig()
    now_s = run(made, 10 * HOUR_S, 5) - back_s
    made.loop.tick(now_s, 0.0)
    made.loop.tick(now_s + 0.03, 0.0)
    assert len(made.out.commands) == 5
    assert (made.loop.counters.clock_jumps, made.loop.counters.failsafes) == (1, 1)
    run(made, now_s + 0.04, 3, place=0.7)
    assert len(made.out.commands) == 8
    assert made.out.commands[5][0] == pytest.approx(0.7, abs=0.021)
    assert made.loop.counters.clock_jumps == 1
    assert made.loop.counters.refused_messages == 0


def test_message_after_the_clock_was_set_back_is_taken(rig: Callable[..., Rig]) -> None:
    """Also where it comes before the next tick."""
    made = rig()
    now_s = run(made, 10 * HOUR_S, 5) - HOUR_S
    run(made, now_s, 1)
    assert (len(made.out.commands), made.loop.counters.clock_jumps) == (6, 1)
    assert made.loop.counters.refused_messages == 0


def test_clock_that_creeps_back_is_found(rig: Callable[..., Rig]) -> None:
    """Small steps add up; one of less than a period alone is no jump."""
    made = rig()
    now_s = run(made, 100.0, 2)
    made.loop.tick(now_s - 1.6 * PERIOD_S, 0.0)
    assert made.loop.counters.clock_jumps == 0
    made.loop.tick(now_s - 2.2 * PERIOD_S, 0.0)
    assert made.loop.counters.clock_jumps == 1


def test_messages_that_waited_do_not_set_the_clock_back(rig: Callable[..., Rig]) -> None:
    """A node that was held up takes them input by input: the first one of the second is older than the last before."""
    made = rig(history=3)
    before_s = run(made, 100.0, 5)
    now_s = before_s + 3 * PERIOD_S
    for name in ("desired", "tcp"):
        for late in range(4):
            at_s = before_s + late * PERIOD_S
            made.receive(name, pose(0.5 + 0.01 * late, 0.1, stamp_s=at_s), now_s, at_s)
    made.loop.tick(now_s, 0.0)
    assert (len(made.out.commands), made.loop.counters.clock_jumps, made.loop.counters.failsafes) == (6, 0, 0)
    assert made.loop.observer.sample(now_s)[:, 0] == pytest.approx([0.51, 0.52, 0.53])
    assert made.loop.counters.refused_messages == 0


@pytest.mark.parametrize("back_s", [0.5 * MAX_AGE_S, HOUR_S])
def test_message_from_before_the_clock_was_set_back(rig: Callable[..., Rig], back_s: float) -> None:
    """It waited meanwhile; it does not keep later ones from being seen for longer than max_age_s."""
    made = rig()
    before_s = run(made, 10 * HOUR_S, 5)
    now_s = before_s - back_s
    for name in ("desired", "tcp"):
        made.receive(name, pose(0.5, 0.1, stamp_s=before_s), now_s, before_s)
    assert made.loop.counters.clock_jumps == 1
    run(made, now_s, math.ceil(MAX_AGE_S / PERIOD_S) + 1)
    commanded = len(made.out.commands)
    run(made, now_s + MAX_AGE_S + 3 * PERIOD_S, 3, place=0.7)
    assert len(made.out.commands) == commanded + 3
    assert made.loop.observer.newest_s() == pytest.approx(now_s + MAX_AGE_S + 5 * PERIOD_S)


def test_clock_set_forward_makes_all_stale_until_it_comes_again(rig: Callable[..., Rig]) -> None:
    made = rig(history=3)
    now_s = run(made, 100.0, 5) + HOUR_S
    made.loop.tick(now_s, 0.0)
    assert (len(made.out.commands), made.loop.counters.stale, made.loop.counters.failsafes) == (5, 1, 1)
    run(made, now_s + 0.01, 2, place=0.7)
    assert len(made.out.commands) == 7


def test_after_a_loss_no_row_of_the_window_is_from_before_it(rig: Callable[..., Rig]) -> None:
    """A window that reaches back over the gap repeats the first value after it, as at the start."""
    made = rig(history=3)
    now_s = run(made, 100.0, 5) + 2 * MAX_AGE_S
    made.loop.tick(now_s, 0.0)
    made.see((0.7, 0.2), (0.7, 0.2), now_s + 0.01)
    assert made.loop.observer.sample(now_s + 0.02) == pytest.approx(
        made.loop.observer.sample(now_s + 0.02)[-1:].repeat(3, 0)
    )


def test_future_stamps_do_not_make_an_input_younger_than_its_arrival(rig: Callable[..., Rig]) -> None:
    """A sensor whose clock is ahead, but not too much, is stale max_age_s after its last message all the same."""
    made = rig()
    for name in ("desired", "tcp"):
        made.receive(name, pose(0.5, 0.1, stamp_s=100.0 + 0.9 * MAX_AGE_S), 100.0)
    made.loop.tick(100.0 + 0.99 * MAX_AGE_S, 0.0)
    assert len(made.out.commands) == 1
    made.loop.tick(100.0 + 1.01 * MAX_AGE_S, 0.0)
    assert (len(made.out.commands), made.loop.counters.stale) == (1, 1)


@pytest.mark.parametrize("offset_s", [-HOUR_S, HOUR_S])
def test_sensor_whose_stamps_jump_and_return(rig: Callable[..., Rig], offset_s: float) -> None:
    """Its messages are refused and counted while they are an hour off, and taken again afterwards."""
    made = rig()
    now_s = run(made, 100.0, 5)
    for tick in range(10):
        at_s = now_s + tick * PERIOD_S
        for name in ("desired", "tcp"):
            made.receive(name, pose(0.5, 0.1, stamp_s=at_s + offset_s), at_s)
        made.loop.tick(at_s, 0.0)
    assert made.loop.counters.refused_messages == 20
    assert made.loop.counters.stale >= 4
    commanded = len(made.out.commands)
    run(made, now_s + 10 * PERIOD_S, 3)
    assert len(made.out.commands) == commanded + 3
    assert made.loop.counters.clock_jumps == 0


def test_node_that_was_held_up_goes_on(make_node: MakeNode, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over DDS: what waited for more than a period is no sign that the clock was set back."""
    watched = Watched(bench)
    node = started(make_node())
    watched.run_for_commands(20)
    assert node.session is not None
    loop = node.session.loop
    held, released = Event(), Event()
    tick = loop.tick

    def hold_up(now_s: float, lateness_s: float) -> None:
        tick(now_s, lateness_s)
        if not held.is_set():
            held.set()
            released.wait(10)

    monkeypatch.setattr(loop, "tick", hold_up)
    bench.wait(held.is_set, "a tick")
    published = [0.0]

    def publish() -> None:
        if time.monotonic() > published[-1] + 2.0 / FAST_HZ:
            published.append(time.monotonic())
            watched.publish()

    watched.pass_time(0.1, publish)
    before = loop.counters.commands
    released.set()
    watched.run_until(lambda: loop.counters.commands > before + 5, "commands")
    assert loop.counters.clock_jumps == 0
    assert loop.counters.failsafes <= loop.counters.stale + loop.counters.overruns  # on a busy machine
    watched.check()


class SystemClock:
    """Stands for the module `time` in a node whose clock of the day was set."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return time.time() + self.offset_s


@pytest.mark.parametrize("jump_s", [-5.0, 5.0])
def test_the_systems_clock_jumps(
    make_node: MakeNode, bench: Bench, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    """For all of the machine, as where it is set: nothing old is commanded, and what is seen by the new time is."""
    monkeypatch.setattr("vdd_ros.nodes.policy_node.DIAGNOSTICS_PERIOD_S", 0.2)
    clock, on_input = SystemClock(), PolicySession._on_input

    def received(session: PolicySession, name: str, message: Any, received_s: float) -> None:
        on_input(session, name, message, received_s + clock.offset_s)  # DDS tells by the same clock

    monkeypatch.setattr("vdd_ros.nodes.policy.session.time", clock)
    monkeypatch.setattr(PolicySession, "_on_input", received)
    watched = Watched(bench)
    node = started(make_node())
    watched.run_for_commands(50)
    assert node.session is not None
    counters = node.session.loop.counters
    counter = "clock_jumps" if jump_s < 0 else "stale"
    before = getattr(counters, counter)  # on a busy machine something may have been stale
    clock.offset_s = jump_s
    bench.wait(lambda: getattr(counters, counter) > before, "the jump to be noticed", 1.0)
    watched.pass_time(0.1)  # whatever is on its way
    commanded, heard = counters.commands, len(watched.commands)
    watched.pass_time(0.5 * MAX_AGE_S)
    watched.pass_time(MAX_AGE_S, lambda: watched.publish(valid=False))  # of a sensor whose clock was not set
    assert (counters.commands, len(watched.commands)) == (commanded, heard)
    watched.run_for_commands(20, offset_s=jump_s)
    watched.await_diagnosis(lambda _, values: int(values[counter]) > before, "the counter", offset_s=jump_s)
    assert (node.state, counters.clock_jumps) == ("active", int(jump_s < 0))
    times_stale = max(node.session.loop.observer.times_stale.values())  # more than the jump's on a busy machine only
    assert 1 <= counters.failsafes <= int(jump_s < 0) + times_stale + counters.overruns
    watched.check()


@pytest.fixture
def simulated(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedRobot]:
    """A robot in simulated time; all commands of the test are checked at its end."""
    monkeypatch.setattr("vdd_ros.nodes.policy_node.DIAGNOSTICS_PERIOD_S", 0.2)
    simulated = SimulatedRobot(bench)
    yield simulated
    simulated.watched.check()


@pytest.mark.parametrize("jump_s", [-5.0, -9 * HOUR_S, HOUR_S])
def test_simulated_time_jumps(make_node: MakeNode, simulated: SimulatedRobot, jump_s: float) -> None:
    """As where a simulation begins anew: nothing is commanded until the sensors tell of the new time."""
    node = started(make_node(use_sim_time=True))
    watched = simulated.watched
    simulated.run()
    simulated.jump(jump_s)
    assert node.session is not None
    counters = node.session.loop.counters
    counter = "clock_jumps" if jump_s < 0 else "stale"

    def noticed() -> bool:
        simulated.advance(see=False)
        return getattr(counters, counter) > 0

    watched.bench.wait(noticed, "the jump to be noticed")
    commanded = counters.commands
    watched.pass_time(0.2, lambda: simulated.advance(see=False))
    assert counters.commands == commanded
    simulated.run()
    assert counters.clock_jumps == (jump_s < 0)
    watched.await_diagnosis(lambda _, values: int(values[counter]) > 0, "the counter", valid=None)
    assert node.state == "active"


def test_simulated_time_pauses(make_node: MakeNode, simulated: SimulatedRobot) -> None:
    """Nothing ticks and nothing is commanded, whatever the sensors say; diagnostics go on, and tell."""
    node = started(make_node(use_sim_time=True))
    watched = simulated.watched
    simulated.run()
    assert node.session is not None
    counters = node.session.loop.counters
    watched.pass_time(0.2, simulated.see)
    ticks, commanded = counters.ticks, len(watched.commands)

    def told() -> bool:
        simulated.see()
        return "policy" in watched.said and "time stands still" in watched.said["policy"][0]

    watched.bench.wait(told, "the diagnosis")
    assert (counters.ticks, len(watched.commands)) == (ticks, commanded)
    simulated.run()

    def over() -> bool:
        simulated.advance()
        return "time stands still" not in watched.said["policy"][0]

    watched.bench.wait(over, "the end of the diagnosis")
    assert (node.state, counters.clock_jumps) == ("active", 0)


def test_a_clock_that_never_ran_is_told(make_node: MakeNode, bench: Bench) -> None:
    """The usual mistake: use_sim_time without a simulation."""
    watched = Watched(bench)
    started(make_node(use_sim_time=True))
    watched.await_diagnosis(lambda message, _: "does anybody publish /clock?" in message, "the diagnosis")
    assert not watched.commands
