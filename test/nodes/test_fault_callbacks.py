"""Messages and calls that raise in other people's code: the commanding node continues, and reports it."""

import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loop_rig import AVOIDING
from node_rig import MakeNode, started
from ros_helpers import Bench, NodeProcess, node_process

pytest.importorskip("rclpy")

from fault_rig import SimulatedRobot, Watched
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.executors import Executor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String
from std_srvs.srv import Trigger

from vdd_ros.nodes.policy.ros_graph import GraphMonitor
from vdd_ros.nodes.ros.containment import (
    QUIET_S,
    CallbackErrors,
    ContainingExecutor,
    Leave,
    NodeFailed,
    SparseLog,
)
from vdd_ros.nodes.ros.messages import SENSOR_DATA

NODES = {
    "policy_node": ("vdd_ros.nodes.policy_node", "policy_node"),
    "sim_robot_node": ("vdd_ros.nodes.sim_robot_node", "sim_robot"),
    "bag_recorder": ("vdd_ros.nodes.bag_recorder", "bag_recorder"),
}
NAMES = ("next_policy", "use_sim_time", "nobody", "", "a b", "\x1b[31m", "x" * 100_000)
TYPES = (0, 1, 4, 9, 10, 127, 255)
NUMBERS = (0.0, -1.0, float("nan"), float("inf"), 1e308)


def values() -> Iterator[ParameterMsg]:
    """Every type that a message can carry, and numbers out of range, for known and unknown parameters."""
    for name in NAMES:
        for kind in TYPES:
            yield ParameterMsg(name=name, value=ParameterValue(type=kind))
    for name in ("rate_hz", "seed", "warmup_runs", "idle_timeout_s"):
        for number in NUMBERS:
            yield ParameterMsg(name=name, value=ParameterValue(type=3, double_value=number))
        for whole in (-(2**63), -1, 2**63 - 1):
            yield ParameterMsg(name=name, value=ParameterValue(type=2, integer_value=whole))


def requests(name: str) -> Iterator[tuple[Any, str, Any]]:
    """Calls of every service of a node, with fields out of their range."""
    for value in values():
        yield SetParameters, "set_parameters", SetParameters.Request(parameters=[value])
    yield SetParameters, "set_parameters", SetParameters.Request(parameters=list(values()))
    for kind in TYPES:
        bad = [ParameterMsg(name="next_policy", value=ParameterValue(type=kind))]
        yield SetParametersAtomically, "set_parameters_atomically", SetParametersAtomically.Request(parameters=bad)
    for service, kind_ in (
        ("get_parameters", GetParameters),
        ("describe_parameters", DescribeParameters),
        ("get_parameter_types", GetParameterTypes),
    ):
        for names in ([], list(NAMES), ["next_policy"] * 1000):
            yield kind_, service, kind_.Request(names=names)
    for depth in (0, 1, 2**63, 2**64 - 1):
        yield ListParameters, "list_parameters", ListParameters.Request(prefixes=["", "x"], depth=depth)
    if name == "policy_node":
        for transition in (0, 2, 99, 255):
            request = ChangeState.Request()
            request.transition.id = transition
            yield ChangeState, "change_state", request
        yield Trigger, "load_policy", Trigger.Request()


def call_all(bench: Bench, process: NodeProcess, name: str, node: str) -> list[Any]:
    """Call every service; each call is answered. Return the answers."""
    clients: dict[str, Any] = {}
    answers = []
    for kind, service, request in requests(name):
        if service not in clients:
            clients[service] = bench.node.create_client(kind, f"/{node}/{service}")
            bench.wait(clients[service].service_is_ready, f"the service {service}")
            bench.ask_first(clients[service], request, lambda: process.process.poll() is not None)
        answer = clients[service].call_async(request)
        bench.wait(lambda: answer.done() or process.process.poll() is not None, f"{service}: {request}"[:300])  # noqa: B023
        assert process.process.poll() is None, (str(request)[:300], process.output[-2000:])
        answers.append(answer.result())
    return answers


