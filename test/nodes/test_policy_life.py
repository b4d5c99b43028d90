"""Transitions of the policy node that go wrong half-way, and its start by itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import enumerate as enumerate_threads
from types import SimpleNamespace
from typing import Any

import pytest
from node_rig import AVOIDING, MakeNode, Robot, started
from policy_files import write_mixture
from ros_helpers import Bench

pytest.importorskip("rclpy")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.parameter import Parameter
from std_msgs.msg import Bool

from vdd_ros.control.loop import PolicyLoop
from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.policy.session import PolicySession
from vdd_ros.nodes.policy.ticker import Ticker
from vdd_ros.nodes.policy_node import PolicyNode
from vdd_ros.nodes.ros import runtime
from vdd_ros.nodes.ros.containment import ContainingExecutor
from vdd_ros.nodes.ros.messages import LATCHED


def fail(*_: Any, **__: Any) -> None:
    raise ZeroDivisionError("broken")


class ShortLived(ContainingExecutor):
    """Spins so often and no more."""

    spins = 50

    def spin_once(self, *args: Any, **options: Any) -> None:
        self.spins -= 1
        assert self.spins, "nothing ended the node"
        super().spin_once(*args, **options)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, rclpy_context: None) -> Any:
    """Run a node that starts by itself, in the context of the tests."""
    monkeypatch.setattr("vdd_ros.nodes.ros.runtime.rclpy.init", lambda **_: None)
    monkeypatch.setattr(runtime, "try_shutdown", lambda: None)

    def run(**parameters: Any) -> int:
        given = {"robot_file": str(AVOIDING), "autostart": True} | parameters
        overrides = [Parameter(name, value=value) for name, value in given.items()]
        return runtime.run(lambda: PolicyNode("alone", parameter_overrides=overrides), None, ShortLived)

    return run


def test_a_failure_just_after_the_start_ends_the_process(
    run: Any, nan_policy: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it comes before the executor has spun."""
    monkeypatch.setattr(Ticker, "_settle", fail)
    with pytest.raises(ZeroDivisionError, match="broken"):
        run(policy_path=str(nan_policy))


