"""The indispensable parts of a tick, measured alone: the graph in ONNX Runtime, rclpy's publish, and a plain echo."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from vdd_ros.benchmark.realtime.sample_command import sample_command
from vdd_ros.errors import ConfigurationError
from vdd_ros.files import save_arrays
from vdd_ros.host.realtime import HostSettings, settle
from vdd_ros.nodes.ros.messages import RELIABLE, SENSOR_DATA, message_class
from vdd_ros.nodes.ros.parameters import parameter, read_parameters
from vdd_ros.nodes.ros.runtime import Leave, run
from vdd_ros.nodes.ros.tick_thread import Deadlines
from vdd_ros.policy.binding import BoundArrays
from vdd_ros.policy.onnx_session import open_session
from vdd_ros.policy.providers import ProviderSettings
from vdd_ros.robot.robot_file import RobotFile

MODES = ("parts", "echo")


@dataclass(frozen=True)
class BaselineParameters:
    """Parameters of the baseline node."""

    mode: str = parameter("parts", f"mode: {', '.join(MODES)}")
    policy_path: str = parameter("", "policy file, for parts")
    robot_file: str = parameter("", "robot file")
    rate_hz: float = parameter(200.0, "rate in Hz, for parts", 1.0, 10_000.0)
    seconds: float = parameter(5.0, "duration in s, for parts", 0.1, 86_400.0)
    wake_early_s: float = parameter(0.003, "warm-up time in s before each tick, for parts", 0.0, 0.02)
    fifo_priority: int = parameter(0, "SCHED_FIFO priority, for parts; 0 selects the ordinary scheduler", 0, 99)
    output: str = parameter("", "file of the measurements (.npz), for parts")


class Baseline(Node):
    """Times the parts of a tick, or echoes.

    `parts` runs the graph and publishes at the node's rate, and times both. It wakes as early as the node and runs the
    graph until the tick is due, so that its core is as warm, and its clock as fast, as the node's. `echo` answers each
    message of the robot file's last input with a command, from a callback of the executor, like rclpy's first example.
    """

    def __init__(self) -> None:
        super().__init__("baseline")
        self._settings = settings = read_parameters(self, BaselineParameters)
        if settings.mode not in MODES:
            raise ConfigurationError(f"parameter mode is {settings.mode!r}; use one of {', '.join(MODES)}")
        robot = RobotFile.load(settings.robot_file)
        self._answer = sample_command(robot.commands[0])
        self._publisher = self.create_publisher(type(self._answer), robot.commands[0].topic, RELIABLE)
        if settings.mode == "echo":
            source = robot.inputs[-1]
            self.create_subscription(message_class(source.type), source.topic, self._echo, SENSOR_DATA)
            return
        opened = open_session(settings.policy_path, provider=ProviderSettings(), intra_op_threads=1, inter_op_threads=1)
        self._arrays = BoundArrays(opened.session, opened.spec, 1)
        self._start = self.create_timer(0.5, self._measure)

    def _echo(self, _message: Any) -> None:
        self._publisher.publish(self._answer)

    def _measure(self) -> None:
        """Time both parts at absolute instants."""
        for problem in settle(HostSettings(fifo_priority=self._settings.fifo_priority)):
            raise ConfigurationError(problem)
        deadlines = Deadlines(1.0 / self._settings.rate_hz)
        end_ns = time.monotonic_ns() + round(self._settings.seconds * 1e9)
        inference, publish = [], []
        early_ns = round(1e9 * min(self._settings.wake_early_s, 0.5 / self._settings.rate_hz))
        while deadlines.due_ns < end_ns:
            time.sleep(1e-9 * max(0, deadlines.due_ns - early_ns - time.monotonic_ns()))
            while time.monotonic_ns() < deadlines.due_ns:
                self._arrays.run()
            deadlines.step()
            began = time.perf_counter()
            self._arrays.run()
            ran = time.perf_counter()
            self._publisher.publish(self._answer)
            inference.append(ran - began)
            publish.append(time.perf_counter() - ran)
        save_arrays(Path(self._settings.output), inference=np.array(inference), publish=np.array(publish))
        raise Leave(0)


def main(argv: list[str] | None = None) -> int:
    """Run the baseline node; see `vdd_ros.nodes.ros.runtime.run`."""
    return run(Baseline, argv, SingleThreadedExecutor)


if __name__ == "__main__":
    sys.exit(main())
