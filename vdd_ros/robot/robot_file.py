"""The robot file: which message field carries which entry of the observation and of the command."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vdd_ros.documents import read_yaml
from vdd_ros.errors import RobotFileError
from vdd_ros.features import Feature, Signature
from vdd_ros.robot.checks import check_command, check_input, check_references
from vdd_ros.robot.foreign_files import refuse_foreign_document, refuse_foreign_file
from vdd_ros.robot.layouts import Layout
from vdd_ros.robot.messages import find_message
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import VELOCITIES, quantity_of, unit_factor
from vdd_ros.robot.yaml_section import EXAMPLES, Section, fail
from vdd_ros.text import printable

JOINT_INTERFACES = ("position", "velocity", "effort")
QOS_PROFILES = ("sensor_data", "reliable")
STAMPS = ("header", "arrival")
ON_LOSS = ("hold", "zero", "call")
LONGEST_AGE_S = 10.0
"""The largest `max_age_s`."""


@dataclass(frozen=True)
class InputEntry:
    """Where one entry of the observation stands in a message.

    Attributes:
        name: Name of the observation entry.
        unit: Unit of the message field; converted to the policy's unit.
        field: Dot-path of the field, or None where `joint` is given.
        joint: Name of the joint in a JointState, or None where `field` is given.
        interface: `position`, `velocity` or `effort` of that joint.
        max_rate: Fastest that it can change, in `unit` a second; `.inf` for no such limit, None for one that follows
            from the command's limits, see `Continuity`.
    """

    name: str
    unit: str
    field: str | None = None
    joint: str | None = None
    interface: str | None = None
    max_rate: float | None = None


@dataclass(frozen=True)
class Input:
    """One topic of observations.

    Attributes:
        name: Name of the input in this file.
        topic: Topic; relative names take the node's namespace and can be remapped.
        message: Type of its messages.
        max_age_s: Age in seconds beyond which the input is stale and nothing is commanded.
        qos: `sensor_data` (best effort, matches every publisher) or `reliable`.
        entries: What is read from it.
        stamp: `header` dates a message by its stamp; `arrival` by when it arrived, for clocks that are not ours.
    """

    name: str
    topic: str
    message: Message
    max_age_s: float
    qos: str
    entries: tuple[InputEntry, ...]
    stamp: str = "header"

    @property
    def type(self) -> str:
        """Message type, such as `sensor_msgs/msg/JointState`."""
        return self.message.type


@dataclass(frozen=True)
class CommandEntry:
    """One number of the command.

    Attributes:
        name: Field, joint or label, as `Message.named_by` says.
        action: Name of the action entry that it carries.
        relative_to: Observation entry whose newest value is added to the action, or None.
        unit: Unit of the number in the message, and of the limits below.
        low: Smallest value commanded.
        high: Largest value commanded.
        max_step: Largest change from one tick to the next; `.inf` for no such limit.
        measured: Observation entry that tells where this number is now, for the first command; None if none does.
        first_step: How far from there the first command may be, where the node is told to refuse others.
        max_error: How far from there any command may be; `.inf` for no such limit, None for one that follows from
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
    """The command topic.

    Attributes:
        topic: Topic; relative names take the node's namespace and can be remapped.
        message: Type of its messages.
        on_loss: What is done when there is nothing to command any more, or the node is deactivated: `hold` commands
            nothing, so that the controller keeps the last set point, never for velocities; `zero` commands zeros,
            never for positions; `call` calls `loss_service`, once.
        loss_service: Name of a service of the type std_srvs/srv/Trigger, or None.
        frame_id: `header.frame_id` of the commands, where the type has a header.
        entries: The numbers, in the order of the message.
    """

    topic: str
    message: Message
    on_loss: str
    loss_service: str | None
    frame_id: str
    entries: tuple[CommandEntry, ...]

    @property
    def type(self) -> str:
        """Message type, such as `std_msgs/msg/Float64MultiArray`."""
        return self.message.type

    @property
    def layout(self) -> Layout:
        """Where its numbers stand in its messages."""
        return self.message.command_layout(
            [entry.name for entry in self.entries], [entry.unit for entry in self.entries]
        )

    @property
    def rates(self) -> tuple[bool, ...]:
        """Whether each number is a velocity, of a joint, a point or a body."""
        return tuple(quantity_of(entry.unit) in VELOCITIES for entry in self.entries)


