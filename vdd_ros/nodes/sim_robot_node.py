"""A simulated robot on ROS 2: publishes a task's observations and obeys commands, in real time or faster."""

import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool, Int64, String

from vdd_ros.errors import ConfigurationError, ObservationError
from vdd_ros.nodes.ros.arguments import Executable, answered
from vdd_ros.nodes.ros.containment import ending
from vdd_ros.nodes.ros.leaving import leave
from vdd_ros.nodes.ros.messages import LATCHED, RELIABLE, command_message, message_class
from vdd_ros.nodes.ros.parameters import parameter, read_parameters
from vdd_ros.nodes.ros.runtime import Leave, run
from vdd_ros.nodes.sim_robot.episodes import EpisodeResult, Phase, SimulatedRobot
from vdd_ros.nodes.sim_robot.results import write_results
from vdd_ros.nodes.sim_robot.stop_services import StopServices
from vdd_ros.robot.channels import InputChannel, set_stamp
from vdd_ros.robot.command_channel import CommandChannel, CommandPart
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks import SHIPPED_TASK, get_task

ACKNOWLEDGE_S = 5.0
ACKNOWLEDGED_WITHIN = Duration(seconds=1.0)
"""Longest wait for acknowledgements of `episode`."""
FRAME = "world"


@dataclass(frozen=True)
class SimParameters:
    """Parameters of sim_robot_node."""

    task: str = parameter(SHIPPED_TASK, "simulated task")
    robot_file: str = parameter("", "robot file (.yaml) with the robot's messages", path=True)
    speed: float = parameter(1.0, "simulated seconds per second", 0.01, 1000.0)
    episodes: int = parameter(10, "episodes until the node exits", 1, 1_000_000)
    seed: int = parameter(0, "seed of the first episode; each episode adds one", 0, 2**31 - 1)
    start_topic: str = parameter("", "publish nothing before this topic (std_msgs/Bool) is true; empty: at once")
    listeners: int = parameter(0, "publish nothing before this many nodes subscribe to every input", 0, 1000)
    idle_timeout_s: float = parameter(30.0, "longest wait for the start, and for an episode's first command", 0.1, 1e6)
    results_file: str = parameter("", "JSON file of the results so far; empty: none", path=True)


EXECUTABLE = Executable("sim_robot_node", "sim_robot", SimParameters, "simulates the robot of a task")


