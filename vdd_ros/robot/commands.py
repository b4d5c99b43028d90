"""The commands of a robot file: message numbers that carry action entries."""

import math
from dataclasses import dataclass, field

from vdd_ros.robot.checks import check_command
from vdd_ros.robot.layouts import Layout
from vdd_ros.robot.messages import find_message
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import VELOCITIES, quantity_of
from vdd_ros.robot.yaml_section import EXAMPLES, Section, fail, refuse_duplicates

ON_LOSS = ("hold", "zero", "call")
ALONE = "command"
"""Key, and name, of a command that is alone in its file."""


@dataclass(frozen=True)
class CommandEntry:
    """One number of the command.

    Attributes:
        name: Field, joint or label, as `Message.named_by` says.
        action: Name of the action entry that it carries.
        relative_to: Observation entry whose newest value is added to the action, or None if absolute.
        unit: Unit of the number in the message, and of the limits below.
        low: Smallest value commanded.
        high: Largest value commanded.
        max_step: Largest change from one tick to the next; `.inf`: no limit.
        measured: Observation entry that measures this number, for the first command; None if unmeasured.
        first_step: Largest distance of the first command from the measurement with `first_action: refuse`.
        max_error: Largest distance of any command from the measurement; `.inf`: no limit; None: derived from
            `max_step`, see `max_errors`.
    """

    name: str
    action: str
    relative_to: str | None
    unit: str
    low: float
    high: float
    max_step: float
    measured: str | None
    first_step: float
    max_error: float | None = math.inf


@dataclass(frozen=True)
class Command:
    """One command topic.

    Attributes:
        topic: Topic; relative names take the node's namespace and can be remapped.
        message: Message type.
        on_loss: The fail-safe, also applied at deactivation: `hold` commands nothing, so the controller keeps the last
            set point, never for velocities; `zero` commands zeros, never for positions; `call` calls `loss_service`
            until it succeeds.
        loss_service: Name of a std_srvs/srv/Trigger service, or None.
        frame_id: `header.frame_id` of the commands, if the type has a header.
        entries: The numbers, in the order of the message.
        name: Name of the command in the robot file.
        path: Where it stands there, for errors.
    """

    topic: str
    message: Message
    on_loss: str
    loss_service: str | None
    frame_id: str
    entries: tuple[CommandEntry, ...]
    name: str = ALONE
    path: str = field(default=ALONE, compare=False)

    @property
    def type(self) -> str:
        """Message type, such as `std_msgs/msg/Float64MultiArray`."""
        return self.message.type

    @property
    def layout(self) -> Layout:
        """Layout of its numbers in the messages."""
        return self.message.command_layout(
            [entry.name for entry in self.entries], [entry.unit for entry in self.entries]
        )

    @property
    def rates(self) -> tuple[bool, ...]:
        """Whether each number is a velocity, of a joint, point or body."""
        return tuple(quantity_of(entry.unit) in VELOCITIES for entry in self.entries)


def read_commands(root: Section) -> tuple[Command, ...]:
    """Read `commands`, or `command`, which is alone; raises RobotFileError naming the field."""
    if not root.has("commands"):
        return (read_command(root.section(ALONE), ALONE),)
    if root.has(ALONE):
        fail("commands", "cannot be combined with `command`; move that command below a name of its own in here")
    section = root.section("commands")
    if section.has("topic"):
        fail(
            "commands",
            "is a command without a name; write `command:` for one that is alone",
            example=EXAMPLES["commands"],
        )
    commands = tuple(read_command(section.section(name), name) for name in section.names())
    refuse_duplicates("commands", "topics", [command.topic for command in commands])
    entries = [entry.action for command in commands for entry in command.entries]
    refuse_duplicates("commands", "action entries", entries)
    return commands


def read_command(section: Section, name: str) -> Command:
    """Read one command; raises RobotFileError naming the field."""
    command = Command(
        topic=section.topic("topic"),
        message=find_message(section.message_type("type", commands=True)),
        on_loss=section.choice("on_loss", ON_LOSS),
        loss_service=section.topic("loss_service") if section.has("loss_service") else None,
        frame_id=section.text("frame_id") if section.has("frame_id") else "",
        entries=tuple(_command_entry(entry) for entry in section.sections("entries")),
        name=name,
        path=section.path,
    )
    section.finish()
    if (command.on_loss == "call") != (command.loss_service is not None):
        section.refuse("loss_service", "goes with `on_loss: call`; give both or neither")
    refuse_duplicates(section.at("entries"), "names", [entry.name for entry in command.entries])
    check_command(command)
    return command


def _command_entry(section: Section) -> CommandEntry:
    relative_to = section.text("relative_to") if section.has("relative_to") else None
    max_step = section.number("max_step", positive=True, infinite=True)
    entry = CommandEntry(
        name=section.text("name"),
        action=section.text("action") if section.has("action") else section.text("name"),
        relative_to=relative_to,
        unit=section.unit("unit"),
        low=section.number("low"),
        high=section.number("high"),
        max_step=max_step,
        measured=section.text("measured") if section.has("measured") else relative_to,
        first_step=section.number("first_step", positive=True) if section.has("first_step") else max_step,
        max_error=_max_error(section),
    )
    section.finish()
    if entry.low >= entry.high:
        fail(section.at("low"), f"is {entry.low}, which is not below high ({entry.high})")
    if section.has("first_step") and entry.measured is None:
        fail(
            section.at("first_step"),
            "has no effect without `measured`, the observation entry that measures this number; give both or neither",
        )
    return entry


def _max_error(section: Section) -> float | None:
    """Return the largest distance of a command from its measurement; a `relative_to` set point is not a measurement."""
    if not section.has("max_error"):
        return None if section.has("measured") else math.inf
    if not section.has("measured") and not section.has("relative_to"):
        fail(section.at("max_error"), "needs `measured`, the observation entry that measures this number")
    return section.number("max_error", positive=True, infinite=True)