@pytest.mark.parametrize("name", NODES)
def test_no_call_of_a_service_ends_a_node(bench: Bench, nan_policy: Path, tmp_path: Path, name: str) -> None:
    """Every service, every field out of its range; each call is answered, and a signal ends the process with 0."""
    module, node = NODES[name]
    given: dict[str, dict[str, object]] = {
        "policy_node": {"policy_path": nan_policy, "robot_file": AVOIDING, "autostart": "true"},
        "sim_robot_node": {"robot_file": AVOIDING, "start_topic": "never", "idle_timeout_s": 1000.0},
        "bag_recorder": {"output": tmp_path / "bag", "topics": "[/a]"},
    }
    watched = Watched(bench)
    began_s = time.monotonic()
    with node_process(module, tmp_path / "log", **given[name]) as process:
        if name == "policy_node":
            watched.run_for_commands(5)
        call_all(bench, process, name, node)
        if name == "policy_node":
            watched.run_for_commands(20)
            watched.await_diagnosis(
                lambda _, values: int(values["callback_errors"]) > 0 and "ValueError" in values["last_callback_error"],
                "the errors",
                node="policy_node",
            )
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.output[-2000:]
    lines = 1 + (time.monotonic() - began_s) // QUIET_S  # of the executor, and of the node
    assert process.output.count("an error was caught") <= 2 * lines, "they fill the log"


def test_no_clock_message_ends_a_node(bench: Bench, nan_policy: Path, tmp_path: Path) -> None:
    """Times out of every range are passed over, and the node ticks on when the clock is right again."""
    robot = SimulatedRobot(bench)
    given = {"policy_path": nan_policy, "robot_file": AVOIDING, "autostart": "true", "use_sim_time": "true"}
    clock = bench.node.create_publisher(Clock, "/clock", 10)
    with node_process("vdd_ros.nodes.policy_node", tmp_path / "log", **given) as process:
        robot.run(5)
        for second, nanosecond in ((-1, 0), (-(2**31), 0), (-1, 2**32 - 1)):
            wrong: Any = Clock()
            wrong.clock.sec, wrong.clock.nanosec = second, nanosecond
            for _ in range(5):
                clock.publish(wrong)
            count = len(robot.watched.commands)

            def commanded(wanted: int = count + 5) -> bool:
                robot.advance()
                return len(robot.watched.commands) >= wanted or process.process.poll() is not None

            bench.wait(commanded, f"commands after {second} s")
            assert process.process.poll() is None, process.output[-2000:]
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.output[-2000:]


class Broken(Node):
    """A node whose callbacks raise, or whose messages cannot be taken."""

    def __init__(self) -> None:
        super().__init__("broken")
        self.called: list[str] = []
        self.create_service(Trigger, "~/raise", self._raise)
        self.create_service(Trigger, "~/work", self._work)
        self.create_subscription(String, "~/topic", self._fail, 10)

    def _raise(self, *_: Any) -> Any:
        self.called.append("raise")
        raise ZeroDivisionError("broken")

    def _fail(self, _: String) -> None:
        raise ZeroDivisionError("division by zero")

    def _work(self, _request: Any, response: Any) -> Any:
        self.called.append("work")
        response.success = True
        return response


@pytest.fixture
def broken(rclpy_context: None) -> Iterator[tuple[Broken, ContainingExecutor, list[str]]]:
    """A broken node, the executor that spins it, and what it logged."""
    node, executor, log = Broken(), ContainingExecutor(), []  # type: ignore[var-annotated]
    executor.errors = CallbackErrors(log.append)
    executor.add_node(node)
    yield node, executor, log
    executor.shutdown()
    node.destroy_node()


def spin(executor: ContainingExecutor, until: Any) -> None:
    for _ in range(400):
        if until():
            return
        executor.spin_once(0.05)
    raise AssertionError("waited in vain")