@dataclass(frozen=True)
class RobotFile:
    """A whole robot file: the inputs and the command; `path` names the file in errors."""

    inputs: tuple[Input, ...]
    command: Command
    path: str = field(default="", compare=False)

    @classmethod
    def load(cls, path: str | Path) -> "RobotFile":
        """Read a robot file.

        Raises:
            RobotFileError: The file cannot be read, is not YAML, or a field is missing, unknown or wrong.
        """
        file = _expanded(path)
        try:
            refuse_foreign_file(file)
            document = read_yaml(file, RobotFileError, exact_numbers=True)
        except RobotFileError as error:
            raise RobotFileError(f"robot file {error}") from None
        try:
            return replace(cls.from_dict(document), path=printable(path))
        except RobotFileError as error:
            raise RobotFileError(f"robot file {printable(path)}: {error}") from None

    @classmethod
    def from_dict(cls, document: Any) -> "RobotFile":
        """Build from the mapping that a robot file holds; raises RobotFileError naming the field."""
        refuse_foreign_document(document)
        root = Section(document, "")
        inputs = root.section("inputs")
        parsed = tuple(_input(inputs.section(name), name) for name in inputs.names())
        robot = cls(inputs=parsed, command=_command(root.section("command")))
        root.finish()
        names = [entry.name for entry in robot.input_entries]
        _refuse_duplicates("inputs", "observation entries", names)
        check_references(robot.command, robot.input_entries, "command")
        return robot

    @property
    def input_entries(self) -> tuple[InputEntry, ...]:
        """All input entries, input after input."""
        return tuple(entry for source in self.inputs for entry in source.entries)

    @property
    def signature(self) -> Signature:
        """What the robot gives and takes, in the units of its messages and at any rate."""
        return Signature(
            tuple(Feature(entry.name, entry.unit) for entry in self.input_entries),
            tuple(Feature(entry.action, entry.unit) for entry in self.command.entries),
        )

    def check(self, observation: Sequence[Feature], action: Sequence[Feature]) -> None:
        """Check that the names are those of a policy or task, and that every unit can be converted.

        Args:
            observation: Features of its observation.
            action: Features of its action.

        Raises:
            RobotFileError: A name is missing or superfluous, a feature is an array, or a unit does not fit.
        """
        try:
            self._check(observation, action)
        except RobotFileError as error:
            raise RobotFileError(f"robot file {self.path}: {error}" if self.path else str(error)) from None

    def _check(self, observation: Sequence[Feature], action: Sequence[Feature]) -> None:
        wanted = Signature(tuple(observation), tuple(action))
        places = {"observation": "inputs", "action": "command.entries"}
        if found := self.signature.differences(wanted, by_name=True):
            part = found[0].part
            problems = "; ".join(difference.problem for difference in found if difference.part == part)
            names = [feature.name for feature in getattr(wanted, part)]
            fail(places[part], f"does not fit the {part}: {problems}; the {part} consists of", names)
        units = {entry.name: entry.unit for entry in observation}
        for source in self.inputs:
            for entry in source.entries:
                unit_factor(entry.unit, units[entry.name], f"inputs.{source.name}.entries.{entry.name}.unit")
        action_units = {entry.name: entry.unit for entry in action}
        for index, command in enumerate(self.command.entries):
            path = f"command.entries[{index}]"
            unit_factor(action_units[command.action], command.unit, f"{path}.unit")
            for key in ("relative_to", "measured"):
                if (name := getattr(command, key)) is not None:
                    unit_factor(units[name], command.unit, f"{path}.{key}")