class SimRobotNode(Node):
    """Runs a number of episodes and exits.

    Each control period it applies the newest command and publishes the next observation, every input with the same
    stamp. An episode begins with its number on `episode`, which every reliable listener has acknowledged before the
    first observation is sent, so listeners know why the robot jumps. The first observation is repeated until a command
    arrives. The result goes to `~/result` as JSON, and after the last one a summary.

    The first command also sets the phase: the robot's instants lie half a period from the policy's ticks. If they
    coincided, a command could miss its period, and a policy that adds displacements to its observations would move the
    robot only every second period.

    It serves each `loss_service` of the robot file. After the last episode it leaves once they have been called.

    Raises:
        ConfigurationError, TaskError, RobotFileError: If a parameter, the task or the robot file is wrong.
    """

    def __init__(self) -> None:
        super().__init__("sim_robot")
        self._settings = read_parameters(self, SimParameters)
        if not self._settings.robot_file:
            raise ConfigurationError("parameter robot_file is not set; give it: -p robot_file:=FILE")
        task = self._task = get_task(self._settings.task)
        robot_file = RobotFile.load(self._settings.robot_file)
        robot_file.check(task.spec.observation, task.spec.action)
        self._channel = CommandChannel(robot_file.commands, task.spec.observation, task.spec.action)
        self._robot = SimulatedRobot(task, self._channel, self._settings.seed)
        self._results: list[EpisodeResult] = []
        self._command = np.zeros(len(self._channel.entries))
        self._found = np.zeros_like(self._command)
        self._commands = frozenset(command.name for command in robot_file.commands)
        self._awaited = set(self._commands)
        self._allowed = not self._settings.start_topic
        self._started = False
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._idle_since = self._steady.now()
        self._connect(robot_file, task.spec.observation)
        self._episode.publish(Int64(data=self._robot.episode))
        period_s = 1.0 / (task.spec.rate_hz * self._settings.speed)
        self._mid_period = False
        self._timer = self.create_timer(period_s / 2, self._half_period, clock=self._steady)

    def _connect(self, robot_file: RobotFile, observation: Any) -> None:
        self._inputs = []
        for source in robot_file.inputs:
            message = message_class(source.type)()
            if hasattr(message, "header"):
                message.header.frame_id = FRAME  # viewers draw nothing without a frame name
            channel = InputChannel(source, observation)
            channel.check(message)
            self._inputs.append((channel, message, self.create_publisher(type(message), source.topic, RELIABLE)))
        for part in self._channel.parts:
            command = command_message(part.command, 0.0)
            part.check(command)
            take = partial(self._take_command, part)
            self.create_subscription(type(command), part.command.topic, take, RELIABLE)
        self._stops = StopServices(self, robot_file, self._robot.stop)
        self._is_over = False
        self._episode = self.create_publisher(Int64, "episode", LATCHED)
        every_result = QoSProfile(depth=self._settings.episodes + 1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._result = self.create_publisher(String, "~/result", every_result)
        if not self._allowed:
            self.create_subscription(Bool, self._settings.start_topic, self._take_start, LATCHED)

    def _take_start(self, message: Bool) -> None:
        self._allowed |= message.data

    def _start(self) -> None:
        """Start once permitted and all listeners are present."""
        listeners = min(publisher.get_subscription_count() for _, _, publisher in self._inputs)
        if self._allowed and listeners >= self._settings.listeners:
            self._started = True
            self._idle_since = self._steady.now()

    def _take_command(self, part: CommandPart, message: Any) -> None:
        """Take a message of one command; the robot obeys once each command has arrived in this episode."""
        found = self._found[part.place]
        try:
            part.read(message, found)
        except ObservationError as error:
            self.get_logger().warning(f"command ignored: {error}", throttle_duration_sec=1.0)
            return
        if not np.isfinite(found).all():
            self.get_logger().warning(f"command ignored: {found} is not finite", throttle_duration_sec=1.0)
            return
        self._command[part.place] = found
        if self._robot.phase is Phase.SETTLING:
            return
        self._awaited.discard(part.command.name)
        if self._awaited:
            return
        if self._robot.phase is Phase.WAITING:
            self._timer.reset()
            self._mid_period = False
        self._robot.command(self._command)

    def _half_period(self) -> None:
        self._mid_period = not self._mid_period
        if self._mid_period:
            try:
                self._tick()
            except Leave:
                raise
            except Exception as error:  # a stuck robot must not block the nodes that wait for it
                raise ending(self, error) from None

    def _tick(self) -> None:
        if self._is_over:
            self._leave()
            return
        if self._robot.phase is Phase.ENDED:
            self._next_episode()
        if not self._started:
            self._start()
        if self._started:
            result = self._robot.advance()
            self._publish_observation()
            if result is not None:
                self._finish(result)
        self._check_idle()

    def _publish_observation(self) -> None:
        stamp = self.get_clock().now().nanoseconds
        for channel, message, publisher in self._inputs:
            channel.write(self._robot.observation, message)
            set_stamp(message, stamp)
            publisher.publish(message)

    def _check_idle(self) -> None:
        if self._robot.phase is Phase.RUNNING:
            self._idle_since = self._steady.now()
        elif self._steady.now() - self._idle_since > Duration(seconds=self._settings.idle_timeout_s):
            awaited = f"a command of episode {self._robot.episode}" if self._started else self._missing()
            self.get_logger().error(
                f"timed out after {self._settings.idle_timeout_s:g} s waiting for {awaited}; is the policy node "
                "active, and is its robot file the same? (parameter idle_timeout_s)"
            )
            raise Leave(1)

    def _missing(self) -> str:
        """Describe what the start waits for."""
        if not self._allowed:
            return "the start"
        return f"{self._settings.listeners} listeners of every input"

    def _finish(self, result: EpisodeResult) -> None:
        self._results.append(result)
        self._result.publish(String(data=json.dumps(result.to_dict())))
        if self._settings.results_file:
            write_results(Path(self._settings.results_file), self._task.spec.name, self._results)
        way = "" if result.mode is None else f", {self._task.mode_name(result.mode)}"
        self.get_logger().info(
            f"episode {result.episode}: {'success' if result.success else 'failure'} after {result.steps} steps{way}"
        )
        if len(self._results) == self._settings.episodes:
            successes = sum(result.success for result in self._results)
            summary = {"summary": {"episodes": len(self._results), "successes": successes}}
            self._result.publish(String(data=json.dumps(summary)))
            self._result.wait_for_all_acked(Duration(seconds=ACKNOWLEDGE_S))
            self._is_over = True
            self._stops.begin()
            self._leave()

    def _leave(self) -> None:
        """Leave unless the policy still has to stop the robot."""
        if self._stops.may_leave:
            raise Leave(0)

    def _next_episode(self) -> None:
        self._robot.reset()
        self._awaited = set(self._commands)
        self._episode.publish(Int64(data=self._robot.episode))
        if not self._episode.wait_for_all_acked(ACKNOWLEDGED_WITHIN):
            self.get_logger().warning(
                f"episode {self._robot.episode} begins although not every listener has acknowledged its number within "
                f"{ACKNOWLEDGED_WITHIN.nanoseconds * 1e-9:g} s: to them the robot may appear to jump"
            )


def main(argv: list[str] | None = None) -> int:
    """Run the simulated robot; see `vdd_ros.nodes.ros.runtime.run`."""
    code = answered(EXECUTABLE, argv)
    return leave(run(SimRobotNode, argv)) if code is None else code


if __name__ == "__main__":
    sys.exit(main())
