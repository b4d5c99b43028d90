"""The commands of a robot file: message numbers that carry action entries."""

from dataclasses import dataclass, field

from vdd_ros.robot.checks import check_command
from vdd_ros.robot.command_entries import CommandEntry, read_command_entries
from vdd_ros.robot.layouts import Layout
from vdd_ros.robot.messages import find_message
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import VELOCITIES, quantity_of
from vdd_ros.robot.yaml_section import EXAMPLES, Section, fail, refuse_duplicates

ON_LOSS = ("hold", "zero", "call")
SENDS = ("step", "chunk")
"""Content of a message: the action of a tick, or the rest of a chunk."""
ALONE = "command"
"""Key and name of a file's only command."""


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
        path: Its path there, for errors.
        send: `chunk`, `step`, or empty for the node's parameter.
        controller: Name of the ros2_control controller that receives it, or None: joints are not compared.
    """

    topic: str
    message: Message
    on_loss: str
    loss_service: str | None
    frame_id: str
    entries: tuple[CommandEntry, ...]
    name: str = ALONE
    path: str = field(default=ALONE, compare=False)
    controller: str | None = None
    send: str = ""

    @property
    def takes_chunks(self) -> bool:
        """Whether one message carries several actions when chunks are sent."""
        return self.message.has_points and self.send != "step"

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
    """Read `commands`, or the single `command`; raises RobotFileError naming the field."""
    if not root.has("commands"):
        return (read_command(root.section(ALONE), ALONE),)
    if root.has(ALONE):
        fail("commands", "cannot be combined with `command`; move that command into `commands` under a name")
    section = root.section("commands")
    if section.has("topic"):
        fail(
            "commands",
            "is a command without a name; write `command:` for a single one",
            example=EXAMPLES["commands"],
        )
    commands = tuple(read_command(section.section(name), name) for name in section.names())
    refuse_duplicates("commands", "topics", [command.topic for command in commands])
    entries = [feature.name for command in commands for entry in command.entries for feature in entry.features]
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
        entries=tuple(one for entry in section.sections("entries") for one in read_command_entries(entry)),
        name=name,
        path=section.path,
        controller=section.topic("controller") if section.has("controller") else None,
        send=section.choice("send", SENDS) if section.has("send") else "",
    )
    section.finish()
    if (command.on_loss == "call") != (command.loss_service is not None):
        section.refuse("loss_service", "belongs to `on_loss: call`; give both or neither")
    if command.send == "chunk" and not command.message.has_points:
        section.refuse("send", f"is 'chunk', but a {command.type} carries one action; write step, or leave it out")
    if command.controller is not None and command.message.named_by == "field":
        section.refuse("controller", f"is for commands of joints, not for a {command.type}; leave it out")
    refuse_duplicates(section.at("entries"), "names", [entry.name for entry in command.entries])
    check_command(command)
    return command
