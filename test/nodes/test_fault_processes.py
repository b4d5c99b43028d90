"""Processes that flood, hang or are killed beside a node: it ticks on, and reconnects to restarted ones."""

import resource
import shutil
import signal
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from node_rig import COMMANDS, MakeNode, started
from process_rig import FLOOD_HZ, HZ, LATENCY, column, flood, policy_node, recorder, resident_mb
from ros_helpers import Bench

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from fault_rig import MAX_AGE_S, Watched
from std_msgs.msg import Float64MultiArray

from vdd_ros.bags.latency import read_latency_bag
from vdd_ros.bags.salvage import salvage

NOBODY = ("", "0", "[]")
TOO_FAST = ("too_fast.desired", "too_fast.tcp")


@pytest.fixture
def watched(bench: Bench) -> Iterator[Watched]:
    """The robot's side of the topics; all commands of the test are checked at its end."""
    watched = Watched(bench)
    yield watched
    watched.check(HZ)


@pytest.mark.timing
@pytest.mark.parametrize(("trigger", "fastest_hz"), [("timer", HZ), ("observation", 2 * HZ)])
def test_sensors_that_flood(
    watched: Watched, nan_policy: Path, tmp_path: Path, trigger: str, fastest_hz: float
) -> None:
    """At 10 kHz each, or what the machine gives: ticks keep their rate, see what is new, and memory does not grow."""
    bench = watched.bench
    records = bench.collect(Float64MultiArray, LATENCY, 1000)

    with policy_node(watched, nan_policy, tmp_path / "log", trigger=trigger) as node:
        watched.await_diagnosis(lambda _, values: records and "too_fast.tcp" in values, "records", "policy_node")
        too_fast = [watched.value(counter, "policy_node") for counter in TOO_FAST]
        with flood() as stop:
            began = time.time()
            watched.pass_time(2 * MAX_AGE_S)
            quiet = len(records)  # nobody but the flood observes any more
            bench.wait(lambda: len(records) > quiet + 5, "the node to meet the flood")
            before, commanded, size_mb = len(records), len(watched.commands), resident_mb(node)
            watched.pass_time(2.0)
            flooded, commands = records[before:], watched.commands[commanded:]
            grown_mb = resident_mb(node) - size_mb
            sent_hz = stop()
            watched.places += [(at_s, 0.5, 0.1) for at_s in np.arange(began, time.time(), 0.01)]
            watched.places.sort()
        last = len(watched.commands)
        watched.await_diagnosis(lambda message, _: message.startswith("stale"), "the end", "policy_node", valid=None)
        assert len(watched.commands) - last <= (MAX_AGE_S + 1.0) * fastest_hz
        watched.run_for_commands(5)
    if sent_hz < FLOOD_HZ:
        warnings.warn(f"the machine gave {sent_hz:.0f} messages a second, not {FLOOD_HZ:.0f}", stacklevel=1)
    assert sent_hz > 2000
    for hz in (rate_hz(column(flooded, "stamp_s")), rate_hz([at_s for at_s, _ in commands])):
        assert 0.7 * HZ < hz < 1.2 * fastest_hz
    assert (np.diff(column(flooded, "seq")) == 1).all()
    assert column(flooded, "commanded").mean() > 0.9
    assert np.median(column(flooded, "observation_age_s")) < 1.0 / HZ
    assert np.median(column(flooded, "lateness_s")) < 0.5 / HZ
    assert grown_mb < 10
    for counter, quietly in zip(TOO_FAST, too_fast, strict=True):
        assert watched.value(counter, "policy_node") > quietly


def rate_hz(times_s: Any) -> float:
    """Return how many a second there were."""
    return float((len(times_s) - 1) / np.ptp(times_s))


def warns_of_other(watched: Watched, name: str, other: str) -> bool:
    """Whether a node's newest diagnostics name another node that commands the robot, and nothing worse."""
    message, values = watched.said[name]
    named = f"{COMMANDS}: {other}" in message and values["other_publishers"] not in NOBODY
    return named and watched.levels[name] == DiagnosticStatus.WARN


