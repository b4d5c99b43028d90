"""The policy node over real DDS: transitions and their failures, topics, diagnostics, signals."""

import json
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from node_rig import AVOIDING, COMMANDS, FAST_HZ, MakeNode, Robot, diagnose, started
from policy_files import write_diffusion, write_mixture, write_policy
from ros_helpers import DEADLINE_S, Bench

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from policy_files import DIFFUSIONS, MIXTURES, ONE_STEPS
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Float64MultiArray, Int64, String
from trajectory_msgs.msg import JointTrajectory

from vdd_ros.control.timing import LATENCY_LABELS, latency_labels
from vdd_ros.features import Feature
from vdd_ros.nodes.policy.parameters import PolicyParameters
from vdd_ros.nodes.ros.messages import LATCHED
from vdd_ros.policy.structure import OLD_KINDS


def test_params_file_shows_every_parameter_with_its_default() -> None:
    """The documented file and the declaration say the same."""
    document = yaml.safe_load((AVOIDING.parents[1] / "policy_node.params.yaml").read_text())
    declared = {item.name: item.default for item in fields(PolicyParameters)}
    assert document == {"/**": {"ros__parameters": declared}}


def test_policy_commands_the_robot(make_node: MakeNode, robot: Robot, bench: Bench) -> None:
    """Observations go in; commands within a step, numbered records, experts and the policy's description come out."""
    records = bench.collect(Float64MultiArray, "/policy/latency")
    experts = bench.collect(Int64, "/policy/expert")
    started(make_node())
    robot.run_until(lambda: len(robot.commands) >= 20 and len(records) >= 20 and experts, "commands and records")
    assert np.abs(np.array([c.data for c in robot.commands]) - [0.5, 0.1]).max() <= 0.0101
    assert [dim.label for dim in records[0].layout.dim] == list(latency_labels(("desired", "tcp")))
    values = np.array([record.data for record in records])
    first = int(values[0, 0])
    assert values[:, 0].tolist() == list(range(first, first + len(values)))
    assert (values[:, LATENCY_LABELS.index("inference_s")] > 0).all()
    assert (values[:, LATENCY_LABELS.index("lateness_s")] >= 0).all()
    info: list[Any] = bench.collect(String, "/policy/policy_info", LATCHED)
    bench.wait(lambda: info, "the policy's description")
    described = json.loads(info[0].data)
    assert (described["node"], described["structure"], described["method"]) == ("/policy", "mixture", "vdd")
    assert (described["sampling_steps"], described["warnings"]) == (None, [])
    assert len(described["policy_sha256"]) == 64
    assert described["machine"]["provider"] == "cpu"
    assert 0 <= described["jitter_floor"]["p50_s"] <= described["jitter_floor"]["max_s"]


def test_decisions_carry_the_records_numbers_and_can_be_left_out(
    make_node: MakeNode, robot: Robot, bench: Bench
) -> None:
    """Each tick of a one-step policy gives both; `publish_decisions: false` leaves the topic silent."""
    records = bench.collect(Float64MultiArray, "/policy/latency")
    decisions = bench.collect(Float64MultiArray, "/policy/decision")
    silent = bench.collect(Float64MultiArray, "/silent/decision")
    others = bench.collect(Float64MultiArray, "/silent/latency")
    started(make_node())
    started(make_node("silent", publish_decisions=False, enable_control=False))
    robot.run_until(lambda: len(decisions) > 5 and len(others) > 5, "decisions")
    labels = [dim.label for dim in decisions[0].layout.dim]
    assert labels[:5] == ["seq", "stamp_s", "log_prob", "expert", "observation[0].desired_x"]
    assert labels[-1] == "action.delta_desired_y"
    numbers = {record.data[0]: record.data[1] for record in records}
    shared = [decision for decision in decisions if decision.data[0] in numbers]
    assert shared
    assert all(numbers[decision.data[0]] == decision.data[1] for decision in shared)
    assert not silent


@pytest.mark.parametrize(
    ("parameters", "early_s"),
    [
        ({}, 0.5 / FAST_HZ),
        ({"wake_early_s": 0.001}, 0.001),
        ({"wake_early_s": 0.0}, 0.0),
        ({"wake_early_s": 0.02}, 0.5 / FAST_HZ),
        ({"use_sim_time": True}, 0.0),
    ],
)
def test_description_says_how_early_it_wakes(make_node: MakeNode, parameters: dict[str, Any], early_s: float) -> None:
    """As the parameter says, at most half a period, and never in simulated time."""
    node = make_node(**parameters)
    node.trigger_configure()
    assert node.session is not None
    assert node.session.info["wake_early_s"] == early_s


