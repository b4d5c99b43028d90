"""Sensors that stop, send nonsense or flood, over real DDS: nothing wrong is commanded, and it goes on afterwards."""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from node_rig import AVOIDING, MakeNode, started
from ros_helpers import Bench

pytest.importorskip("rclpy")

from fault_rig import MAX_AGE_S, Watched
from sensor_msgs.msg import JointState

from vdd_ros.nodes.policy_node import PolicyNode


@pytest.fixture
def watched(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """The robot's side of the topics; all commands of the test are checked at its end."""
    monkeypatch.setattr("vdd_ros.nodes.policy_node.DIAGNOSTICS_PERIOD_S", 0.2)
    watched = Watched(bench)
    yield watched
    watched.check()


def rises(watched: Watched, counter: str) -> Callable[[str, dict[str, str]], bool]:
    """Return a condition on diagnostics: a counter is above what it was when last told."""
    before = watched.value(counter)
    return lambda _, values: int(values[counter]) > max(before, 0)


def test_sensor_that_stops(make_node: MakeNode, watched: Watched) -> None:
    """Commands end with the age that the robot file allows, are one loss, and begin again with the sensor."""
    node = started(make_node())
    watched.run_for_commands(20)
    watched.pass_time(2 * MAX_AGE_S)
    commanded = len(watched.commands)

    def stale(message: str, values: dict[str, str]) -> bool:
        counted = int(values["stale"]) > 0 and int(values["failsafes"]) >= 1
        return message.startswith("stale: desired, tcp") and counted

    watched.await_diagnosis(stale, "stale inputs", valid=None)
    assert len(watched.commands) == commanded
    watched.run_for_commands(20)
    assert node.state == "active"


def test_one_of_two_sensors_stops(make_node: MakeNode, watched: Watched) -> None:
    """The other one does not keep the commands going."""
    node = started(make_node())
    watched.run_for_commands(20)
    watched.pass_time(2 * MAX_AGE_S, lambda: watched.send("desired", 0.5, 0.1, time.time_ns()))
    commanded = len(watched.commands)
    watched.pass_time(MAX_AGE_S, lambda: watched.send("desired", 0.5, 0.1, time.time_ns()))
    assert len(watched.commands) == commanded
    watched.run_for_commands(20)
    watched.await_diagnosis(lambda _, values: int(values["failsafes"]) >= 1, "the loss")
    assert node.state == "active"


@pytest.mark.parametrize("offset_s", [-3600.0, 3600.0])
def test_stamps_that_jump_and_return(make_node: MakeNode, watched: Watched, offset_s: float) -> None:
    """By an hour: they are refused, counted and told, commands end, and begin again when the stamps are right."""
    node = started(make_node())
    watched.run_for_commands()
    watched.await_diagnosis(rises(watched, "refused_messages"), "refusals", offset_s=offset_s, valid=False)
    watched.pass_time(1.5 * MAX_AGE_S, lambda: watched.publish(offset_s=offset_s, valid=False))
    commanded = len(watched.commands)
    watched.pass_time(MAX_AGE_S, lambda: watched.publish(offset_s=offset_s, valid=False))
    assert len(watched.commands) == commanded
    assert "are the clocks synchronised?" in watched.said["policy"][0]
    watched.run_for_commands()
    assert (node.state, watched.value("clock_jumps")) == ("active", 0)


def test_stamps_out_of_order(make_node: MakeNode, watched: Watched) -> None:
    """An older message after a newer one is refused and counted, and the newer one acted upon."""
    node = started(make_node())
    delays = itertools.cycle([0.0, 0.03, 0.06])

    def publish() -> bool:
        delay_s = next(delays)
        watched.publish(0.5 if delay_s == 0.0 else 0.3, offset_s=-delay_s, valid=delay_s == 0.0)
        return len(watched.commands) > 30 and watched.value("refused_messages") > 30

    watched.publish()
    watched.bench.wait(publish, "commands and refusals")
    reason = "stamp not newer than the last one"
    watched.bench.wait(lambda: publish() and reason in watched.said["policy"][0], "the reason")
    assert node.state == "active"


def test_one_message_from_the_future(make_node: MakeNode, watched: Watched) -> None:
    """As far ahead as is tolerated, it does not keep the messages after it out for longer than that."""
    node = started(make_node())
    watched.run_for_commands()
    refused = rises(watched, "refused_messages")
    watched.publish(offset_s=0.9 * MAX_AGE_S)
    watched.run_for_commands(100)
    watched.await_diagnosis(refused, "refusals")
    watched.pass_time(2 * MAX_AGE_S)
    assert node.state == "active"


@pytest.mark.parametrize("value", [math.nan, -1e300])
def test_bursts_that_are_not_finite(make_node: MakeNode, watched: Watched, value: float) -> None:
    """Again and again: refused and counted each time; what is right in between is acted upon."""
    node = started(make_node())
    for _ in range(3):
        watched.run_for_commands()
        watched.pass_time(1.5 * MAX_AGE_S, lambda: watched.publish(y=value, valid=False))
    counted = ("refused_messages", "failsafes")
    watched.await_diagnosis(lambda _, values: all(int(values[name]) >= 3 for name in counted), "refusals and losses")
    watched.run_for_commands()
    assert node.state == "active"


def test_a_robot_that_is_seen_far_outside_its_range(make_node: MakeNode, watched: Watched) -> None:
    """No command is both in range and near it, so none is sent; it is counted and told."""
    node = started(make_node())
    watched.run_for_commands()
    watched.await_diagnosis(rises(watched, "unreachable"), "dropped commands", y=5.0)
    watched.pass_time(0.5 * MAX_AGE_S, lambda: watched.publish(y=5.0))
    commanded = len(watched.commands)
    watched.pass_time(MAX_AGE_S, lambda: watched.publish(y=5.0))
    assert len(watched.commands) == commanded
    watched.run_for_commands()
    assert (node.state, watched.value("failsafes") >= 1) == ("active", True)


def test_policy_that_gives_nan(make_node: MakeNode, watched: Watched) -> None:
    """Actions that are not finite are dropped and counted; the next good one is commanded, from what is measured."""
    node = started(make_node())
    watched.run_for_commands(x=0.79)
    watched.await_diagnosis(rises(watched, "refused_actions"), "dropped actions", x=0.81)
    watched.pass_time(0.5 * MAX_AGE_S, lambda: watched.publish(x=0.81))
    commanded = len(watched.commands)
    watched.pass_time(MAX_AGE_S, lambda: watched.publish(x=0.81))
    assert len(watched.commands) == commanded
    watched.run_for_commands(x=0.79)
    assert node.state == "active"


def with_joints(tmp_path: Path) -> Path:
    """Write Avoiding's robot file with the tool as two joints."""
    document = yaml.safe_load(AVOIDING.read_text())
    document["inputs"]["tcp"] = {
        "topic": "joints",
        "type": "sensor_msgs/msg/JointState",
        "max_age_s": MAX_AGE_S,
        "entries": {
            "tcp_x": {"joint": "slide_x", "interface": "position", "unit": "m"},
            "tcp_y": {"joint": "slide_y", "interface": "position", "unit": "m"},
        },
    }
    path = tmp_path / "robot.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_messages_change_their_dimension_while_it_runs(make_node: MakeNode, watched: Watched, tmp_path: Path) -> None:
    """A joint too few, a value too few, nothing at all: refused with the reason; a joint too many is ignored."""
    node: PolicyNode = started(make_node(robot_file=str(with_joints(tmp_path))))
    joints = watched.bench.node.create_publisher(JointState, "joints", 10)

    def publish(names: list[str], values: list[float], *, valid: bool = True) -> None:
        message: Any = JointState(name=names, position=values)
        message.header.stamp = watched.bench.node.get_clock().now().to_msg()
        watched.publish(valid=valid)  # first, since it notes the place
        joints.publish(message)

    def run(names: list[str]) -> None:
        wanted = len(watched.commands) + 10

        def published() -> bool:
            publish(names, [0.5, 0.1, 9.0][: len(names)])
            return len(watched.commands) >= wanted

        watched.bench.wait(published, "commands")

    for names, values, reason in (
        (["slide_x"], [0.5], "lacks the joints ['slide_y']"),
        (["slide_x", "slide_y"], [0.5], "has 2 names but 1 values"),
        (["slide_x", "slide_y"], [0.5, 0.1, 0.2], "has 2 names but 3 values"),
        ([], [], "lacks the joints"),
    ):
        run(["slide_x", "slide_y"])

        def refused(names: list[str] = names, values: list[float] = values, reason: str = reason) -> bool:
            publish(names, values, valid=False)
            return "policy" in watched.said and reason in watched.said["policy"][0]

        watched.bench.wait(refused, reason)
        watched.pass_time(1.5 * MAX_AGE_S, refused)
        commanded = len(watched.commands)
        watched.pass_time(0.5 * MAX_AGE_S, refused)
        assert len(watched.commands) == commanded
    assert watched.value("refused_messages") > 0
    run(["slide_x", "slide_y", "gripper"])
    assert node.state == "active"
