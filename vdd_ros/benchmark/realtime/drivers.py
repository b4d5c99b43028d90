"""Three ways to make a policy tick at absolute instants, each alone in a node, to see which is most punctual."""

import gc
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.experimental import EventsExecutor
from rclpy.node import Node

from vdd_ros.benchmark.realtime.sample_command import sample_command
from vdd_ros.control.timing import LATENCY_LABELS, LatencyRecord, LatencyStatistics
from vdd_ros.errors import ConfigurationError
from vdd_ros.files import save_arrays
from vdd_ros.nodes.ros.messages import RELIABLE, SENSOR_DATA, message_class
from vdd_ros.nodes.ros.parameters import parameter, read_parameters
from vdd_ros.nodes.ros.polled_subscriptions import TickInputs
from vdd_ros.nodes.ros.runtime import Leave, run
from vdd_ros.nodes.ros.tick_thread import Deadlines, TickThread, end_executor
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

DRIVERS = ("timer", "events", "thread")


@dataclass(frozen=True)
class DriverParameters:
    """Parameters of the node."""

    driver: str = parameter("thread", f"tick source: {', '.join(DRIVERS)}")
    policy_path: str = parameter("", "policy file")
    robot_file: str = parameter("", "robot file")
    rate_hz: float = parameter(200.0, "ticks per second", 1.0, 10_000.0)
    seconds: float = parameter(5.0, "duration in s", 0.1, 86_400.0)
    output: str = parameter("", "file of the measurements (.npz)")


class Driven(Node):
    """Infers and publishes at each tick, receives a robot's inputs, and publishes diagnostics once a second.

    `timer` is rclpy's timer on a single-threaded executor, and `events` the same timer on the events executor. `thread`
    is a separate thread that sleeps until absolute instants and takes the inputs itself, as in the policy node. None of
    them wakes early.
    """

    def __init__(self) -> None:
        super().__init__("driven")
        self._settings = settings = read_parameters(self, DriverParameters)
        if settings.driver not in DRIVERS:
            raise ConfigurationError(f"parameter driver is {settings.driver!r}; use one of {', '.join(DRIVERS)}")
        self._policy = OnnxPolicy.load(settings.policy_path)
        spec = self._policy.spec
        self._window = np.tile(np.array(spec.statistics.observation_mean, np.float32), (spec.history, 1))
        robot = RobotFile.load(settings.robot_file)
        self._command = sample_command(robot.commands[0])
        self._publisher = self.create_publisher(type(self._command), robot.commands[0].topic, RELIABLE)
        self._count = round(settings.rate_hz * settings.seconds)
        self._late, self._work = np.zeros((2, self._count))
        self._ticks = self._received = 0
        self._statistics = LatencyStatistics(2000)
        self._record = LatencyRecord()
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._diagnose, clock=self._steady)
        self._inputs = TickInputs(self)
        for source in robot.inputs:
            kind = message_class(source.type)
            if settings.driver == "thread":
                self._inputs.add(kind, source.topic, self._receive, SENSOR_DATA)
            else:
                self.create_subscription(kind, source.topic, self._receive, SENSOR_DATA)
        self._start()

    def close(self) -> int:
        """End the thread, if there is one."""
        if self._settings.driver == "thread":
            self._thread.stop()
            self._inputs.destroy()
        return 0

    def _start(self) -> None:
        self._policy.warm_up()
        gc.collect()
        gc.freeze()
        self._cpu_s, self._began_s = time.process_time(), time.monotonic()
        if self._settings.driver == "thread":
            self._deadlines = Deadlines(1.0 / self._settings.rate_hz)
            self._thread = TickThread(lambda: None, self._step, partial(end_executor, self))
            self.create_timer(0.05, self._watch)
        else:
            self._timer = self.create_timer(1.0 / self._settings.rate_hz, self._on_timer, clock=self._steady)
            self._due_ns = self._next_due_ns()

    def _step(self, thread: TickThread) -> None:
        if thread.sleep_until(self._deadlines.due_ns):
            self._inputs.take()
            self._tick(self._deadlines.due_ns)
            self._deadlines.step()

    def _on_timer(self) -> None:
        self._tick(self._due_ns)
        self._due_ns = self._next_due_ns()
        self._watch()

    def _next_due_ns(self) -> int:
        return int(self._steady.now().nanoseconds + self._timer.time_until_next_call())

    def _tick(self, due_ns: int) -> None:
        if self._ticks == self._count:
            return
        began_ns = time.monotonic_ns()
        self._policy.act(self._window)
        self._publisher.publish(self._command)
        self._late[self._ticks] = 1e-9 * (began_ns - due_ns)
        self._work[self._ticks] = 1e-9 * (time.monotonic_ns() - began_ns)
        self._ticks += 1
        self._statistics.add(self._record)

    def _receive(self, *_: Any) -> None:
        self._received += 1

    def _diagnose(self) -> None:
        for label in LATENCY_LABELS:
            self._statistics.percentiles(label)
        self._diagnostics.publish(DiagnosticArray())

    def _watch(self) -> None:
        if self._ticks < self._count:
            return
        cpu = (time.process_time() - self._cpu_s) / (time.monotonic() - self._began_s)
        counts = {"received": np.array(self._received), "cpu": np.array(cpu)}
        save_arrays(Path(self._settings.output), lateness=self._late, work=self._work, **counts)
        raise Leave(0)


def main(argv: list[str] | None = None) -> int:
    """Run the node with the executor that its driver needs; see `vdd_ros.nodes.ros.runtime.run`."""
    words = sys.argv if argv is None else argv
    events = any(word.endswith('driver:="events"') for word in words)
    return run(Driven, argv, EventsExecutor if events else SingleThreadedExecutor)


if __name__ == "__main__":
    sys.exit(main())