def test_a_failed_take_leaves_the_rest_alive(
    broken: tuple[Broken, ContainingExecutor, list[str]], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where taking fails, rclpy marks service and group as busy for ever; here both serve the next call."""
    node, executor, log = broken
    take, failures = Executor._take_service, [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")]

    def taken(self: Executor, service: Any) -> Any:
        execute = take(self, service)
        if failures:
            raise failures.pop()
        return execute

    monkeypatch.setattr(Executor, "_take_service", taken)
    client = bench.node.create_client(Trigger, "/broken/work")
    bench.wait(client.service_is_ready, "the service")
    client.call_async(Trigger.Request())
    spin(executor, lambda: log)
    assert "service broken/work: UnicodeDecodeError" in log[0].replace("~", "broken").replace("/broken", "broken")
    client.call_async(Trigger.Request())
    spin(executor, lambda: node.called == ["work"])


def test_errors_are_counted_and_the_log_is_not_filled(
    broken: tuple[Broken, ContainingExecutor, list[str]], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vdd_ros.nodes.ros.containment.QUIET_S", math.inf)
    _, executor, log = broken
    publisher = bench.node.create_publisher(String, "/broken/topic", 100)
    spin(executor, publisher.get_subscription_count)
    errors = executor.errors
    assert errors is not None

    def published() -> bool:
        publisher.publish(String(data="x"))
        return errors.count >= 50

    spin(executor, published)
    assert len(log) == 1
    assert errors.last == "topic /broken/topic: ZeroDivisionError: division by zero"


@pytest.mark.parametrize(("raised", "ends"), [(Leave(3), Leave), (NodeFailed(OSError("mine")), OSError)])
def test_intentional_exceptions_pass(
    broken: tuple[Broken, ContainingExecutor, list[str]], raised: Exception, ends: type[Exception]
) -> None:
    node, executor, log = broken

    def end() -> None:
        raise raised

    executor.create_task(end)
    node.create_timer(0.01, end)
    for _ in range(2):
        with pytest.raises(ends):
            spin(executor, lambda: False)
    assert not log


def test_the_log_says_how_many_lines_it_left_out() -> None:
    lines: list[str] = []
    now = [0.0]
    sparse = SparseLog(lines.append, lambda: now[0])
    for second in range(12):
        now[0] = float(second)
        sparse.tell("refused")
    assert lines == ["refused", "refused (9 more like this since the last line)"]


def test_a_message_that_cannot_be_decoded_is_one_refused_message(make_node: MakeNode, bench: Bench) -> None:
    """The tick takes the inputs' messages itself; the thread that ticks must not end with one of them."""
    watched = Watched(bench)
    node = started(make_node())
    watched.run_for_commands()
    assert node.session is not None
    inputs = node.session._inputs
    polled = inputs._subscriptions[0]

    def fail(message: Any, received_s: float) -> None:
        inputs._subscriptions[0] = polled
        raise OverflowError("stamp out of range")

    inputs._subscriptions[0] = polled._replace(callback=fail)
    counters = node.session.loop.counters
    watched.run_until(lambda: counters.refused_messages, "the refusal")
    assert "OverflowError: stamp out of range" in node.session.loop.observer.last_refusal
    watched.run_for_commands(20)
    assert (node.state, node.failure) == ("active", "")


def test_bytes_that_are_no_message_are_one_refused_message(make_node: MakeNode, bench: Bench) -> None:
    """Messages arrive as bytes, whatever their publisher calls them."""
    watched = Watched(bench)
    node = started(make_node())
    watched.run_for_commands()
    assert node.session is not None
    counters, observer = node.session.loop.counters, node.session.loop.observer
    broken = bench.node.create_publisher(PoseStamped, next(iter(observer.inputs.values())).source.topic, SENSOR_DATA)
    bench.wait(lambda: broken.get_subscription_count() >= 1, "the match")
    broken.publish(b"\0\1\0\0" + bytes(8))
    watched.run_until(lambda: counters.refused_messages, "the refusal")
    assert "geometry_msgs/msg/PoseStamped ends after" in observer.last_refusal
    watched.run_for_commands(20)
    assert (node.state, node.failure) == ("active", "")


def test_diagnostics_that_fail_say_so(make_node: MakeNode, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What asks the graph of nodes may raise; the node is then not silent, and ticks on."""
    monkeypatch.setattr("vdd_ros.nodes.policy_node.DIAGNOSTICS_PERIOD_S", 0.1)
    watched = Watched(bench)
    node = started(make_node())
    watched.run_for_commands()
    with monkeypatch.context() as patch:
        patch.setattr(GraphMonitor, "other_publishers", lambda _: 1 / 0)
        watched.await_diagnosis(lambda message, _: "the diagnostics failed: ZeroDivisionError" in message, "the error")
        watched.run_for_commands(20)
    watched.await_diagnosis(lambda message, _: "ZeroDivisionError" not in message, "diagnostics without the error")
    assert watched.value("callback_errors") >= 1
    assert node.state == "active"
