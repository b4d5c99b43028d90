"""control_msgs/action/GripperCommand: the goals of a gripper's controller, sent one at a time."""

from dataclasses import dataclass

from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import EFFORTS, FORCE, LENGTH, POSITIONS

_QUANTITIES = {"command.position": POSITIONS, "command.max_effort": EFFORTS}


@dataclass(frozen=True, kw_only=True)
class GripperCommand(Message):
    """Goals of a gripper; linear for jaws that slide, angular for a joint that turns."""

    def field_quantities(self, name: str) -> tuple[str, ...]:
        """See Message."""
        return _QUANTITIES.get(name, ())


MESSAGE = GripperCommand(
    type="control_msgs/action/GripperCommand",
    fields={"command": {"position": LENGTH, "max_effort": FORCE}},
    observed=False,
    commands=True,
    is_action=True,
    zero_is_safe=False,
    complete=True,
)
