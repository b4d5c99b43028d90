"""Recordings of a tool whose pose is commanded, and their robot file."""

from collections.abc import Sequence
from typing import Any

from recorded_arm import STORE, Sent

POSE = "geometry_msgs/msg/PoseStamped"


def pose(at_ns: int, topic: str, position: Sequence[float] = (0, 0, 0), turn: Sequence[float] = (0, 0, 0, 1)) -> Sent:
    """Return a PoseStamped, stamped at its receipt; `turn` is a quaternion x, y, z, w."""
    types = STORE.types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](*divmod(at_ns, 1_000_000_000)), "base")
    point = types["geometry_msgs/msg/Point"](*map(float, position))
    quaternion = types["geometry_msgs/msg/Quaternion"](*map(float, turn))
    message = types[POSE](header, types["geometry_msgs/msg/Pose"](point, quaternion))
    return Sent(at_ns, topic, POSE, bytes(STORE.serialize_cdr(message, POSE)))


def pose_document(form: str, **more: Any) -> dict[str, Any]:
    """Return a robot file of the tool: its pose on /tool, commands on /commands with an orientation of a form."""
    numbers = [
        {"name": f"pose.position.{axis}", "action": f"to_{axis}", "unit": "m", "low": -1.0, "high": 1.0}
        | {"max_step": 0.1, "measured": axis}
        for axis in "xyz"
    ]
    turn = {"name": "pose.orientation", "rotation": form, "action": "to_turn", "max_step": 0.2, "measured": "turn"}
    entries = {axis: {"field": f"pose.position.{axis}", "unit": "m"} for axis in "xyz"}
    entries["turn"] = {"field": "pose.orientation", "rotation": "six_d"}
    return {
        "rate_hz": 20.0,
        "inputs": {"tool": {"topic": "/tool", "type": POSE, "max_age_s": 0.2, "entries": entries}},
        "command": {"topic": "/commands", "type": POSE, "on_loss": "hold", "entries": [*numbers, turn]},
        **more,
    }
