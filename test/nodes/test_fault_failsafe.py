"""However commanding ends, over real DDS: the robot is left as `on_loss` of its robot file says.

Every way that commanding ends is tried with one `on_loss` here, and with both in test/control/test_policy_loop.py.
"""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from node_rig import MakeNode, started
from ros_helpers import DEADLINE_S, Bench, node_process

pytest.importorskip("rclpy")

from fault_rig import MAX_AGE_S, Watched, pass_time
from velocity_rig import HELP, VelocityRobot

from vdd_ros.control.counters import Counters
from vdd_ros.errors import PolicyFileError
from vdd_ros.nodes.policy_node import PolicyNode

AGAIN_S = 1.0  # a service that is not there, or fails, is called again about so often
ON_LOSS = pytest.mark.parametrize("on_loss", ["zero", "call"])


@pytest.fixture
def moved(bench: Bench, tmp_path: Path, on_loss: str) -> VelocityRobot:
    """A robot that obeys velocities, with the test's `on_loss`."""
    return VelocityRobot(bench, tmp_path, on_loss)


def unseen(node: PolicyNode, moved: VelocityRobot) -> Counters:
    """Observe nothing until the node notices; return its counters."""
    assert node.session is not None
    loop = node.session.loop
    moved.bench.wait(lambda: loop.observer.stale(time.time()), "stale inputs")
    stale = loop.counters.stale
    moved.bench.wait(lambda: loop.counters.stale > stale, "the loss")
    return loop.counters


def lost(node: PolicyNode, moved: VelocityRobot) -> None:
    """Observe nothing until the robot is left."""
    unseen(node, moved)
    moved.bench.wait(moved.is_left, f"what on_loss {moved.on_loss} says")


def deactivate(node: PolicyNode, _moved: VelocityRobot) -> None:
    node.trigger_deactivate()


def deactivate_while_lost(node: PolicyNode, moved: VelocityRobot) -> None:
    lost(node, moved)
    node.trigger_deactivate()


def clean_up(node: PolicyNode, _moved: VelocityRobot) -> None:
    """Everything that the node had is gone at once."""
    node.trigger_deactivate()
    node.trigger_cleanup()


def shut_down(node: PolicyNode, _moved: VelocityRobot) -> None:
    node.trigger_shutdown()


def shut_down_while_lost(node: PolicyNode, moved: VelocityRobot) -> None:
    lost(node, moved)
    node.trigger_shutdown()


@pytest.mark.parametrize(
    ("end", "on_loss"),
    [
        (deactivate, "zero"),
        (deactivate, "call"),
        (deactivate_while_lost, "call"),
        (clean_up, "zero"),
        (clean_up, "call"),
        (shut_down, "call"),
        (shut_down_while_lost, "zero"),
    ],
)
def test_transitions_leave_the_robot_as_it_is_to_be_left(
    make_node: MakeNode, moved: VelocityRobot, end: Callable[[PolicyNode, VelocityRobot], None]
) -> None:
    """At once: the node may be gone just after."""
    moved.serve()
    node = started(make_node(**moved.arguments))
    moved.move()
    end(node, moved)
    moved.check_left(time.time())
    assert node.state in ("inactive", "unconfigured", "finalized")


@pytest.mark.parametrize(("number", "on_loss"), [(signal.SIGTERM, "call"), (signal.SIGINT, "zero")])
def test_signals_leave_the_robot_as_it_is_to_be_left(
    moved: VelocityRobot, tmp_path: Path, number: signal.Signals
) -> None:
    """The process ends only when that has gone out."""
    moved.serve()
    with node_process("vdd_ros.nodes.policy_node", tmp_path / "log", autostart="true", **moved.arguments) as process:
        moved.move()
        process.signal(number)
        moved.bench.wait(lambda: process.process.poll() is not None, "the end of the process")
        ended_s = time.time()
        assert process.wait() == 0, process.output
        moved.check_left(ended_s)
        assert "Traceback" not in process.output