def test_messages_are_received_without_the_executor(make_node: MakeNode, robot: Robot, bench: Bench) -> None:
    """What arrives between waking and tick is taken in, each topic's messages in order."""
    node = make_node()
    node.trigger_configure()
    session = node.session
    assert session is not None
    bench.wait_for_match("/tcp_pose", publishers=1, subscriptions=1)
    bench.wait_for_match("/desired_pose", publishers=1, subscriptions=1)
    end = time.monotonic() + DEADLINE_S
    while session.loop.observer.missing():
        assert time.monotonic() < end, "nothing was received"
        robot.publish()
        session._inputs.take()
    assert not session.loop.observer.last_refusal


def test_ticks_follow_simulated_time(make_node: MakeNode, bench: Bench) -> None:
    """Every clock message brings a tick, though no time passes within one."""
    loop = started(make_node(use_sim_time=True)).session.loop  # type: ignore[union-attr]
    clock = bench.node.create_publisher(Clock, "/clock", 10)
    inputs = Robot(bench).inputs
    message, now = PoseStamped(), Clock()

    def ticked() -> bool:
        now.clock.nanosec += round(1e9 / FAST_HZ)
        message.header.stamp = now.clock
        clock.publish(now)
        for publisher in inputs:
            publisher.publish(message)
        return loop.counters.records >= 5

    now.clock.sec = 1000
    bench.wait(ticked, "ticks")


def commanded_as(kind: str, names: list[str], tmp_path: Path) -> Path:
    """Write Avoiding's robot file with another type of command."""
    document = yaml.safe_load(AVOIDING.read_text())
    document["command"] |= {"type": kind, "frame_id": "base"}
    for entry, name in zip(document["command"]["entries"], names, strict=True):
        entry["name"] = name
    path = tmp_path / "robot.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_command_as_joint_trajectory(make_node: MakeNode, bench: Bench, tmp_path: Path) -> None:
    """One point with the joints by name, to be reached after one period; no stamp, which means now."""
    file = commanded_as("trajectory_msgs/msg/JointTrajectory", ["slide_x", "slide_y"], tmp_path)
    commands = bench.collect(JointTrajectory, COMMANDS)
    started(make_node(robot_file=str(file)))
    Robot(bench, JointTrajectory).run_until(lambda: commands, "a trajectory")
    assert commands[0].joint_names == ["slide_x", "slide_y"]
    assert np.abs(np.array(commands[0].points[0].positions) - [0.5, 0.1]).max() <= 0.0101
    assert commands[0].points[0].time_from_start.nanosec == round(1e9 / FAST_HZ)
    assert commands[0].header.stamp.sec == 0


def velocities_as(kind: str, names: list[str], tmp_path: Path) -> dict[str, Any]:
    """Write a policy that gives velocities, and a robot file with such commands; return both as parameters."""
    file = commanded_as(kind, names, tmp_path)
    document = yaml.safe_load(file.read_text())
    document["command"]["on_loss"] = "zero"
    for entry in document["command"]["entries"]:
        del entry["relative_to"], entry["measured"], entry["first_step"]
        entry |= {"unit": "mm/s", "low": -100, "high": 100, "max_step": ".inf"}
    file.write_text(yaml.safe_dump(document))
    action = tuple(
        Feature(f"delta_desired_{axis}", "m/s", low, low + 0.001) for axis, low in (("x", 0.02), ("y", 0.07))
    )
    policy = write_mixture(tmp_path / "velocities.onnx", action=action)
    return {"robot_file": str(file), "policy_path": str(policy)}


def test_command_as_twist(make_node: MakeNode, bench: Bench, tmp_path: Path) -> None:
    """Stamped with the time of the command and with the frame of the robot file."""
    files = velocities_as("geometry_msgs/msg/TwistStamped", ["twist.linear.x", "twist.linear.y"], tmp_path)
    commands = bench.collect(TwistStamped, COMMANDS)
    started(make_node(**files))
    Robot(bench, TwistStamped).run_until(lambda: commands, "a twist")
    assert commands[0].twist.linear.x == pytest.approx(20.5, abs=0.51)
    assert commands[0].twist.linear.y == pytest.approx(70.5, abs=0.51)
    assert commands[0].header.stamp.sec > 0
    assert commands[0].header.frame_id == "base"


def test_command_as_velocities_of_a_trajectory(make_node: MakeNode, bench: Bench, tmp_path: Path) -> None:
    """No velocity is ever sent as a position."""
    files = velocities_as("trajectory_msgs/msg/JointTrajectory", ["slide_x", "slide_y"], tmp_path)
    commands = bench.collect(JointTrajectory, COMMANDS)
    node = started(make_node(**files))
    Robot(bench, JointTrajectory).run_until(lambda: commands, "a trajectory")
    node.trigger_deactivate()
    bench.wait(lambda: not any(commands[-1].points[0].velocities), "zeros")
    for command in commands:
        assert command.joint_names == ["slide_x", "slide_y"]
        assert not command.points[0].positions
        assert len(command.points[0].velocities) == 2
    assert list(commands[0].points[0].velocities) == pytest.approx([20.5, 70.5], abs=0.51)


