"""A listener that is frozen as it is: the node ticks on.

In a range of its own: within LOCALHOST, rmw_fastrtps uses shared memory whatever it is told, and a listener that is
stopped with its lock in its hands holds up whoever sends to it.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from node_rig import COMMANDS
from ros_helpers import DEADLINE_S, Bench

pytest.importorskip("rclpy")

import rclpy
from fault_rig import MAX_AGE_S, Watched
from process_rig import HZ, LATENCY, column, policy_node, recorder
from rosbags.rosbag2 import Reader
from std_msgs.msg import Float64MultiArray

from vdd_ros.bags.latency import read_latency_bag
from vdd_ros.cli.main import main
from vdd_ros.nodes.ros.runtime import TRANSPORTS

RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
NODE_THAT_TELLS = """
from pathlib import Path
from rclpy.node import Node
from vdd_ros.nodes.ros.runtime import Leave, run

class Telling(Node):
    def autostart(self):
        print(Path("/proc/self/maps").read_text())
        raise Leave

raise SystemExit(run(lambda: Telling("telling")))
"""


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """The robot's side of the topics, as a robot's processes are: not restricted to this machine."""
    monkeypatch.setenv(RANGE, "SUBNET")
    context = rclpy.Context()
    rclpy.init(context=context)
    bench = Bench(context)
    try:
        watched = Watched(bench)
        yield watched
        watched.check(HZ)
    finally:
        bench.close()
        context.try_shutdown()


def mapped(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what memory a process of a node has mapped."""
    monkeypatch.setenv(RANGE, "SUBNET")
    program = [sys.executable, "-c", NODE_THAT_TELLS]
    return subprocess.run(program, check=True, capture_output=True, text=True, timeout=2 * DEADLINE_S).stdout


def test_nodes_send_nothing_through_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TRANSPORTS, raising=False)
    maps = mapped(monkeypatch)
    assert "libfastrtps" in maps
    assert "/dev/shm/fastrtps_" not in maps


def test_the_user_may_choose_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRANSPORTS, "DEFAULT")
    assert "/dev/shm/fastrtps_" in mapped(monkeypatch)


@pytest.mark.timing
def test_recorder_that_hangs_and_is_killed(
    watched: Watched, nan_policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The node ticks on without it; all but the last second of the record is in the mended bag."""
    records = watched.bench.collect(Float64MultiArray, LATENCY, 1000)
    bag = tmp_path / "bag"
    with policy_node(watched, nan_policy, tmp_path / "log") as node:
        watched.run_until(lambda: records, "records")
        with recorder(watched, tmp_path / "recorder", bag) as recording:
            watched.pass_time(2.2, watched.publish)
            recorded_until = column(records, "seq")[-1] - 2.0 * HZ  # a flush each second, and another one for luck
            recording.signal(signal.SIGSTOP)
            hung = len(records)
            watched.pass_time(1.0, watched.publish)
            assert main(["bag", "mend", str(bag)]) == 2
            assert "is being written" in capsys.readouterr().err
            recording.signal(signal.SIGKILL)
            recording.wait()
        watched.pass_time(1.0, watched.publish)
        without = records[hung:]
        assert len(without) > 0.7 * 2.0 * HZ, (watched.said, node.output)
        assert (np.diff(column(without, "seq")) == 1).all()
        assert np.median(column(without, "publish_s")) < 0.5 / HZ
        assert column(without, "publish_s").max() < MAX_AGE_S
        watched.await_diagnosis(lambda _, values: values["state"] == "active", "diagnostics", "policy_node")
    assert main(["bag", "mend", str(bag)]) == 0
    latencies = read_latency_bag(bag)
    assert [latency.node for latency in latencies] == ["/policy_node"]
    assert latencies[0].column("seq")[-1] >= recorded_until
    with Reader(bag) as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
    assert counts[COMMANDS] > 5
