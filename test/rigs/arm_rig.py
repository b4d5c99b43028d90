"""An arm of two joints on a hand-fed loop; the test sets the policy's actions and the robot's reaction."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from loop_rig import PERIOD_S, Rig
from policy_files import write_mixture
from robot_messages import joint_state

from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

JOINTS = ("shoulder", "elbow")
MAX_STEP = 0.02
MAX_ERROR = 0.25 / PERIOD_S * MAX_STEP
"""As far as `max_step` leads in a quarter of a second: the default."""


def arm_document(**entry: Any) -> dict[str, Any]:
    """Return the robot file of the arm, with more keys in each entry of the command; None takes one away."""
    entries = [
        {
            name: value
            for name, value in (
                {"name": joint, "action": f"{joint}_target", "measured": joint, "unit": "rad"}
                | {"low": -3.0, "high": 3.0, "max_step": MAX_STEP}
                | entry
            ).items()
            if value is not None
        }
        for joint in JOINTS
    ]
    readings = {joint: {"joint": joint, "interface": "position", "unit": "rad"} for joint in JOINTS}
    arm = {"topic": "joint_states", "type": "sensor_msgs/msg/JointState", "max_age_s": 0.2, "entries": readings}
    kind = "trajectory_msgs/msg/JointTrajectory"
    command = {"topic": "arm/joint_trajectory", "type": kind, "on_loss": "hold", "entries": entries}
    return {"inputs": {"arm": arm}, "command": command}


def gripper_document() -> dict[str, Any]:
    """Return the robot file of an arm whose second joint takes goals."""
    found = arm_document()
    arm = found.pop("command")
    finger = arm["entries"][1] | {"name": "command.position"}
    effort = {"name": "command.max_effort", "fixed": 20.0, "unit": "Nm"}
    kind = "control_msgs/action/GripperCommand"
    gripper = {"topic": "gripper/gripper_cmd", "type": kind, "on_loss": "hold", "entries": [finger, effort]}
    return found | {"commands": {"arm": arm | {"entries": arm["entries"][:1]}, "gripper": gripper}}


class Arm:
    """The arm and its loop; each tick of it is one of the loop.

    Attributes:
        rig: The loop.
        places: Where the joints are, in rad.
        wants: What the policy answers, (joints,) or (horizon, joints).
    """

    def __init__(
        self,
        folder: Path,
        document: dict[str, Any] | None = None,
        *,
        horizon: int = 1,
        units: Sequence[str] = ("rad", "rad"),
        action_units: Sequence[str] = ("rad", "rad"),
        **settings: Any,
    ) -> None:
        path = write_mixture(
            folder / "arm.onnx",
            observation=tuple(map(Feature, JOINTS, units)),
            action=tuple(
                Feature(f"{joint}_target", unit, -4.0, 4.0) for joint, unit in zip(JOINTS, action_units, strict=True)
            ),
            horizon=horizon,
        )
        policy = OnnxPolicy.load(path, expert="greedy")
        act = policy.act
        self.wants: Any = np.zeros(len(JOINTS))
        self._horizon = horizon

        def wanted(*given: Any) -> Any:
            action = np.broadcast_to(np.asarray(self.wants, np.float32), (horizon, len(JOINTS)))
            return act(*given)._replace(action=action)

        policy.act = wanted  # type: ignore[method-assign, assignment]
        self.rig = Rig(policy, RobotFile.from_dict(document or arm_document()), **settings)
        self.places = np.zeros(len(JOINTS))

    @property
    def commands(self) -> np.ndarray:
        """All commands so far, (n, joints)."""
        return np.array(self.rig.out.commands).reshape(-1, len(JOINTS))

    @property
    def blocked(self) -> str:
        """Why nothing is commanded."""
        return self.rig.loop.commander.blocked

    def tell(self, places: Sequence[float] | np.ndarray, *, later_s: float = 0.0) -> None:
        """Give the loop a message about the joints."""
        now_s = self.rig.time_s + later_s
        self.rig.receive("arm", joint_state(now_s, **dict(zip(JOINTS, map(float, places), strict=True))), now_s)

    def tick(self, *, told: bool = True) -> None:
        """Let a period pass."""
        self.rig.time_s += PERIOD_S
        if told:
            self.tell(self.places)
        self.rig.loop.tick(self.rig.time_s, 0.0)

    def run(self, seconds: float, *, lag_s: float | None = None, noise: float = 0.0, grid: float = 0.0) -> None:
        """Let time pass.

        Args:
            seconds: How much.
            lag_s: Time constant with which the joints follow; None for a robot that stands.
            noise: Deviation of what is measured, in rad.
            grid: Step of the encoders, in rad; 0 for exact ones.
        """
        rng = np.random.default_rng(0)
        for _ in range(round(seconds / PERIOD_S)):
            self.rig.time_s += PERIOD_S
            seen = self.places + noise * rng.standard_normal(len(JOINTS))
            self.tell(np.round(seen / grid) * grid if grid else seen)
            self.rig.loop.tick(self.rig.time_s, 0.0)
            if lag_s is not None and len(self.rig.out.commands):
                share = 1 - math.exp(-PERIOD_S / lag_s) if lag_s else 1.0
                self.places = self.places + share * (self.commands[-1] - self.places)
