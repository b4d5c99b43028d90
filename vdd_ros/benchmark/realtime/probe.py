"""The robot's side of the benchmark: publishes observations at absolute instants and times the answers."""

import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from vdd_ros.bags.records import read_record
from vdd_ros.errors import ConfigurationError
from vdd_ros.files import save_arrays
from vdd_ros.nodes.ros.messages import RELIABLE, SENSOR_DATA, command_message, message_class
from vdd_ros.nodes.ros.parameters import parameter, read_parameters
from vdd_ros.nodes.ros.polled_subscriptions import TickInputs
from vdd_ros.nodes.ros.runtime import Leave, run
from vdd_ros.nodes.ros.tick_thread import Deadlines, TickThread, end_executor
from vdd_ros.robot.channels import InputChannel, set_stamp
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks import SHIPPED_TASK, get_task

NOISE = 1e-6
DIGITS = 5
ANSWER_S = 0.25
PATIENCE_S = 30.0


@dataclass(frozen=True)
class ProbeParameters:
    """Parameters of the probe."""

    task: str = parameter(SHIPPED_TASK, "demonstrations whose first observation is published")
    robot_file: str = parameter("", "robot file")
    node: str = parameter("policy", "name of the node that is measured")
    rate_hz: float = parameter(200.0, "observations per second", 1.0, 10_000.0)
    seconds: float = parameter(5.0, "duration in s", 0.1, 86_400.0)
    wait_for_answers: bool = parameter(
        False, "publish the next observation only after the command that answers the last one"
    )
    next_policies: tuple[str, ...] = parameter(("",), "policy files to load while the node runs")
    output: str = parameter("", "file of the measurements (.npz)")


def noisy_messages(channel: InputChannel, kind: type, observation: NDArray[np.float64]) -> list[Any]:
    """Return messages of an input that differ in their last digits, like those of a live sensor.

    The node reports a sensor as frozen that repeats its message bit by bit while commands move.

    Args:
        channel: The input.
        kind: Class of its messages.
        observation: (obs_dim,) observation, in the task's units.
    """
    messages = [kind() for _ in range(DIGITS)]
    for digit, message in enumerate(messages):
        channel.write(observation + NOISE * digit, message)
    return messages


class Probe(Node):
    """Publishes observations, and keeps commands and latency records.

    Its file holds the node's `records` (ticks, labels) with their `labels`; `answers` (n,), seconds from publishing an
    observation to taking the command; `sent`, the number of observations; and `swapped` (swaps,), 1 for a hot swap that
    succeeded and 0 for one that failed.
    """

    def __init__(self) -> None:
        super().__init__("probe")
        self._settings = read_parameters(self, ProbeParameters)
        if not self._settings.robot_file or not self._settings.output:
            raise ConfigurationError("the probe needs the parameters robot_file and output")
        robot = RobotFile.load(self._settings.robot_file)
        task = get_task(self._settings.task)
        observation = np.asarray(task.make_sim(1).reset(task.draw_contexts(1, 0))[0], np.float64)
        self._messages: list[tuple[Any, Iterator[Any]]] = []
        for source in robot.inputs:
            kind = message_class(source.type)
            messages = noisy_messages(InputChannel(source, task.spec.observation), kind, observation)
            self._messages.append((self.create_publisher(kind, source.topic, RELIABLE), itertools.cycle(messages)))
        self._inputs = TickInputs(self)
        command = robot.commands[0]
        kind = type(command_message(command, 0.0))
        self._inputs.add(kind, command.topic, self._take_command, RELIABLE)
        latency = TickInputs(self)
        latency.add(JointState, f"{self._settings.node}/latency", self._take_record, SENSOR_DATA)
        self._latency = latency
        self._records: list[Any] = []
        self._answers: list[float] = []
        self._swapped: list[float] = []
        self._commands = self._sent = 0
        self._deadlines = Deadlines(1.0 / self._settings.rate_hz)
        self._end_ns = 0
        self._swaps = [path for path in self._settings.next_policies if path]
        self._setting = self.create_client(SetParameters, f"{self._settings.node}/set_parameters")
        self._loading = self.create_client(Trigger, f"{self._settings.node}/load_policy")
        self._first_ns = time.monotonic_ns()
        self._thread = TickThread(lambda: None, self._step, partial(end_executor, self))
        self._ended = self.create_timer(0.05, self._watch)

    def close(self) -> int:
        """End the thread."""
        self._thread.stop()
        self._inputs.destroy()
        self._latency.destroy()
        return 0

    def _step(self, thread: TickThread) -> None:
        """Publish one observation; the first ones activate the node and are not counted."""
        if not thread.sleep_until(self._deadlines.due_ns):
            return
        self._deadlines.step()
        self._inputs.take()
        self._latency.take()
        before, began = self._commands, time.perf_counter()
        self._publish()
        counts = self._end_ns > 0
        self._sent += counts
        if self._settings.wait_for_answers and self._commands > 0:
            while self._commands == before and time.perf_counter() - began < ANSWER_S:
                self._inputs.wait(ANSWER_S)
                self._inputs.take()
            if counts:
                self._answers.append(time.perf_counter() - began if self._commands > before else np.nan)
        if not counts and self._commands > 0:
            self._end_ns = time.monotonic_ns() + round(self._settings.seconds * 1e9)
            self._records.clear()

    def _publish(self) -> None:
        stamp = time.time_ns()
        for publisher, messages in self._messages:
            message = next(messages)
            set_stamp(message, stamp)
            publisher.publish(message)

    def _take_command(self, _message: Any, _received_s: float) -> None:
        self._commands += 1

    def _take_record(self, message: JointState, _received_s: float) -> None:
        self._records.append(message)

    def _watch(self) -> None:
        """Load the other policies, evenly over the time, and end when it is over."""
        now_ns = time.monotonic_ns()
        if not self._end_ns:
            if now_ns - self._first_ns > PATIENCE_S * 1e9:
                self.get_logger().error(f"no command came within {PATIENCE_S:g} s")
                raise Leave(1)
            return
        left_s = 1e-9 * (self._end_ns - now_ns)
        if self._swaps and left_s < self._settings.seconds * len(self._swaps) / (1 + len(self._settings.next_policies)):
            self._swap(self._swaps.pop(0))
        if left_s < 0:
            self._thread.stop()
            self._latency.take()
            records = [read_record(message) for message in self._records]
            save_arrays(
                Path(self._settings.output),
                records=np.array([values for _, values in records], np.float64),
                labels=np.array(records[0][0] if records else []),
                answers=np.array(self._answers),
                sent=np.array(self._sent),
                swapped=np.array(self._swapped),
            )
            raise Leave(0)

    def _swap(self, path: str) -> None:
        """Let the node load another policy file."""
        wanted = Parameter("next_policy", value=path).to_parameter_msg()
        answer = self._setting.call_async(SetParameters.Request(parameters=[wanted]))
        answer.add_done_callback(lambda _: self._loading.call_async(Trigger.Request()).add_done_callback(self._note))

    def _note(self, answer: Any) -> None:
        self._swapped.append(float(answer.result().success))


def main(argv: list[str] | None = None) -> int:
    """Run the probe; see `vdd_ros.nodes.ros.runtime.run`."""
    return run(Probe, argv, SingleThreadedExecutor)


if __name__ == "__main__":
    sys.exit(main())