@pytest.mark.parametrize("on_loss", ["call"])
@pytest.mark.parametrize("helps", [None, False])
def test_a_robot_that_nothing_stopped_is_told_at_the_end(
    moved: VelocityRobot, tmp_path: Path, *, helps: bool | None
) -> None:
    """Its service is missing, or fails."""
    if helps is not None:
        moved.helps = helps
        moved.serve()
    with node_process("vdd_ros.nodes.policy_node", tmp_path / "log", autostart="true", **moved.arguments) as process:
        moved.move()
        process.signal(signal.SIGTERM)
        moved.bench.wait(lambda: process.process.poll() is not None, "the end of the process")
        assert process.wait() == 1, process.output
        assert f"the robot may still move: loss_service {HELP} did not succeed" in process.output


@ON_LOSS
def test_a_graph_that_fails(make_node: MakeNode, moved: VelocityRobot, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node deactivates by itself."""
    moved.serve()
    node = started(make_node(**moved.arguments))
    moved.move()

    def fail(*_: Any) -> None:
        raise PolicyFileError("the device is gone")

    assert node.session is not None
    monkeypatch.setattr(node.session.loop.active.policy, "act", fail)
    moved.bench.wait(lambda: node.state == "inactive", "deactivation")
    moved.check_left(time.time())


@ON_LOSS
def test_an_error_that_nobody_thought_of(
    make_node: MakeNode, moved: VelocityRobot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the process as any error of a callback does, and on the way out the robot is left as it is to be."""
    moved.serve()
    node = started(make_node(**moved.arguments))
    moved.move()

    def fail(*_: Any) -> None:
        raise RuntimeError("nobody thought of this")

    assert node.session is not None
    monkeypatch.setattr(node.session.loop.active.policy, "act", fail)
    monkeypatch.setattr(node.session.loop.active.policy, "dry_run", fail)
    with pytest.raises(RuntimeError, match="nobody thought"):
        moved.observations.run_until(lambda: False, "the error")
    node.close()  # as `runtime.run` does
    moved.check_left(time.time())


class Hang:
    """Lets a node's policy hang from its next call on, until it is released."""

    def __init__(self, node: PolicyNode, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
        assert node.session is not None
        self.hangs, self.released = Event(), Event()
        policy = node.session.loop.active.policy
        act, dry_run = policy.act, policy.dry_run

        def held(do: Callable[..., Any], *arguments: Any) -> Any:
            self.hangs.set()
            self.released.wait(10 * DEADLINE_S)
            return do(*arguments)

        # A dry run acts, so both are replaced by what was there before.
        monkeypatch.setattr(policy, "act", lambda *given: act(*given) if where == "dry run" else held(act, *given))
        monkeypatch.setattr(
            policy, "dry_run", lambda *given: held(dry_run, *given) if where == "dry run" else act(*given)
        )


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Hang]]:
    """Make policies hang; all are released at the end."""
    made: list[Hang] = []

    def make(node: PolicyNode, where: str) -> Hang:
        made.append(Hang(node, where, monkeypatch))
        return made[-1]

    yield make
    for each in made:
        each.released.set()


AHEAD = {"action_steps": 4, "prefetch_ticks": 2}


def hanging(
    make_node: MakeNode, moved: VelocityRobot, hang: Callable[..., Hang], where: str
) -> tuple[PolicyNode, Hang]:
    """Return a node that moved a robot and hangs, and what it hangs on."""
    moved.serve()
    node = started(make_node(**moved.arguments | (AHEAD if where == "prefetch" else {})))
    moved.move()
    held = hang(node, where)
    moved.observations.run_until(held.hangs.is_set, "the hang")
    return node, held