def test_shadow_mode_cannot_command(make_node: MakeNode, robot: Robot, bench: Bench) -> None:
    """A shadow has no publisher of commands: the only command that arrives is the test's own.

    A node that an earlier test killed is in the graph until its lease ends; one of the shadow's would stay.
    """
    records = bench.collect(Float64MultiArray, "/shadow/latency")
    started(make_node("shadow", enable_control=False))
    robot.run_until(lambda: len(records) >= 20, "records of the shadow")
    marker = bench.node.create_publisher(Float64MultiArray, COMMANDS, 10)
    bench.wait_for_match(COMMANDS, publishers=1, subscriptions=1)
    marker.publish(Float64MultiArray(data=[7.0]))
    bench.wait(lambda: robot.commands, "the marker")
    assert [list(command.data) for command in robot.commands] == [[7.0]]
    bench.wait(lambda: bench.node.count_publishers(COMMANDS) == 1, "the marker to be the only publisher")


def test_student_and_teacher_run_side_by_side(make_node: MakeNode, robot: Robot, bench: Bench, tmp_path: Path) -> None:
    """One commands, the other shadows the same observations."""
    teacher = write_diffusion(tmp_path / "teacher.onnx", steps=4)
    records = [bench.collect(Float64MultiArray, f"/{name}/latency") for name in ("policy", "shadow")]
    started(make_node())
    started(make_node("shadow", policy_path=str(teacher), enable_control=False))
    commanded = LATENCY_LABELS.index("commanded")

    def commands() -> list[bool]:
        return [any(record.data[commanded] for record in got) for got in records]

    robot.run_until(lambda: all(len(got) >= 5 for got in records) and any(commands()), "records of both")
    assert commands() == [True, False]


@pytest.mark.parametrize("kind", MIXTURES + DIFFUSIONS + ONE_STEPS)
def test_every_kind_of_policy_commands(make_node: MakeNode, robot: Robot, tmp_path: Path, kind: str) -> None:
    """Whatever made the file, the node runs it and says what it is."""
    node = started(make_node(policy_path=str(write_policy(tmp_path / "policy.onnx", kind))))
    robot.run_until(lambda: robot.commands, "a command")
    assert np.abs(np.array(robot.commands[0].data) - [0.5, 0.1]).max() <= 0.0101
    assert node.session is not None
    assert (node.session.info["method"], node.session.info["goal_length"]) == (kind, 0)
    assert node.session.info["structure"] == OLD_KINDS[kind]
    assert not node.get_subscriptions_info_by_topic("/policy/goal")
    assert len(node.get_publishers_info_by_topic("/policy/expert")) == (kind in MIXTURES)


def test_goals_come_by_topic(
    make_node: MakeNode, robot: Robot, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is commanded before the first; the next one changes the commands; a wrong one is reported and dropped.

    The publisher is of the usual kind, as `ros2 topic pub` makes it.
    """
    monkeypatch.setattr("vdd_ros.nodes.policy_node.DIAGNOSTICS_PERIOD_S", 3600.0)
    file = write_mixture(tmp_path / "policy.onnx", goal_length=2)
    node = started(make_node(policy_path=str(file), expert="greedy"))
    assert node.session is not None
    loop = node.session.loop
    robot.run_until(lambda: loop.observer.missing() == ("~/goal",) and loop.counters.waiting > 5, "ticks that wait")
    assert diagnose(node, bench).message.startswith("waiting for ~/goal")
    assert not robot.commands

    publisher = bench.node.create_publisher(Float64MultiArray, "/policy/goal", 10)
    bench.wait_for_match("/policy/goal", publishers=1, subscriptions=1)
    publisher.publish(Float64MultiArray(data=[0.6, 0.3] * 4))
    robot.run_until(lambda: robot.commands, "a command")
    first = np.array(robot.commands[0].data)
    publisher.publish(Float64MultiArray(data=[-3.0, 2.0] * 4))
    robot.run_until(lambda: np.abs(robot.commands[-1].data - first).max() > 1e-3, "another command")
    second = robot.commands[-1].data

    publisher.publish(Float64MultiArray(data=[0.6] * 7))
    robot.run_until(lambda: loop.counters.refused_goals > 0, "the refusal")
    status = diagnose(node, bench)
    assert status.level != DiagnosticStatus.OK
    assert "~/goal: 7 numbers" in status.message
    assert {item.key: item.value for item in status.values}["refused_goals"] == "1"
    commanded = loop.counters.commands
    robot.run_until(lambda: loop.counters.commands > commanded, "a command")
    assert robot.commands[-1].data == second
