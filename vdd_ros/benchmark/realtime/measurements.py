"""Processes of the benchmark: a node under test, and the probe that plays the robot."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros import resources
from vdd_ros.host.monitor import HostMonitor, Preemptions
from vdd_ros.running.node_processes import NodeProcesses
from vdd_ros.tasks import Task

Arrays = dict[str, NDArray[Any]]

NODE = "policy"
POLL_S = 0.05
A_DAY_S = 86_400.0


class Measurements:
    """Starts nodes for one measurement after another.

    Args:
        policy: Policy file under test.
        task: Task whose robot file the nodes use, and whose first observation the probe publishes.
        folder: Folder for logs and measurements.
        fifo_priority: SCHED_FIFO priority of the tick thread and of its baseline; 0 for the ordinary scheduler.

    Raises:
        TaskError: The task has no robot file.
    """

    def __init__(self, policy: Path, task: Task, folder: Path, fifo_priority: int = 0) -> None:
        self._policy = policy
        self._task = task.spec.name
        self._robot_file = task.get_robot_file()
        self._folder = folder
        self._fifo_priority = fifo_priority

    def node(self, rate_hz: float, seconds: float, **given: Any) -> Arrays:
        """Measure the policy node.

        Args:
            rate_hz: Observations a second; also the rate of a node that ticks by the clock.
            seconds: Duration, s.
            given: Parameters of the node; `wait_for_answers` and `next_policies` go to the probe.

        Returns:
            The arrays of the probe; see `vdd_ros.benchmark.realtime.probe.Probe`.
        """
        return self._measured(rate_hz, seconds, lambda _: nullcontext(), **given)

    def _measured(
        self,
        rate_hz: float,
        seconds: float,
        beside: Callable[[NodeProcesses], AbstractContextManager[Any]],
        **given: Any,
    ) -> Arrays:
        probe = {name: given.pop(name) for name in ("wait_for_answers", "next_policies") if name in given}
        with self._processes() as nodes:
            nodes.start(
                NODE,
                "vdd_ros.nodes.policy_node",
                resources.path("config/policy_node.params.yaml"),
                policy_path=str(self._policy),
                robot_file=str(self._robot_file),
                rate_hz=rate_hz,
                autostart=True,
                fifo_priority=self._fifo_priority,
                **given,
            )
            with beside(nodes):
                found = self._probe(nodes, rate_hz, seconds, **probe)
            nodes.stop_well(NODE)
        return found

    def monitored(self, rate_hz: float, seconds: float) -> tuple[Arrays, list[Preemptions]]:
        """Measure the policy node as `node` does, while a monitor watches the host; return the records of both."""
        monitors: list[HostMonitor] = []

        def watched(nodes: NodeProcesses) -> HostMonitor:
            monitors.append(HostMonitor(self._folder / "host_monitor.npz", {NODE: nodes.pids[NODE]}))
            return monitors[0]

        found = self._measured(rate_hz, seconds, watched)
        return found, [monitors[0].own, monitors[0].nodes[NODE]]

    def baseline(self, rate_hz: float, seconds: float) -> Arrays:
        """Time only the parts of a tick, while the probe receives; return `inference` and `publish` (ticks,) s."""
        output = self._folder / "baseline.npz"
        with self._processes() as nodes:
            given = {"policy_path": self._policy, "rate_hz": rate_hz, "seconds": seconds}
            given |= {"fifo_priority": self._fifo_priority, "output": output}
            self._beside_the_probe(nodes, "baseline", given)
        return _load(output)

    def parts(self, rate_hz: float, seconds: float) -> NDArray[np.float64]:
        """Time the parts of a tick as `baseline` does; return their sum (ticks,), s."""
        found = self.baseline(rate_hz, seconds)
        total: NDArray[np.float64] = found["inference"] + found["publish"]
        return total

    def echo(self, rate_hz: float, seconds: float) -> Arrays:
        """Measure a plain echo; return the arrays of the probe."""
        with self._processes() as nodes:
            self._start(nodes, "baseline", mode="echo")
            found = self._probe(nodes, rate_hz, seconds, wait_for_answers=True)
            nodes.stop_well("baseline")
        return found

    def driver(self, driver: str, rate_hz: float, seconds: float) -> Arrays:
        """Measure a way to tick; return `lateness` and `work` (ticks,) s, `received`, and `cpu`, a share of a core."""
        output = self._folder / "driver.npz"
        with self._processes() as nodes:
            given = {"driver": driver, "policy_path": self._policy, "rate_hz": rate_hz, "seconds": seconds}
            self._beside_the_probe(nodes, "drivers", given | {"output": output})
        return _load(output)

    def _probe(self, nodes: NodeProcesses, rate_hz: float, seconds: float, **given: Any) -> Arrays:
        output = self._folder / "probe.npz"
        self._start_probe(nodes, rate_hz=rate_hz, seconds=seconds, output=output, **given)
        _wait_for(nodes, "probe")
        return _load(output)

    def _beside_the_probe(self, nodes: NodeProcesses, executable: str, given: dict[str, Any]) -> None:
        """Run a node that ends by itself."""
        self._start(nodes, executable, **given)
        self._start_probe(nodes, rate_hz=given["rate_hz"], seconds=A_DAY_S, output=self._folder / "unused.npz")
        _wait_for(nodes, executable)
        nodes.stop("probe")

    def _start_probe(self, nodes: NodeProcesses, **parameters: Any) -> None:
        self._start(nodes, "probe", task=self._task, **parameters)

    def _start(self, nodes: NodeProcesses, executable: str, **parameters: Any) -> None:
        texts = {name: str(value) if isinstance(value, Path) else value for name, value in parameters.items()}
        nodes.start(
            executable, f"vdd_ros.benchmark.realtime.{executable}", None, robot_file=str(self._robot_file), **texts
        )

    def _processes(self) -> NodeProcesses:
        logs = Path(tempfile.mkdtemp(dir=self._folder, prefix="log_"))
        return NodeProcesses(logs)


@contextmanager
def load(processes: int) -> Iterator[None]:
    """Keep cores busy with a number of processes of ordinary priority."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def _wait_for(nodes: NodeProcesses, name: str) -> None:
    """Wait until a node has ended; raises ProcessError if it or another one failed."""
    while not nodes.ended(name):
        time.sleep(POLL_S)


def _load(file: Path) -> Arrays:
    with np.load(file) as arrays:  # refuses pickles
        return dict(arrays)
