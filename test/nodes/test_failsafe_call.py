"""`loss_service` is called until it succeeds, or until commanding resumes."""

import math
import time
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")

from ros_helpers import DEADLINE_S, Bench
from std_srvs.srv import Trigger

from vdd_ros.nodes.policy import failsafe_call
from vdd_ros.nodes.policy.failsafe_call import FailsafeCall
from vdd_ros.nodes.policy.publishers import PublishedOutputs
from vdd_ros.nodes.policy_node import PolicyNode

SERVICE = "halt"


@pytest.fixture
def failures() -> list[bool]:
    return []


@pytest.fixture
def call(bench: Bench, failures: list[bool], monkeypatch: pytest.MonkeyPatch) -> Iterator[FailsafeCall]:
    monkeypatch.setattr(failsafe_call, "AGAIN_S", 0.05)
    call = FailsafeCall(bench.node, SERVICE, lambda: failures.append(True))
    yield call
    call.destroy()


def serve(bench: Bench, *answers: bool) -> list[bool]:
    """Answer calls so, the last answer again and again; return the list of the answers that were given."""
    given: list[bool] = []

    def answer(_request: Any, response: Any) -> Any:
        response.success = answers[min(len(given), len(answers) - 1)]
        given.append(response.success)
        return response

    bench.node.create_service(Trigger, SERVICE, answer)
    return given


def test_a_service_that_comes_later_is_called_then(bench: Bench, call: FailsafeCall, failures: list[bool]) -> None:
    call.start()
    bench.wait(lambda: len(failures) > 2, "calls in vain")
    given = serve(bench, True)
    bench.wait(lambda: not call.wanted, "the answer")
    assert set(given) == {True}


def test_a_call_that_failed_is_repeated(bench: Bench, call: FailsafeCall, failures: list[bool]) -> None:
    given = serve(bench, False, False, True)
    bench.wait(call._client.service_is_ready, "the service")
    call.start()
    bench.wait(lambda: not call.wanted, "the right answer")
    assert given[:3] == [False, False, True]  # where an answer is late, there is one call more
    assert len(failures) >= 2


@pytest.mark.timing
def test_a_call_has_time_to_be_answered(bench: Bench, call: FailsafeCall, failures: list[bool]) -> None:
    """Also where the timer by which calls are repeated is due just then."""
    given = serve(bench, True)
    bench.wait(call._client.service_is_ready, "the service")
    call._timer.timer_period_ns = 500_000_000
    call._timer.reset()
    end = time.monotonic() + DEADLINE_S
    while not call._timer.is_ready():
        assert time.monotonic() < end
        time.sleep(0.01)
    call.start()
    bench.wait(lambda: not call.wanted, "the answer")
    assert given == [True]
    assert not failures


def test_a_stopped_call_is_not_repeated(bench: Bench, call: FailsafeCall, failures: list[bool]) -> None:
    call.start()
    bench.wait(lambda: len(failures) > 1, "calls in vain")
    call.stop()
    failures.clear()
    ticks: list[bool] = []
    bench.node.create_timer(0.05, lambda: ticks.append(True))
    bench.wait(lambda: len(ticks) > 4, "the time of four calls")
    assert not failures


def test_service_responses_are_reported_safely_without_flooding_the_log(
    bench: Bench, failures: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message is somebody else's: one line, clipped; a service that is away for hours is no line a second."""
    lines: list[str] = []
    monkeypatch.setattr(failsafe_call, "AGAIN_S", 3600.0)  # called again by hand, once it was answered
    monkeypatch.setattr("vdd_ros.nodes.ros.containment.QUIET_S", math.inf)
    monkeypatch.setattr(bench.node, "get_logger", lambda: SimpleNamespace(error=lines.append))
    call = FailsafeCall(bench.node, SERVICE, lambda: failures.append(True))

    def refuse(_request: Any, response: Any) -> Any:
        response.message = "\x1b[2J" + "x" * 100_000
        return response

    bench.node.create_service(Trigger, SERVICE, refuse)
    bench.wait(call._client.service_is_ready, "the service")
    for number in range(5):
        call.start()
        bench.wait(lambda: len(failures) > number, "a call in vain")  # noqa: B023
    call.destroy()
    assert len(lines) == 1
    assert len(lines[0]) < 500
    assert r"it failed: \x1b[2Jxxx" in lines[0]


@pytest.mark.parametrize("answer", [None, False, True])
def test_a_node_that_ends_says_whether_the_robot_was_stopped(answer: bool | None) -> None:
    """Whether its service is missing, fails, or succeeds; it is called again before the node gives up."""
    told, calls, now = list[str](), list[bool](), [0.0]
    request: Any = SimpleNamespace(wanted=True, name="/halt")
    outputs: Any = SimpleNamespace(_control=True, _commands=[], _requests=[request], _goals=[])
    outputs._waits = partial(PublishedOutputs._waits, outputs)
    outputs.stopping = partial(PublishedOutputs.stopping, outputs)

    def spin(left_s: float) -> None:
        if answer is not None:
            calls.append(answer)
            request.wanted = not answer
        now[0] += min(left_s, failsafe_call.AGAIN_S)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vdd_ros.nodes.policy.publishers.time", SimpleNamespace(monotonic=lambda: now[0]))
        session: Any = SimpleNamespace(flush=partial(PublishedOutputs.flush, outputs))
        node: Any = SimpleNamespace(
            state="inactive",
            session=session,
            executor=SimpleNamespace(spin_once=spin),
            get_logger=lambda: SimpleNamespace(error=told.append),
        )
        code = PolicyNode.close(node)
    assert code == len(told) == (answer is not True)
    assert not told or "the robot may still move: loss_service /halt did not succeed" in told[0]
    assert len(calls) == {None: 0, False: 3, True: 1}[answer]
