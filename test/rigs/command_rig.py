"""Commands of any message type, by hand or over DDS: a policy that wants the same numbers whatever it sees."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from policy_files import write_mixture

from vdd_ros.features import Feature

TOPIC = "commands"
TOLERANCE = 1e-4


def wanted(count: int) -> list[float]:
    """Return the numbers that the policy wants, to within TOLERANCE."""
    return [0.1 * (index + 1) for index in range(count)]


def command_policy(path: Path, units: Sequence[str]) -> Path:
    """Write a policy file that sees one joint and wants a number of each unit."""
    return write_mixture(
        path,
        observation=(Feature("base", "rad"),),
        action=tuple(
            Feature(f"a{index}", unit, value - TOLERANCE / 2, value)
            for index, (unit, value) in enumerate(zip(units, wanted(len(units)), strict=True))
        ),
    )


def command_document(
    kind: str, names: Sequence[str], units: Sequence[str], *, on_loss: str = "hold", **more: Any
) -> dict[str, Any]:
    """Return the robot file for that policy; `more` goes into the command."""
    entries = [
        {"name": name, "action": f"a{index}", "unit": unit, "low": -1.0, "high": 1.0, "max_step": 1.0}
        for index, (name, unit) in enumerate(zip(names, units, strict=True))
    ]
    reading = {"base": {"joint": "base_joint", "interface": "position", "unit": "rad"}}
    arm = {"topic": "joint_states", "type": "sensor_msgs/msg/JointState", "max_age_s": 1.0, "entries": reading}
    command = {"topic": TOPIC, "type": kind, "on_loss": on_loss, "entries": entries} | more
    return {"inputs": {"arm": arm}, "command": command}