def test_two_nodes_on_one_command_topic(
    watched: Watched, make_node: MakeNode, nan_policy: Path, tmp_path: Path
) -> None:
    """Both keep to their limits and tell of each other, until one has gone."""
    node = make_node("second", rate_hz=0.0)
    with policy_node(watched, nan_policy, tmp_path / "log"):
        watched.await_diagnosis(lambda _, values: values["other_publishers"] in NOBODY, "nobody else", "policy_node")
        started(node)
        for name, other in (("policy_node", "/second"), ("second", "/policy_node")):
            watched.await_diagnosis(
                lambda *_, of=(name, other): warns_of_other(watched, *of), "the other publisher", name
            )
        watched.run_for_commands(50)
        node.trigger_deactivate()
        node.trigger_cleanup()
        watched.await_diagnosis(
            lambda _, values: values["other_publishers"] in NOBODY, "the other one to be gone", "policy_node"
        )
        watched.run_for_commands(5)


def restarts(mcap: Path) -> int:
    """Return how often sequence numbers restarted in the bag so far."""
    copy = mcap.with_suffix(".copy.mcap")
    shutil.copy(mcap, copy)
    try:
        salvage(copy)
        return read_latency_bag(copy)[0].sequence.restarts
    finally:
        copy.unlink()


def test_node_that_is_killed_and_started_again(watched: Watched, nan_policy: Path, tmp_path: Path) -> None:
    """Under the same name: it starts over, from where the robot is now; the recorder continues."""
    bag = tmp_path / "bag"
    mcap = bag.with_name("bag.partial") / "bag" / "bag.mcap"
    with (
        policy_node(watched, nan_policy, tmp_path / "log") as first,
        recorder(watched, tmp_path / "recorder", bag) as recording,
    ):
        watched.run_for_commands(20)
        first.signal(signal.SIGKILL)
        first.wait()
        ended_s = time.time()
        watched.pass_time(1.4, lambda: watched.publish(x=0.7))  # the recorder flushes each second
        assert watched.sent_after(ended_s) == []
        watched.check(HZ)
        watched.commands.clear()
        watched.places.clear()  # so that the first command has to be near where the robot is now
        watched.said.clear()
        with policy_node(watched, nan_policy, tmp_path / "again", x=0.7):
            watched.await_diagnosis(lambda _, values: values["state"] == "active", "activity", "policy_node", x=0.7)
            found = "records of the new node in the bag"
            watched.run_until(lambda: restarts(mcap) == 1, found, x=0.7)
            recording.signal(signal.SIGINT)
            assert recording.wait() == 0, recording.output
    latency = read_latency_bag(bag)[0]
    assert latency.sequence.restarts == 1
    assert not latency.sequence.gaps


def test_disk_that_fills_while_a_node_is_recorded(watched: Watched, nan_policy: Path, tmp_path: Path) -> None:
    """The recorder says so and ends with 1, what was flushed is readable, and the node goes on."""
    bag = tmp_path / "bag"
    with (
        policy_node(watched, nan_policy, tmp_path / "log"),
        recorder(watched, tmp_path / "recorder", bag) as recording,
    ):
        mcap = bag.with_name("bag.partial") / "bag" / "bag.mcap"
        header = mcap.stat().st_size
        watched.run_until(lambda: mcap.stat().st_size > header, "the first flush")
        full = mcap.stat().st_size + 1000
        resource.prlimit(recording.process.pid, resource.RLIMIT_FSIZE, (full, full))
        watched.run_until(lambda: "File too large" in recording.output, "the error")
        watched.run_for_commands(10)
        recording.signal(signal.SIGINT)
        assert recording.wait() == 1
        watched.run_for_commands(10)
    assert "Traceback" not in recording.output
    assert len(read_latency_bag(mcap.parent)[0].values) > 0