def test_a_start_that_fails_ends_with_1(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(policy_path="absent.onnx") == 1
    assert "absent.onnx" in capsys.readouterr().err


def test_the_first_failure_is_the_reason(make_node: MakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where taking down what configure had built fails too, the node is unconfigured all the same."""
    node = make_node()
    with monkeypatch.context() as broken:
        broken.setattr("vdd_ros.nodes.policy.session.PublishedOutputs.info", fail)
        broken.setattr(PolicyLoop, "close", fail)
        broken.setattr("vdd_ros.nodes.policy.session.PublishedOutputs.destroy", fail)
        node.trigger_configure()
    assert node.state == "unconfigured"
    assert node.failure == "configure: ZeroDivisionError: broken"
    assert node.session is None


def test_a_failed_deactivation_is_the_reason_after_shutdown(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = started(make_node())
    with monkeypatch.context() as broken:
        broken.setattr(PolicyLoop, "stop", fail)
        node.trigger_shutdown()
    assert node.state == "finalized"
    assert node.failure == "deactivate: ZeroDivisionError: broken"


def test_a_failed_deactivation_can_be_made_good(
    make_node: MakeNode, robot: Robot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one does what is due at a loss; the collector is given back its objects each time."""
    node = started(make_node())
    robot.run_until(lambda: robot.commands, "a command")
    assert node.session is not None
    counters, unfrozen = node.session.loop.counters, []
    monkeypatch.setattr("vdd_ros.nodes.policy.session.gc.unfreeze", lambda: unfrozen.append(0))
    with monkeypatch.context() as broken:
        broken.setattr(PolicyLoop, "stop", fail)
        node.trigger_deactivate()
    assert (node.state, node.failure) == ("active", "deactivate: ZeroDivisionError: broken")
    node.trigger_deactivate()
    assert (node.state, node.failure) == ("inactive", "")
    assert counters.failsafes >= 1
    assert len(unfrozen) == 2


def test_giving_up_comes_too_late(make_node: MakeNode) -> None:
    """The node was deactivated or cleaned up by somebody else."""
    node = started(make_node())
    for transition in (node.trigger_deactivate, node.trigger_cleanup):
        transition()
        node.abort("too novel")
        assert node.failure == ""


def test_diagnostics_come_where_no_tick_ends(make_node: MakeNode, robot: Robot, bench: Bench) -> None:
    """At a low rate the next tick may be far off."""
    node = started(make_node(rate_hz=0.01))
    assert node.session is not None
    called: list[int] = []
    for _ in range(4):
        node.session.after_tick(lambda: called.append(0))
    assert len(called) >= 3


def test_a_core_that_no_host_has_is_refused(make_node: MakeNode) -> None:
    node = make_node(cpu_affinity="99999999999")
    node.trigger_configure()
    assert "cpu_affinity is '99999999999'" in node.failure


def test_an_unknown_start_gate_is_refused(make_node: MakeNode, nan_policy: Any) -> None:
    node = make_node(start_gate="door")
    node.trigger_configure()
    assert "parameter start_gate is 'door'; use one of inputs, window" in node.failure
    assert ConfigurationError.__name__ not in node.failure


def test_a_node_that_cannot_be_configured_leaves_no_thread(make_node: MakeNode, tmp_path: Path) -> None:
    """The one that asks for chunks ahead is made when the policy is loaded, before what fails here."""
    file = write_mixture(tmp_path / "chunks.onnx", horizon=4)
    before = set(enumerate_threads())
    node = make_node(policy_path=str(file), prefetch_ticks=1, send="chunk")
    node.trigger_configure()
    assert "send is 'chunk', but the robot file commands std_msgs/msg/Float64MultiArray" in node.failure
    for thread in {thread for thread in enumerate_threads() if thread.name == "prefetch"} - before:
        thread.join(120.0)
        assert not thread.is_alive()


def test_a_node_that_was_asked_to_leave_meanwhile_does_not_begin(
    run: Any, nan_policy: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes when the file is loaded, and all that is left is to activate."""
    activated: list[bool] = []
    connect = PolicySession.connect

    def told(session: PolicySession) -> None:
        connect(session)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(PolicySession, "connect", told)
    monkeypatch.setattr(PolicySession, "start", lambda _: activated.append(True))
    assert run(policy_path=str(nan_policy)) == 0
    assert not activated


@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_is_gone_asks_to_leave(ignored: bool) -> None:
    """As SIGTERM does, so that the robot is left as its file says; after nohup it goes on."""
    code = f"""
import os, signal
if {ignored}:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
from vdd_ros.nodes.ros.leaving import signals_noted
with signals_noted() as received:
    os.kill(os.getpid(), signal.SIGHUP)
    print([int(number) for number in received])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n" if ignored else f"[{int(signal.SIGHUP)}]\n")


def test_transitions_that_are_not_possible_do_not_fill_the_log(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks gets an answer each time; the log gets a line."""
    node = make_node()
    lines: list[str] = []
    monkeypatch.setattr(node, "get_logger", lambda: SimpleNamespace(warning=lines.append))
    for _ in range(100):
        request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_ACTIVATE))
        answer: Any = node._service_change_state.callback(request, ChangeState.Response())
        assert not answer.success
    assert len(lines) == 1
    assert "is not possible while unconfigured" in lines[0]


def test_a_start_topic_is_waited_for(make_node: MakeNode, bench: Bench) -> None:
    """The node is configured at once, and active once the topic says true; what it says later changes nothing."""
    node = make_node(autostart=True, start_topic="go/ready")
    node.autostart()
    go = bench.node.create_publisher(Bool, "/go/ready", LATCHED)
    bench.wait_for_match("/go/ready", publishers=1, subscriptions=1)
    for data in (False, True):
        assert node.state == "inactive"
        go.publish(Bool(data=data))
    bench.wait(lambda: node.state == "active", "the activation")
    node.trigger_deactivate()
    go.publish(Bool(data=True))
    go.wait_for_all_acked()
    for _ in range(10):
        bench.executor.spin_once(timeout_sec=0.0)
    assert node.state == "inactive"


@pytest.mark.parametrize("start_topic", ["", "go/ready"])
def test_a_node_that_is_to_stay_inactive_is_only_configured(make_node: MakeNode, start_topic: str) -> None:
    node = make_node(autostart=True, stay_inactive=True, start_topic=start_topic)
    node.autostart()
    assert (node.state, node.failure, node._awaited) == ("inactive", "", "")


def test_a_start_that_fails_later_ends_the_process(
    make_node: MakeNode, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node(autostart=True, start_topic="/go")
    node.autostart()
    monkeypatch.setattr(PolicySession, "start", fail)
    with pytest.raises(runtime.Leave):
        node._take_start(Bool(data=True))


def test_a_start_topic_that_is_no_topic_is_refused(make_node: MakeNode) -> None:
    node = make_node(autostart=True, start_topic="a topic")
    with pytest.raises(ConfigurationError, match="start_topic is 'a topic' with ' '"):
        node.autostart()
