"""A policy node that drives a gripper through an action, with a real server over DDS."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import yaml
from command_rig import command_document, command_policy
from interface_packages import control_msgs
from ros_helpers import DEADLINE_S, Bench

pytest.importorskip("rclpy")

from gripper_server import NAME, GripperServer
from node_rig import FAST_HZ, Sensor, diagnose, started
from rclpy.action import ActionClient
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState

from vdd_ros.nodes.policy_node import PolicyNode
from vdd_ros.policy.onnx_policy import OnnxPolicy

ACTION = "control_msgs/action/GripperCommand"
EFFORT = 20.0


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The package control_msgs."""
    with control_msgs(tmp_path_factory.mktemp("interfaces")):
        yield


class Gripper:
    """A node that commands a gripper to a position from a test, and the sensor of its finger."""

    def __init__(self, bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._bench, self._sensor = bench, Sensor()
        self.wants = 0.5
        document = command_document(ACTION, ["command.position"], ["rad"], topic=NAME)
        document["inputs"]["arm"]["max_age_s"] = 10.0
        document["command"]["entries"][0]["max_step"] = float("inf")
        document["command"]["entries"].append({"name": "command.max_effort", "fixed": EFFORT, "unit": "Nm"})
        (folder / "robot.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        policy = command_policy(folder / "policy.onnx", ["rad"])
        act = OnnxPolicy.act

        def wanted(policy: Any, *given: Any) -> Any:
            return act(policy, *given)._replace(action=np.full((1, 1), self.wants, np.float32))

        monkeypatch.setattr(OnnxPolicy, "act", wanted)
        monkeypatch.setattr("vdd_ros.control.goals.ANSWER_S", 60.0)  # on a busy machine, 2 s are little
        given = {"policy_path": str(policy), "robot_file": str(folder / "robot.yaml"), "rate_hz": FAST_HZ}
        given |= {"inference_limit_s": 10.0}  # a late action would be a fail-safe, after which the goal is sent again
        overrides = [Parameter(key, value=value) for key, value in given.items()]
        self.node: PolicyNode = bench.add(PolicyNode("policy", parameter_overrides=overrides))
        self._publisher = bench.node.create_publisher(JointState, "joint_states", 10)

    def wait(self, condition: Callable[[], Any], what: str) -> None:
        """Publish observations until a condition holds."""

        def published() -> Any:
            message = JointState(name=["base_joint"], position=[self._sensor.measure(0.1)])
            message.header.stamp = self._bench.node.get_clock().now().to_msg()
            self._publisher.publish(message)
            return condition()

        self._bench.wait(published, what)

    def counter(self, name: str) -> int:
        """Return a counter of the node."""
        counters = self.node.session.loop.counters  # type: ignore[union-attr]
        return int(getattr(counters, name))


@pytest.fixture
def gripper(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gripper:
    return Gripper(bench, tmp_path, monkeypatch)


@pytest.fixture
def serve(bench: Bench) -> Iterator[Callable[[], GripperServer]]:
    """Make servers of the gripper; they end after the test."""
    made: list[GripperServer] = []

    def serve() -> GripperServer:
        made.append(GripperServer(bench))
        return made[-1]

    yield serve
    for server in made:
        server.destroy()


@pytest.fixture
def server(serve: Callable[[], GripperServer]) -> GripperServer:
    return serve()


def test_a_goal_carries_the_command_and_the_next_goes_when_it_has_ended(
    gripper: Gripper, server: GripperServer
) -> None:
    started(gripper.node)
    gripper.wait(lambda: server.goals, "a goal")
    assert server.positions == pytest.approx([0.5])
    assert server.goals[0].effort == EFFORT
    server.goals[0].end.set_result("succeeded")
    commands = gripper.counter("commands")
    gripper.wait(lambda: gripper.counter("commands") > commands + 2, "the same command again")
    assert len(server.asked) == 1
    gripper.wants = 0.8
    gripper.wait(lambda: len(server.goals) == 2, "another goal")
    assert server.positions == pytest.approx([0.5, 0.8])
    assert not server.cancels
    server.goals[1].end.set_result("aborted")
    gripper.wait(lambda: gripper.counter("failed_goals") == 1, "its count")


def test_a_newer_goal_replaces_the_one_in_flight(gripper: Gripper, server: GripperServer) -> None:
    """It is cancelled, and ends before the newest of the later goals is sent."""
    started(gripper.node)
    gripper.wait(lambda: server.goals, "a goal")
    gripper.wants = 0.2
    gripper.wait(lambda: server.cancels, "its cancellation")
    gripper.wants = 0.9
    commands = gripper.counter("commands")
    gripper.wait(lambda: gripper.counter("commands") > commands + 2, "the newest command")
    assert server.asked == pytest.approx([0.5])
    server.goals[0].end.set_result("cancelled")
    gripper.wait(lambda: len(server.goals) == 2, "the next goal")
    assert server.positions == pytest.approx([0.5, 0.9])
    assert (server.most_at_once, gripper.counter("failed_goals")) == (1, 0)


def test_a_rejected_goal_is_counted_and_not_repeated(bench: Bench, gripper: Gripper, server: GripperServer) -> None:
    server.accepts = False
    started(gripper.node)
    gripper.wait(lambda: gripper.counter("failed_goals") == 1, "the rejection")
    commands = gripper.counter("commands")
    gripper.wait(lambda: gripper.counter("commands") > commands + 2, "the same command again")
    assert server.asked == pytest.approx([0.5])
    server.accepts, gripper.wants = True, 0.7
    gripper.wait(lambda: server.goals, "the next goal")
    assert server.positions == pytest.approx([0.7])
    values = {each.key: each.value for each in diagnose(gripper.node, bench).values}
    assert values["failed_goals"] == "1"


def test_a_node_waits_for_a_server_that_comes_late(
    bench: Bench, gripper: Gripper, serve: Callable[[], GripperServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, wait = Event(), ActionClient.wait_for_server

    def told(client: Any, timeout_sec: float) -> Any:
        waiting.set()
        return wait(client, timeout_sec)

    monkeypatch.setattr(ActionClient, "wait_for_server", told)
    gripper.node.set_parameters([Parameter("robot_timeout_s", value=60.0)])
    with ThreadPoolExecutor(1) as pool:
        start = pool.submit(started, gripper.node)
        assert waiting.wait(DEADLINE_S)
        server = serve()
        bench.wait(start.done, "the activation")
    start.result()
    gripper.wait(lambda: server.goals, "a goal")


def test_a_node_is_not_activated_without_a_server(gripper: Gripper) -> None:
    gripper.node.set_parameters([Parameter("robot_timeout_s", value=0.1)])
    gripper.node.trigger_configure()
    gripper.node.trigger_activate()
    assert gripper.node.state == "inactive"
    assert f"the action /{NAME} (control_msgs/action/GripperCommand) has no server" in gripper.node.failure


def test_while_its_server_is_gone_nothing_is_commanded(
    bench: Bench, gripper: Gripper, server: GripperServer, serve: Callable[[], GripperServer]
) -> None:
    """A goal of the old server is given up; the new one gets its own, although the command is the same."""
    started(gripper.node)
    gripper.wait(lambda: server.goals, "a goal")
    server.destroy()
    gripper.wait(lambda: gripper.counter("obstructed"), "a tick without commands")
    commands, obstructed = gripper.counter("commands"), gripper.counter("obstructed")
    gripper.wait(lambda: gripper.counter("obstructed") > obstructed + 2, "more of them")
    assert gripper.counter("commands") == commands
    assert f"the action /{NAME} no longer has a server" in diagnose(gripper.node, bench).message
    other = serve()
    gripper.wait(lambda: other.goals, "the goal again")
    assert other.positions == pytest.approx([0.5])


def test_the_fail_safe_cancels_and_the_goal_is_sent_again_after_it(gripper: Gripper, server: GripperServer) -> None:
    started(gripper.node)
    gripper.wait(lambda: server.goals, "a goal")
    gripper.wants = float("nan")
    gripper.wait(lambda: server.cancels, "its cancellation")
    server.goals[0].end.set_result("cancelled")
    ticks = gripper.counter("records")
    gripper.wait(lambda: gripper.counter("records") > ticks + 2, "more refused actions")
    assert server.asked == pytest.approx([0.5])
    gripper.wants = 0.5
    gripper.wait(lambda: len(server.goals) == 2, "the goal again")
    assert server.positions == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("transition", ["trigger_deactivate", "trigger_shutdown"])
def test_a_node_that_stops_cancels(bench: Bench, gripper: Gripper, server: GripperServer, transition: str) -> None:
    started(gripper.node)
    gripper.wait(lambda: server.goals, "a goal")
    getattr(gripper.node, transition)()
    bench.wait(lambda: server.cancels, "its cancellation")
    server.goals[0].end.set_result("cancelled")
    bench.wait(lambda: not server.in_flight, "its end")
    assert server.asked == pytest.approx([0.5])