@pytest.mark.parametrize(("where", "on_loss"), [("tick", "call"), ("dry run", "zero"), ("prefetch", "call")])
def test_a_policy_that_hangs(make_node: MakeNode, moved: VelocityRobot, hang: Callable[..., Hang], where: str) -> None:
    """While it still hangs; what it then gives after all is not commanded."""
    node, held = hanging(make_node, moved, hang, where)
    moved.bench.wait(moved.is_left, f"what on_loss {moved.on_loss} says, while the policy hangs")
    assert not held.released.is_set()
    hung_s = time.time()
    pass_time(moved.bench, 1.5 * MAX_AGE_S)
    held.released.set()  # nothing was observed for so long that nothing but the hung tick could command
    pass_time(moved.bench, 0.3)
    assert not moved.moves(hung_s)
    assert moved.is_left()
    assert node.session is not None
    assert node.session.loop.counters.failsafes
    assert bool(moved.calls) == (moved.on_loss == "call")


@pytest.mark.parametrize(("where", "on_loss"), [("tick", "zero"), ("dry run", "call"), ("prefetch", "zero")])
def test_deactivated_while_the_policy_hangs(
    make_node: MakeNode, moved: VelocityRobot, hang: Callable[..., Hang], where: str
) -> None:
    """The robot is left as it is to be before the policy returns, however long the transition then takes."""
    node, held = hanging(make_node, moved, hang, where)
    transition = Thread(target=node.trigger_deactivate)
    transition.start()
    moved.bench.wait(moved.is_left, f"what on_loss {moved.on_loss} says, while the policy hangs")
    assert not held.released.is_set()
    left_s = time.time()
    held.released.set()
    moved.bench.wait(lambda: not transition.is_alive(), "the end of the transition")
    moved.check_left(left_s)
    assert node.state == "inactive"


@pytest.mark.parametrize("on_loss", ["call"])
def test_a_service_that_comes_after_the_loss(make_node: MakeNode, moved: VelocityRobot) -> None:
    """It is called then, and only until it has succeeded; how often, test_failsafe_call.py shows."""
    node = started(make_node(**moved.arguments))
    moved.move()
    unseen(node, moved)
    pass_time(moved.bench, AGAIN_S)
    moved.helps = False
    moved.serve()
    moved.bench.wait(lambda: len(moved.calls) >= 2, "calls of a service that fails")
    moved.helps = True
    failed = len(moved.calls)
    moved.bench.wait(lambda: len(moved.calls) > failed, "a call that succeeds")
    called = len(moved.calls)
    pass_time(moved.bench, 2.5 * AGAIN_S)
    assert len(moved.calls) == called


@pytest.mark.timing
@pytest.mark.parametrize("on_loss", ["call"])
def test_a_service_that_comes_when_commands_go_on(make_node: MakeNode, moved: VelocityRobot) -> None:
    """It would hold a robot that is commanded again, so it is not called any more."""
    node = started(make_node(**moved.arguments))
    moved.move()
    counters = unseen(node, moved)
    moved.move()
    moved.serve()
    pass_time(moved.bench, 2.5 * AGAIN_S, moved.observations.publish)
    assert len(moved.calls) <= counters.failsafes - 1  # a busy machine may lose commands again, which is another matter


def test_nobody_listens(make_node: MakeNode, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller goes and comes back: the node ticks on, tells, and is heard again."""
    monkeypatch.setattr("vdd_ros.nodes.policy_node.DIAGNOSTICS_PERIOD_S", 0.2)
    watched = Watched(bench)
    node = started(make_node())
    watched.run_for_commands(20)
    watched.await_diagnosis(lambda _, values: values["listeners"] == "1", "one that listens")
    assert node.session is not None
    counters = node.session.loop.counters
    watched.ignore_commands()
    watched.await_diagnosis(lambda message, _: "nobody subscribes" in message, "the warning")
    assert watched.value("listeners") == 0
    ticks, heard = counters.ticks, len(watched.commands)
    watched.run_until(lambda: counters.ticks > ticks + 20, "ticks")
    assert len(watched.commands) == heard
    watched.heed_commands()
    watched.run_for_commands(20)
    watched.await_diagnosis(lambda message, _: "nobody subscribes" not in message, "the end of the warning")
    assert (node.state, watched.value("listeners")) == ("active", 1)
    watched.check()
