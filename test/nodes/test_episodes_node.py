"""Episodes over DDS: pauses, a home service that is awaited, and the end of a task."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from node_rig import AVOIDING, MakeNode, Robot, diagnose, started
from ros_helpers import Bench

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.task import Future
from std_msgs.msg import Empty, Int64
from std_srvs.srv import Trigger

from vdd_ros.nodes.policy.home_call import HomeCall
from vdd_ros.nodes.policy_node import PolicyNode
from vdd_ros.nodes.ros.messages import LATCHED
from vdd_ros.robot.episodes import Home

HOME = "/arm/home"


@pytest.fixture
def make_homed(make_node: MakeNode, tmp_path: Path) -> Callable[..., PolicyNode]:
    """Make active nodes whose robot file has these rules of episodes."""

    def make(**episodes: Any) -> PolicyNode:
        file = tmp_path / "robot.yaml"
        file.write_text(yaml.safe_dump(yaml.safe_load(AVOIDING.read_text()) | {"episodes": episodes}))
        return started(make_node(robot_file=str(file), first_action="free"))

    return make


def ask(bench: Bench, service: str) -> Any:
    """Call a service; return the answer."""
    client = bench.node.create_client(Trigger, service)
    bench.wait(client.service_is_ready, service)
    future = client.call_async(Trigger.Request())
    bench.wait(future.done, "the answer")
    bench.node.destroy_client(client)
    return future.result()


class HomeService:
    """The service of a robot; each call is noted and answered."""

    def __init__(self, bench: Bench, *, succeeds: bool = True) -> None:
        self.calls = 0
        self.succeeds = succeeds
        self.service = bench.node.create_service(Trigger, HOME, self._serve)

    def _serve(self, _: Any, response: Any) -> Any:
        self.calls += 1
        response.success, response.message = self.succeeds, "" if self.succeeds else "the brake is on"
        return response


def stands(bench: Bench, node: PolicyNode, robot: Robot) -> bool:
    """Whether nothing is commanded while ticks go on and inputs come."""
    bench.wait(lambda: not node.session or not node.session.loop.episodes.running, "the pause")
    assert node.session is not None
    counters = node.session.loop.counters
    ticks, sent = counters.ticks + 10, counters.commands
    robot.run_until(lambda: counters.ticks > ticks, "ticks")
    return counters.commands == sent


def test_a_pause_and_its_resumption(make_node: MakeNode, robot: Robot, bench: Bench) -> None:
    node = started(make_node(first_action="free"))
    robot.run_until(lambda: len(robot.commands) > 5, "commands")
    assert ask(bench, "/policy/pause").success
    assert stands(bench, node, robot)
    status = diagnose(node, bench)
    assert status.message.endswith("paused, nothing is commanded: /policy/pause was called")
    assert status.level == DiagnosticStatus.OK
    assert ask(bench, "/policy/resume").message == "an episode begins with the next tick"
    before = len(robot.commands)
    robot.run_until(lambda: len(robot.commands) > before + 5, "commands")
    node.trigger_deactivate()
    answer = ask(bench, "/policy/pause")
    assert (answer.success, answer.message) == (False, "the node is not active")
    assert not ask(bench, "/policy/resume").success


def test_a_new_number_waits_for_home(make_homed: Callable[..., PolicyNode], robot: Robot, bench: Bench) -> None:
    """The service is not there yet when it is needed."""
    episodes = bench.node.create_publisher(Int64, "/episode", LATCHED)
    episodes.publish(Int64(data=0))
    bench.wait_for_match("/episode", publishers=1)
    node = make_homed(topic="/episode", home={"service": HOME})
    robot.run_until(lambda: len(robot.commands) > 5, "commands")
    episodes.publish(Int64(data=1))
    assert stands(bench, node, robot)
    home = HomeService(bench)
    before, asked = len(robot.commands), list[Any]()

    def has_begun() -> bool:
        """Call again if the response was lost: a server drops one for a client that it has not discovered yet."""
        assert node.session is not None
        if node.session.loop.episodes.failed:
            asked.append(ask(bench, "/policy/home"))
        return len(robot.commands) > before + 5

    robot.run_until(has_begun, "commands of the new episode")
    assert home.calls == 1 + len(asked)


def test_a_task_that_is_over_brings_the_robot_home(
    make_homed: Callable[..., PolicyNode], robot: Robot, bench: Bench
) -> None:
    home = HomeService(bench, succeeds=False)
    node = make_homed(home={"service": HOME}, done={"topic": "/done"})
    robot.run_until(lambda: len(robot.commands) > 5, "commands")
    done = bench.node.create_publisher(Empty, "/done", 10)
    bench.wait_for_match("/done", publishers=1, subscriptions=1)
    done.publish(Empty())
    robot.run_until(lambda: home.calls == 1, "the call")
    assert node.session is not None
    counters = node.session.loop.counters
    robot.run_until(lambda: counters.failed_homes == 1, "the answer")
    assert stands(bench, node, robot)
    status = diagnose(node, bench)
    assert (
        "ended, nothing is commanded: the robot did not reach home: /arm/home failed: the brake is on" in status.message
    )
    assert status.level == DiagnosticStatus.ERROR
    assert home.calls == 1  # it moves the robot, so nobody repeats it
    home.succeeds = True
    assert ask(bench, "/policy/home").message.startswith("the home service has been called")
    before = len(robot.commands)
    robot.run_until(lambda: len(robot.commands) > before + 5, "commands")
    assert home.calls == 2


def test_a_rule_ends_the_episode(make_homed: Callable[..., PolicyNode], robot: Robot, bench: Bench) -> None:
    node = make_homed(done={"entry": "tcp_x", "above": 0.6})
    robot.run_until(lambda: len(robot.commands) > 5, "commands")
    assert node.session is not None
    loop = node.session.loop
    robot.run_until(lambda: not loop.episodes.running, "the end", x=0.61)
    assert "the episode is over: tcp_x above 0.6" in diagnose(node, bench).message


def test_a_shadow_stands_while_the_node_that_commands_does(make_node: MakeNode, robot: Robot, bench: Bench) -> None:
    leader = started(make_node(first_action="free"))
    shadow = started(make_node("shadow", enable_control=False, phase_topic="/policy/phase"))
    assert leader.session is not None
    assert shadow.session is not None
    loops = leader.session.loop, shadow.session.loop
    robot.run_until(lambda: all(loop.counters.decisions > 5 for loop in loops), "decisions")
    assert ask(bench, "/policy/pause").success
    robot.run_until(lambda: not loops[1].episodes.running, "the pause of the shadow")
    assert loops[1].episodes.reason == "the commanding node is paused"
    assert ask(bench, "/policy/resume").success
    before = [loop.counters.decisions for loop in loops]
    robot.run_until(
        lambda: all(loop.counters.decisions > count for loop, count in zip(loops, before, strict=True)), "decisions"
    )


def test_a_shadow_that_is_activated_during_a_pause_stands(make_node: MakeNode, robot: Robot, bench: Bench) -> None:
    started(make_node(first_action="free"))
    assert ask(bench, "/policy/pause").success
    shadow = started(make_node("shadow", enable_control=False, phase_topic="/policy/phase"))
    assert shadow.session is not None
    episodes = shadow.session.loop.episodes
    robot.run_until(lambda: not episodes.running, "the pause of the shadow")
    shadow.trigger_deactivate()
    shadow.trigger_activate()
    assert episodes.reason == "the commanding node is paused"


def test_a_shadow_calls_nobody_home(make_node: MakeNode, tmp_path: Path, robot: Robot, bench: Bench) -> None:
    file = tmp_path / "robot.yaml"
    rules = {"topic": "/episode", "home": {"service": HOME}, "done": {"entry": "tcp_x", "above": 0.4}}
    file.write_text(yaml.safe_dump(yaml.safe_load(AVOIDING.read_text()) | {"episodes": rules}))
    node = started(make_node(robot_file=str(file), enable_control=False))
    assert node.session is not None
    loop = node.session.loop
    robot.run_until(lambda: loop.counters.decisions > 5, "decisions")
    assert loop.episodes.running
    assert loop.episodes.go_home is None


@pytest.mark.parametrize("there", [False, True])
def test_a_home_service_that_keeps_silent_is_not_waited_for_for_ever(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    answers: list[str] = []
    call = HomeCall(bench.node, Home(HOME, 0.5), answers.append)
    if there:
        monkeypatch.setattr(call, "_judge", lambda answer: None)  # as if none came
        home = HomeService(bench)
        bench.wait(call._client.service_is_ready, home.service.srv_name)
    call.start()
    bench.wait(lambda: answers, "the end")
    assert answers == [f"{HOME} {'did not answer' if there else 'is not available'} within 0.5 s"]
    call.destroy()


def test_a_call_that_still_waits_for_the_executor_is_not_made_after_a_stop(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a task ends while its node is being deactivated: the robot must not move any more."""
    calls: list[Any] = []
    call = HomeCall(bench.node, Home(HOME, 60.0), lambda _: None)
    monkeypatch.setattr(call._client, "service_is_ready", lambda: True)

    def call_async(request: Any) -> Future:
        calls.append(request)
        return Future()

    monkeypatch.setattr(call._client, "call_async", call_async)
    call.start()
    call.stop()
    call.start()
    bench.wait(lambda: calls, "the call")
    call.stop()
    call.start()
    call.stop()
    ran: list[int] = []
    for count in (1, 2):  # the executor runs the newest task first
        bench.executor.create_task(ran.append, count)
        bench.wait(lambda count=count: len(ran) == count, "the executor")  # type: ignore[misc]
    assert len(calls) == 1
    call.destroy()
