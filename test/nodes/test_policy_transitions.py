"""The life of a policy node over real DDS: transitions and their failures, diagnostics, episodes, signals."""

import math
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from node_rig import AVOIDING, COMMANDS, MakeNode, Robot, diagnose, started
from policy_files import write_mixture
from ros_helpers import Bench, node_process

pytest.importorskip("rclpy")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PointStamped
from lifecycle_msgs.srv import ChangeState
from rclpy.parameter import Parameter
from std_msgs.msg import Int64

from vdd_ros.features import Feature
from vdd_ros.nodes.policy.diagnostics import LONGEST
from vdd_ros.nodes.ros.messages import LATCHED
from vdd_ros.text import printable


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"policy_path": ""}, "parameter policy_path is not set"),
        ({"policy_path": "absent.onnx"}, "absent.onnx"),
        ({"robot_file": "absent.yaml"}, "absent.yaml does not exist"),
        ({"robot_file": ""}, "parameter robot_file is not set"),
        ({"provider": "tensorrt"}, "provider"),
        ({"expert": "best"}, "Expert selection 'best' is unknown"),
        ({"noise": "loud"}, "Noise 'loud' is unknown"),
        ({"polcy_path": "x"}, "unknown parameters: polcy_path; did you mean policy_path?"),
        ({"episode_topic": "not a topic"}, "not a topic"),
        ({"phase_topic": "policy/phase"}, "this node commands; only shadows follow"),
        ({"rate_hz": 1e-12}, "set rate_hz between 0.001 and 1000"),
    ],
)
def test_configure_fails_with_the_reason(
    make_node: MakeNode, bench: Bench, parameters: dict[str, Any], reason: str
) -> None:
    """Each way to be misconfigured leaves the node unconfigured, tells why, and leaves no topics behind."""
    node = make_node(**parameters)
    node.trigger_configure()
    assert node.state == "unconfigured"
    assert reason.lower() in node.failure.lower()
    bench.wait(lambda: not node.get_publishers_info_by_topic(COMMANDS), "no publisher of commands")
    statuses = bench.collect(DiagnosticArray, "/diagnostics")
    bench.wait_for_match("/diagnostics", publishers=1, subscriptions=1)
    node.publish_diagnostics()
    bench.wait(lambda: statuses, "diagnostics")
    assert statuses[0].status[0].level == DiagnosticStatus.ERROR
    assert statuses[0].status[0].message == printable(node.failure, LONGEST)


def test_policy_that_does_not_fit_the_robot(make_node: MakeNode, tmp_path: Path) -> None:
    """Names that the robot file lacks are listed."""
    other = write_mixture(tmp_path / "other.onnx", observation=(Feature("wheel", "rad"),))
    node = make_node(policy_path=str(other))
    node.trigger_configure()
    assert "does not fit the observation: lacks wheel (rad)" in node.failure


def test_node_recovers_from_a_failed_configure(make_node: MakeNode, nan_policy: Path) -> None:
    """Once the parameter is corrected, the same node configures; while inactive it refuses changes."""
    node = make_node(policy_path="absent.onnx")
    node.trigger_configure()
    assert node.set_parameters([Parameter("policy_path", value=str(nan_policy))])[0].successful
    node.trigger_configure()
    assert (node.state, node.failure) == ("inactive", "")
    refused = node.set_parameters([Parameter("enable_control", value=False)])[0]
    assert not refused.successful
    assert "only while unconfigured" in refused.reason
    node.trigger_cleanup()
    assert (node.state, node.session) == ("unconfigured", None)


def test_whole_life_again(make_node: MakeNode, robot: Robot, bench: Bench) -> None:
    """Deactivate, clean up, configure and activate work again and again; shutdown works from active."""
    node = make_node()
    for _ in range(2):
        started(node)
        before = len(robot.commands)
        robot.run_until(lambda before=before: len(robot.commands) > before, "a command")  # type: ignore[misc]
        node.trigger_deactivate()
        node.trigger_cleanup()
    started(node)
    node.trigger_shutdown()
    assert node.state == "finalized"
    bench.wait(lambda: not node.get_publishers_info_by_topic(COMMANDS), "no publisher of commands")


def test_impossible_transition_is_refused(make_node: MakeNode, bench: Bench) -> None:
    """Asking for a transition that the state does not have does not end the node."""
    node = make_node()
    client = bench.node.create_client(ChangeState, "/policy/change_state")
    bench.wait(client.service_is_ready, "the service")
    request = ChangeState.Request()
    request.transition.id = 3  # activate, while unconfigured
    answer = client.call_async(request)
    bench.wait(answer.done, "the answer")
    assert not answer.result().success
    assert node.state == "unconfigured"


