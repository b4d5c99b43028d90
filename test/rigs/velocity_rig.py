"""A robot with velocity commands, to be stopped or held once commanding ends."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from node_rig import AVOIDING, COMMANDS, Robot
from policy_files import write_mixture
from ros_helpers import Bench

pytest.importorskip("rclpy")

from fault_rig import pass_time
from geometry_msgs.msg import TwistStamped
from rclpy.service import Service
from std_srvs.srv import Trigger

from vdd_ros.features import Feature

HELP = "/hold_robot"


class VelocityRobot:
    """A robot that obeys velocities, and has a service that holds it.

    Attributes:
        said: When each command was sent, in seconds since the epoch, and its velocities.
        calls: When the service was called.
        helps: What the service answers.
    """

    def __init__(self, bench: Bench, folder: Path, on_loss: str) -> None:
        self.bench = bench
        self.on_loss = on_loss
        self.said: list[tuple[float, np.ndarray]] = []
        self.calls: list[float] = []
        self.helps = True
        self.file = robot_file(folder, on_loss)
        self.policy = write_velocities(folder / "velocities.onnx")
        self.observations = Robot(bench, TwistStamped)
        on_command: Any = self._on_command  # rclpy's types know of no callback with the time of sending
        bench.node.create_subscription(TwistStamped, COMMANDS, on_command, 1000)

    @property
    def arguments(self) -> dict[str, Any]:
        """Parameters of a node that commands it."""
        return {"policy_path": str(self.policy), "robot_file": str(self.file)}

    def serve(self) -> Service:
        """Offer the service."""
        return self.bench.node.create_service(Trigger, HELP, self._serve)

    def move(self, count: int = 5) -> None:
        """Publish observations until the robot has moved for this many more commands."""
        wanted = len(self.moves()) + count
        self.observations.run_until(lambda: len(self.moves()) >= wanted, "velocities")

    def moves(self, since_s: float = 0.0) -> list[np.ndarray]:
        """Return the commands that are not all zero."""
        return [values for at_s, values in self.said if at_s > since_s and values.any()]

    def is_left(self) -> bool:
        """Whether it was left as its file says."""
        if self.on_loss == "call":  # on a busy machine there may have been losses before the last move
            return bool(self.calls) and self.calls[-1] > max(at_s for at_s, values in self.said if values.any())
        return bool(self.said) and not self.said[-1][1].any()

    def check_left(self, since_s: float) -> None:
        """Check that it was left as its file says, and is left alone since then, also where observations come."""
        self.bench.wait(self.is_left, f"what on_loss {self.on_loss} says")
        pass_time(self.bench, 0.3, self.observations.publish)
        assert not self.moves(since_s)
        assert bool(self.calls) == (self.on_loss == "call")

    def _on_command(self, message: TwistStamped, info: dict[str, Any]) -> None:
        linear = message.twist.linear
        self.said.append((info["source_timestamp"] * 1e-9, np.array([linear.x, linear.y])))

    def _serve(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.calls.append(time.time())
        response.success = self.helps
        return response


def robot_file(folder: Path, on_loss: str) -> Path:
    """Write Avoiding's robot file with velocities as the command."""
    document = yaml.safe_load(AVOIDING.read_text())
    entry = {"unit": "m/s", "low": -0.2, "high": 0.2, "max_step": 0.05}
    entries = [entry | {"name": f"twist.linear.{axis}", "action": f"velocity_{axis}"} for axis in "xy"]
    command = {"type": "geometry_msgs/msg/TwistStamped", "on_loss": on_loss, "entries": entries}
    document["command"] |= command | ({"loss_service": HELP} if on_loss == "call" else {})
    path = folder / f"{on_loss}.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def write_velocities(path: Path) -> Path:
    """Write a policy that gives chunks of velocities."""
    action = tuple(Feature(f"velocity_{axis}", "m/s", -0.2, 0.2) for axis in "xy")
    return write_mixture(path, action=action, horizon=8)