def _expanded(path: str | Path) -> Path:
    """Return a path in which a leading `~` is the home folder, as in a shell."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no such user
        return Path(path)


def _input(section: Section, name: str) -> Input:
    entries = section.section("entries")
    source = Input(
        name=name,
        topic=section.topic("topic"),
        message=find_message(section.message_type("type")),
        max_age_s=_max_age_s(section),
        qos=section.choice("qos", QOS_PROFILES, default="sensor_data"),
        stamp=section.choice("stamp", STAMPS, default="header"),
        entries=tuple(_input_entry(entries.section(entry), entry) for entry in entries.names()),
    )
    section.finish()
    check_input(source, section.path)
    return source


def _max_age_s(section: Section) -> float:
    """Return how old an input may be; an age in milliseconds would keep a robot going for minutes without looking."""
    age_s = section.number("max_age_s", positive=True)
    if age_s > LONGEST_AGE_S:
        fail(
            section.at("max_age_s"),
            f"is {age_s:g} seconds; nothing that a robot acts on may be older than {LONGEST_AGE_S:g}. If milliseconds "
            f"are meant, write max_age_s: {age_s / 1000:g}",
        )
    return age_s


def _input_entry(section: Section, name: str) -> InputEntry:
    unit = section.unit("unit")
    max_rate = section.number("max_rate", positive=True, infinite=True) if section.has("max_rate") else None
    if section.has("joint") and section.has("field"):
        fail(section.at("field"), "goes with no `joint`; give one of both")
    if section.has("joint"):
        joint, interface = section.text("joint"), section.choice("interface", JOINT_INTERFACES)
        entry = InputEntry(name=name, unit=unit, joint=joint, interface=interface, max_rate=max_rate)
    elif section.has("field"):
        if section.has("interface"):
            fail(section.at("interface"), "goes with `joint`, the name of a joint in a JointState; leave it out")
        entry = InputEntry(name=name, unit=unit, field=section.field("field"), max_rate=max_rate)
    else:
        fail(
            section.path,
            f"names no number of the message; give {EXAMPLES['field']}, or, in a JointState, "
            f"{EXAMPLES['joint']} and {EXAMPLES['interface']}",
        )
    section.finish()
    return entry


def _command(section: Section) -> Command:
    command = Command(
        topic=section.topic("topic"),
        message=find_message(section.message_type("type", commands=True)),
        on_loss=section.choice("on_loss", ON_LOSS),
        loss_service=section.topic("loss_service") if section.has("loss_service") else None,
        frame_id=section.text("frame_id") if section.has("frame_id") else "",
        entries=tuple(_command_entry(entry) for entry in section.sections("entries")),
    )
    section.finish()
    if (command.on_loss == "call") != (command.loss_service is not None):
        section.refuse("loss_service", "goes with `on_loss: call`; give both or neither")
    _refuse_duplicates(section.at("entries"), "names", [entry.name for entry in command.entries])
    check_command(command, section.path)
    return command


def _command_entry(section: Section) -> CommandEntry:
    relative_to = section.text("relative_to") if section.has("relative_to") else None
    max_step = section.number("max_step", positive=True, infinite=True)
    entry = CommandEntry(
        name=section.text("name"),
        action=section.text("action"),
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
            "has no effect without `measured`, the observation entry that tells where this number is; give both or "
            "neither",
        )
    return entry


def _max_error(section: Section) -> float | None:
    """Return the bound of a command's distance from what measures it; a set point, `relative_to`, measures nothing."""
    if not section.has("max_error"):
        return None if section.has("measured") else math.inf
    if not section.has("measured") and not section.has("relative_to"):
        fail(section.at("max_error"), "needs `measured`, the observation entry that tells where this number is now")
    return section.number("max_error", positive=True, infinite=True)


def _refuse_duplicates(path: str, what: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        fail(path, f"gives these {what} more than once: {', '.join(twice)}")