def test_unexpected_exception_is_a_failure_with_a_reason(make_node: MakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unforeseen errors are reported, not swallowed as in rclpy."""
    node = make_node()
    monkeypatch.setattr(node, "activate", lambda: 1 / 0)
    node.trigger_configure()
    node.trigger_activate()
    assert node.state == "inactive"
    assert node.failure == "activate: ZeroDivisionError: division by zero"


def test_diagnostics_follow_the_inputs(
    make_node: MakeNode, robot: Robot, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting, running, NaN in an observation, NaN action and stale input each have their level and words.

    They tell what is new since the last time, so the node's own timer must not come in between.
    """
    monkeypatch.setattr("vdd_ros.nodes.policy_node.DIAGNOSTICS_PERIOD_S", 3600.0)
    node = started(make_node())
    assert node.session is not None
    loop = node.session.loop
    assert diagnose(node, bench).message.startswith("waiting for desired, tcp")

    robot.run_until(lambda: loop.counters.records > 50, "ticks")
    diagnose(node, bench)
    robot.run_until(lambda: loop.counters.records > 100, "ticks")
    status = diagnose(node, bench)
    values = {item.key: item.value for item in status.values}
    assert status.level in (DiagnosticStatus.OK, DiagnosticStatus.WARN)
    assert values["state"] == "active"
    assert float(values["inference_p50_ms"]) > 0
    assert int(values["statistics_count"]) > 0

    robot.run_until(lambda: loop.counters.refused_messages > 0, "a refused message", y=math.nan)
    status = diagnose(node, bench)
    assert "is nan, not finite" in status.message
    assert all(map(math.isfinite, np.ravel([command.data for command in robot.commands])))

    robot.run_until(lambda: loop.commander.limits.refused > 0, "a dropped action", x=0.82)
    assert diagnose(node, bench).level != DiagnosticStatus.OK

    before = loop.counters.stale  # on a busy machine something may have been stale
    bench.wait(lambda: loop.counters.stale > before and loop.observer.stale(time.time()), "stale input")
    status = diagnose(node, bench)
    assert (status.level, status.message[:6]) == (DiagnosticStatus.STALE, "stale:")


def test_two_nodes_that_command_one_robot_are_reported(make_node: MakeNode, robot: Robot, bench: Bench) -> None:
    """Each names the other; a shadow does not count, and neither does a node that has gone."""
    first, second = started(make_node("first")), started(make_node("second", enable_control=False))
    robot.run_until(lambda: robot.commands, "commands")
    assert "other nodes command" not in diagnose(first, bench).message
    assert second.session is not None
    second.session.graph_monitor.look()
    assert second.session.graph_monitor.other_publishers() == {}
    third = started(make_node("third"))
    bench.wait(lambda: "/third" in diagnose(first, bench).message, "the warning of the first")
    bench.wait(lambda: "/first" in diagnose(third, bench).message, "the warning of the third")
    levels = (DiagnosticStatus.WARN, DiagnosticStatus.STALE)  # an error where a busy machine holds up a tick
    bench.wait(lambda: diagnose(first, bench).level in levels, "a warning that is no error")
    third.trigger_deactivate()
    third.trigger_cleanup()
    bench.wait(lambda: "other nodes command" not in diagnose(first, bench).message, "the end of the warning")


def test_topic_of_the_wrong_type_is_reported(make_node: MakeNode, bench: Bench) -> None:
    """A publisher of another type on an input's topic is an error that names both types."""
    node = make_node()
    node.trigger_configure()
    elsewhere = rclpy.context.Context()  # one participant cannot have two types for a topic
    rclpy.init(context=elsewhere)
    try:
        other = rclpy.create_node("elsewhere", context=elsewhere)
        other.create_publisher(PointStamped, "tcp_pose", 10)
        bench.wait(lambda: node.session and node.session.graph_monitor.wrong_types(), "the wrong type")
        status = diagnose(node, bench)
    finally:
        rclpy.shutdown(context=elsewhere)
    assert status.level == DiagnosticStatus.ERROR
    assert "/tcp_pose is geometry_msgs/msg/PointStamped" in status.message
    assert "geometry_msgs/msg/PoseStamped" in status.message


def test_new_episode_starts_afresh(
    make_node: MakeNode, robot: Robot, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new number on the episode topic empties the history, the same number does not."""
    node = started(make_node(episode_topic="episode"))
    assert node.session is not None
    loop = node.session.loop
    new_episode, emptied = loop.new_episode, []

    def noted(*given: Any) -> None:
        new_episode(*given)
        emptied.append(loop.observer.missing())

    monkeypatch.setattr(loop.episodes, "_begin", noted)
    publisher = bench.node.create_publisher(Int64, "episode", LATCHED)
    robot.run_until(lambda: loop.counters.records > 0, "a tick")
    publisher.publish(Int64(data=4))
    bench.wait(lambda: emptied, "the history to be emptied")
    robot.run_until(lambda: not loop.observer.missing(), "observations")
    publisher.publish(Int64(data=4))
    publisher.publish(Int64(data=5))
    bench.wait(lambda: len(emptied) == 2, "the history to be emptied again")
    assert emptied == [("desired", "tcp")] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_process_with_0(tmp_path: Path, nan_policy: Path, bench: Bench, number: signal.Signals) -> None:
    """Started by itself and active, it deactivates and leaves with code 0."""
    arguments = {"policy_path": nan_policy, "robot_file": AVOIDING, "autostart": "true"}
    with node_process("vdd_ros.nodes.policy_node", tmp_path / "log", **arguments) as process:
        bench.wait_for_match("/policy_node/policy_info", publishers=1)
        process.signal(number)
        assert process.wait() == 0, process.output
        assert "Traceback" not in process.output


def test_failed_autostart_ends_the_process_with_1(tmp_path: Path) -> None:
    """Without a lifecycle manager nobody would see the failure: the process says why and ends."""
    arguments = {"policy_path": tmp_path / "absent.onnx", "robot_file": AVOIDING, "autostart": "true"}
    with node_process("vdd_ros.nodes.policy_node", tmp_path / "log", **arguments) as process:
        assert process.wait() == 1
        assert "absent.onnx" in process.output
        assert "Traceback" not in process.output


def test_parameter_of_the_wrong_type_ends_the_process_with_1(tmp_path: Path) -> None:
    """A text for a number is refused by name."""
    with node_process("vdd_ros.nodes.policy_node", tmp_path / "log", rate_hz="fast") as process:
        assert process.wait() == 1
        assert "rate_hz" in process.output
        assert "Traceback" not in process.output
