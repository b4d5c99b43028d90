"""Policy nodes, recorders and sensors that flood, as processes of their own."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from node_rig import AVOIDING, COMMANDS
from ros_helpers import Bench, NodeProcess, node_process

pytest.importorskip("rclpy")

from fault_rig import Watched
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool

from vdd_ros.control.timing import LATENCY_LABELS

NODE = "vdd_ros.nodes.policy_node"
RECORDER = "vdd_ros.nodes.bag_recorder"
LATENCY = "/policy_node/latency"
HZ = 1000 / 35
FLOOD_HZ = 10_000.0  # of each of two inputs
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def wait_until_ready(bench: Bench, recorder: NodeProcess, *, value: bool = True) -> None:
    said = bench.collect(Bool, "/bag_recorder/ready", LATCHED)
    bench.wait(lambda: recorder.process.poll() is not None or (said and said[-1].data is value), "the recorder")
    assert recorder.process.poll() is None, recorder.output


@contextmanager
def policy_node(
    watched: Watched, policy: Path, log: Path, *, trigger: str = "timer", **position: float
) -> Iterator[NodeProcess]:
    """Run an active policy node as a process of its own, until it commands."""
    arguments = {"policy_path": policy, "robot_file": AVOIDING, "trigger": trigger, "autostart": "true"}
    with node_process(NODE, log, **arguments) as process:
        try:
            watched.run_for_commands(5, **position)
        except AssertionError as error:
            raise AssertionError(f"{error}; {watched.said.get('policy_node')}; {process.output}") from error
        yield process
        if process.process.poll() is None:  # one that is killed stays in the others' graphs for 20 s
            process.signal(signal.SIGTERM)
            assert process.wait() == 0, process.output
        assert "Traceback" not in process.output


@contextmanager
def recorder(watched: Watched, log: Path, bag: Path) -> Iterator[NodeProcess]:
    """Run a recorder of commands and latencies, until it is ready."""
    with node_process(RECORDER, log, output=bag, topics=f"[{COMMANDS}, {LATENCY}]") as process:
        wait_until_ready(watched.bench, process)
        yield process
        if process.process.poll() is None:
            process.signal(signal.SIGINT)
            process.wait()


@contextmanager
def flood() -> Iterator[Callable[[], float]]:
    """Publish each input of Avoiding, at most at FLOOD_HZ; the value ends that and returns how often a second it was.

    One process an input: several would overtake each other, and what is older than the last is refused.
    """
    program = [sys.executable, str(Path(__file__).with_name("flood.py"))]
    processes = [
        subprocess.Popen([*program, name, str(FLOOD_HZ)], stdout=subprocess.PIPE, text=True)
        for name in ("desired", "tcp")
    ]

    def stop() -> float:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        return sum(float(process.communicate()[0]) for process in processes)

    try:
        yield stop
    finally:
        for process in processes:
            process.kill()
            process.wait()


def column(records: list[Any], label: str) -> np.ndarray:
    return np.array([record.data[LATENCY_LABELS.index(label)] for record in records])


def resident_mb(process: NodeProcess) -> float:
    """Return how much memory a process has now."""
    pages = Path(f"/proc/{process.process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096 / 1e6
