"""Compares a ros2_control controller's description of its joints with the robot file's command."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vdd_ros.robot.commands import Command
from vdd_ros.robot.quantities import EFFORTS, POSITIONS, VELOCITIES, quantity_of
from vdd_ros.text import printable

JOINTS, COMMAND_JOINTS, INTERFACE, PARTIAL = "joints", "command_joints", "interface_name", "allow_partial_joints_goal"
PARAMETERS = (JOINTS, COMMAND_JOINTS, INTERFACE, PARTIAL)
"""Parameters that are read from the controllers of ros2_controllers; each controller has some of them."""
_QUANTITIES = {"position": POSITIONS, "velocity": VELOCITIES, "effort": EFFORTS}

Values = Mapping[str, object]
"""The controller's parameters among `PARAMETERS`."""


@dataclass(frozen=True)
class ControllerJoints:
    """A controller's own view of its commands.

    Attributes:
        joints: Its joints, in the order of its numbers.
        interface: The single interface that it commands, such as `position`; empty if unknown.
        partial: Whether a command may leave joints out; None if unknown.
    """

    joints: tuple[str, ...]
    interface: str = ""
    partial: bool | None = None

    @classmethod
    def of(cls, values: Values) -> "ControllerJoints":
        """Build from its parameters; missing ones stay empty."""
        joints = values.get(COMMAND_JOINTS) or values.get(JOINTS)
        named = tuple(map(str, joints)) if isinstance(joints, Sequence) and not isinstance(joints, str) else ()
        partial = values.get(PARTIAL)
        return cls(named, str(values.get(INTERFACE) or ""), partial if isinstance(partial, bool) else None)


def controller_problems(command: Command, controller: ControllerJoints) -> Iterator[str]:
    """Yield why a controller would misunderstand a command: other joints, another order, another quantity.

    Args:
        command: The command, whose numbers are named by joint or label.
        controller: The controller's own description.
    """
    names = [entry.name for entry in command.entries]
    joints = list(controller.joints)
    if not joints:
        yield "it has no parameter `joints`, so its joints are unknown; leave `controller` out"
        return
    if command.message.named_by == "label":
        if names != joints:
            what = "in a different order" if sorted(names) == sorted(joints) else "which differ"
            yield (
                f"it takes numbers for the joints {_listed(joints)}, {what} from those of the robot file, "
                f"{_listed(names)}; a {command.type} carries no names: give the entries in the controller's order"
            )
    else:
        yield from _named_problems(names, joints, controller.partial)
    yield from _interface_problems(command, controller.interface)


def _named_problems(names: list[str], joints: list[str], partial: bool | None) -> Iterator[str]:
    if unknown := [name for name in names if name not in joints]:
        yield f"it does not move {_listed(unknown)}; its joints are {_listed(joints)}"
    missing = [joint for joint in joints if joint not in names]
    if missing and partial is False:
        yield (
            f"it refuses commands without {_listed(missing)}, since its {PARTIAL} is false; add entries for them, "
            "such as with `fixed`"
        )


def _interface_problems(command: Command, interface: str) -> Iterator[str]:
    wanted = _QUANTITIES.get(interface)
    for entry in command.entries if wanted else ():
        quantity = quantity_of(entry.unit)
        known = quantity in (*POSITIONS, *VELOCITIES, *EFFORTS)
        if known and wanted and quantity not in wanted and entry.scale == 1:
            yield f"it takes {interface} commands, but {printable(entry.name)} is {quantity} ({printable(entry.unit)})"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names))
