"""Policy nodes for Avoiding over real DDS, and the robot on the other side of their topics."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ros_helpers import Bench

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.parameter import Parameter
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger

from vdd_ros.nodes.policy_node import PolicyNode

AVOIDING = Path(__file__).parents[2] / "config" / "robots" / "avoiding.yaml"
COMMANDS = "/avoiding_controller/commands"
FAST_HZ = 200.0


MakeNode = Callable[..., PolicyNode]


def node_maker(bench: Bench, policy: Path) -> MakeNode:
    """Return what makes policy nodes for Avoiding; keyword arguments are parameters."""

    def make(name: str = "policy", **parameters: Any) -> PolicyNode:
        given = {"policy_path": str(policy), "robot_file": str(AVOIDING), "rate_hz": FAST_HZ} | parameters
        overrides = [Parameter(key, value=value) for key, value in given.items()]
        made: PolicyNode = bench.add(PolicyNode(name, parameter_overrides=overrides))
        return made

    return make


class Sensor:
    """Measures a robot that stands, and is alive: the last digits, as policies see them, are others each time."""

    def __init__(self) -> None:
        self._digits = itertools.cycle(range(5))

    def measure(self, value: float) -> float:
        """Return a value, or one of the four float32 above it."""
        seen = np.float32(value)
        return value + float(next(self._digits) * np.spacing(seen))


class Robot:
    """Publishes both inputs of Avoiding, and collects the commands.

    It stands, which the guards do not mind as long as its sensor is alive and commands are displacements.
    """

    def __init__(self, bench: Bench, command: Any = Float64MultiArray) -> None:
        self.bench = bench
        self.sensor = Sensor()
        self.inputs = [bench.node.create_publisher(PoseStamped, topic, 10) for topic in ("desired_pose", "tcp_pose")]
        self.commands = bench.collect(command, COMMANDS)

    def publish(self, x: float = 0.5, y: float = 0.1) -> None:
        """Publish one observation, stamped now."""
        message = PoseStamped()
        message.pose.position.y = y
        message.header.stamp = self.bench.node.get_clock().now().to_msg()
        for publisher, seen in zip(self.inputs, (x, self.sensor.measure(x)), strict=False):
            message.pose.position.x = seen
            publisher.publish(message)

    def run_until(self, condition: Callable[[], Any], what: str, **position: float) -> None:
        """Publish observations until a condition holds."""

        def published() -> Any:
            self.publish(**position)
            return condition()

        self.bench.wait(published, what)


def started(node: PolicyNode) -> PolicyNode:
    """Configure and activate a node."""
    node.trigger_configure()
    assert node.state == "inactive", node.failure
    node.trigger_activate()
    assert node.state == "active", node.failure
    return node


def call(node: PolicyNode, robot: Robot, path: Path | str) -> Any:
    """Ask a node to load a file, while observations come in; return the answer."""
    node.set_parameters([Parameter("next_policy", value=str(path))])
    client = robot.bench.node.create_client(Trigger, f"/{node.get_name()}/load_policy")
    robot.bench.wait(client.service_is_ready, "the service")
    future = client.call_async(Trigger.Request())
    robot.run_until(future.done, "the answer")
    return future.result()


def diagnose(node: PolicyNode, bench: Bench) -> DiagnosticStatus:
    """Return what a node says about itself now."""
    statuses: list[Any] = bench.collect(DiagnosticArray, "/diagnostics")
    bench.wait_for_match("/diagnostics", publishers=1, subscriptions=1)
    node.publish_diagnostics()
    bench.wait(lambda: statuses, "diagnostics")
    return statuses[-1].status[0]
