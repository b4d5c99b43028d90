"""Clocks that jump or stand still, over DDS: no command about a past that is over, and commands again afterwards.

What a loop does about them is tested exactly in test/control/test_clock_faults.py.
"""

import time
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from node_rig import FAST_HZ, MakeNode, started
from ros_helpers import DEADLINE_S, Bench

pytest.importorskip("rclpy")

from fault_rig import SimulatedRobot, Watched

from vdd_ros.nodes.policy.session import PolicySession

HOUR_S = 3600.0
MAX_AGE_S = 0.2  # of both inputs of Avoiding


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
            released.wait(10 * DEADLINE_S)

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
    bench.wait(lambda: getattr(counters, counter) > before, "the jump to be noticed")
    watched.pass_time(0.1)  # whatever is on its way
    commanded, heard = counters.commands, len(watched.commands)
    watched.pass_time(0.5 * MAX_AGE_S)
    watched.pass_time(MAX_AGE_S, lambda: watched.publish(valid=False))  # of a sensor whose clock was not set
    assert (counters.commands, len(watched.commands)) == (commanded, heard)
    watched.run_for_commands(20, offset_s=jump_s)
    watched.await_diagnosis(lambda _, values: int(values[counter]) > before, "the counter", offset_s=jump_s)
    assert (node.state, counters.clock_jumps) == ("active", int(jump_s < 0))
    assert counters.failsafes >= 1
    watched.check()


@pytest.fixture
def simulated(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedRobot]:
    """A robot in simulated time; all commands of the test are checked at its end."""
    monkeypatch.setattr("vdd_ros.nodes.policy_node.DIAGNOSTICS_PERIOD_S", 0.2)
    simulated = SimulatedRobot(bench)
    yield simulated
    simulated.watched.check()


@pytest.mark.parametrize("jump_s", [-9 * HOUR_S, HOUR_S])
def test_simulated_time_jumps(make_node: MakeNode, simulated: SimulatedRobot, jump_s: float) -> None:
    """As when a simulation restarts: nothing is commanded until the sensors have the new time."""
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
        return "policy" in watched.said and "time does not advance" in watched.said["policy"][0]

    watched.bench.wait(told, "the diagnosis")
    assert (counters.ticks, len(watched.commands)) == (ticks, commanded)
    simulated.run()

    def over() -> bool:
        simulated.advance()
        return "time does not advance" not in watched.said["policy"][0]

    watched.bench.wait(over, "the end of the diagnosis")
    assert (node.state, counters.clock_jumps) == ("active", 0)


def test_a_clock_that_never_ran_is_reported(make_node: MakeNode, bench: Bench) -> None:
    """The usual mistake: use_sim_time without a simulation."""
    watched = Watched(bench)
    started(make_node(use_sim_time=True))
    watched.await_diagnosis(lambda message, _: "is /clock published?" in message, "the diagnosis")
    assert not watched.commands
