"""The robot file: which message field carries which entry of the observation and of the command."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from vdd_ros.errors import RobotFileError
from vdd_ros.policy.robot_section import Section, fail

COMMAND_TYPES = (
    "std_msgs/msg/Float64MultiArray",
    "trajectory_msgs/msg/JointTrajectory",
    "geometry_msgs/msg/TwistStamped",
)
POSITIONS_TYPE = "trajectory_msgs/msg/JointTrajectory"
"""Its points are written as positions, whatever the units of the entries."""
JOINT_INTERFACES = ("position", "velocity", "effort")
QOS_PROFILES = ("sensor_data", "reliable")
ON_LOSS = ("hold", "zero", "call")

UNITS = {
    "m": ("length", 1.0),
    "cm": ("length", 1e-2),
    "mm": ("length", 1e-3),
    "rad": ("angle", 1.0),
    "deg": ("angle", math.pi / 180),
    "m/s": ("speed", 1.0),
    "cm/s": ("speed", 1e-2),
    "mm/s": ("speed", 1e-3),
    "rad/s": ("angular speed", 1.0),
    "deg/s": ("angular speed", math.pi / 180),
}

_TYPE = re.compile(r"[a-z][a-z0-9_]*/msg/[A-Z][A-Za-z0-9]*")
_TOPIC = re.compile(r"(~/|/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
_FIELD = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


class NamedUnit(Protocol):
    """Anything with a name and a unit, such as an entry of a policy's or a task's observation."""

    @property
    def name(self) -> str:
        """Name of the entry."""
        ...

    @property
    def unit(self) -> str:
        """SI unit as text."""
        ...


@dataclass(frozen=True)
class InputEntry:
    """Where one entry of the observation stands in a message.

    Attributes:
        name: Name of the observation entry.
        unit: Unit of the message field; converted to the policy's unit.
        field: Dot-path of the field, or None where `joint` is given.
        joint: Name of the joint in a JointState, or None where `field` is given.
        interface: `position`, `velocity` or `effort` of that joint.
    """

    name: str
    unit: str
    field: str | None = None
    joint: str | None = None
    interface: str | None = None


@dataclass(frozen=True)
class Input:
    """One topic of observations.

    Attributes:
        name: Name of the input in this file.
        topic: Topic; relative names take the node's namespace and can be remapped.
        type: Message type, such as `sensor_msgs/msg/JointState`.
        max_age_s: Age in seconds beyond which the input is stale and nothing is commanded.
        qos: `sensor_data` (best effort, matches every publisher) or `reliable`.
        entries: What is read from it.
    """

    name: str
    topic: str
    type: str
    max_age_s: float
    qos: str
    entries: tuple[InputEntry, ...]


@dataclass(frozen=True)
class CommandEntry:
    """One number of the command.

    Attributes:
        name: Label (Float64MultiArray), joint (JointTrajectory) or dot-path (TwistStamped).
        action: Name of the action entry that it carries.
        relative_to: Observation entry whose newest value is added to the action, or None.
        unit: Unit of the number in the message, and of the limits below.
        low: Smallest value commanded.
        high: Largest value commanded.
        max_step: Largest change from one tick to the next; `.inf` for no such limit.
        measured: Observation entry that tells where this number is now, for the first command; None if none does.
        first_step: How far from there the first command may be, where the node is told to refuse others.
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


@dataclass(frozen=True)
class Command:
    """The command topic.

    Attributes:
        topic: Topic; relative names take the node's namespace and can be remapped.
        type: One of `COMMAND_TYPES`.
        on_loss: What is done when there is nothing to command any more, or the node is deactivated: `hold` commands
            nothing, so that the controller keeps the last set point; `zero` commands zeros, for velocities, never for
            a JointTrajectory; `call` calls `loss_service`, once.
        loss_service: Name of a service of the type std_srvs/srv/Trigger, or None.
        frame_id: `header.frame_id` of the commands, where the type has a header.
        entries: The numbers, in the order of the message.
    """

    topic: str
    type: str
    on_loss: str
    loss_service: str | None
    frame_id: str
    entries: tuple[CommandEntry, ...]


@dataclass(frozen=True)
class RobotFile:
    """A whole robot file: the inputs and the command."""

    inputs: tuple[Input, ...]
    command: Command

    @classmethod
    def load(cls, path: str | Path) -> "RobotFile":
        """Read a robot file.

        Raises:
            RobotFileError: The file cannot be read, is not YAML, or a field is missing, unknown or wrong.
        """
        try:
            document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise RobotFileError(f"robot file {path} cannot be read: {error}") from error
        except yaml.YAMLError as error:
            raise RobotFileError(f"robot file {path} is not YAML: {error}") from error
        try:
            return cls.from_dict(document)
        except RobotFileError as error:
            raise RobotFileError(f"robot file {path}: {error}") from None

    @classmethod
    def from_dict(cls, document: Any) -> "RobotFile":
        """Build from the mapping that a robot file holds; raises RobotFileError naming the field."""
        root = Section(document, "")
        inputs = root.section("inputs")
        parsed = tuple(_input(inputs.section(name), name) for name in inputs.names())
        robot = cls(inputs=parsed, command=_command(root.section("command")))
        root.finish()
        names = [entry.name for entry in robot.input_entries]
        _refuse_duplicates("inputs", "observation entries", names)
        for index, entry in enumerate(robot.command.entries):
            for key in ("relative_to", "measured"):
                if (given := getattr(entry, key)) is not None and given not in names:
                    fail(f"command.entries[{index}].{key}", f"is {given!r}, which no input gives", names)
        return robot

    @property
    def input_entries(self) -> tuple[InputEntry, ...]:
        """All input entries, input after input."""
        return tuple(entry for source in self.inputs for entry in source.entries)

    def check(self, observation: Sequence[NamedUnit], action: Sequence[NamedUnit]) -> None:
        """Check that the names are those of a policy or task, and that every unit can be converted.

        Args:
            observation: Entries of its observation.
            action: Entries of its action.

        Raises:
            RobotFileError: A name is missing or superfluous, or a unit does not fit.
        """
        _compare_names("inputs", "observation", [e.name for e in self.input_entries], observation)
        _compare_names("command.entries", "action", [e.action for e in self.command.entries], action)
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


def unit_factor(have: str, want: str, path: str) -> float:
    """Return the factor from one unit to another; raises RobotFileError naming `path` where there is none."""
    if have == want:
        return 1.0
    if have in UNITS and want in UNITS and UNITS[have][0] == UNITS[want][0]:
        return UNITS[have][1] / UNITS[want][1]
    fail(path, f"{have!r} cannot be converted to {want!r}; the units must be equal or both among", list(UNITS))


def _input(section: Section, name: str) -> Input:
    entries = section.section("entries")
    source = Input(
        name=name,
        topic=section.text("topic", _TOPIC),
        type=section.text("type", _TYPE),
        max_age_s=section.number("max_age_s", positive=True),
        qos=section.choice("qos", QOS_PROFILES, default="sensor_data"),
        entries=tuple(_input_entry(entries.section(entry), entry) for entry in entries.names()),
    )
    section.finish()
    if len({entry.joint is None for entry in source.entries}) > 1:
        fail(section.at("entries"), "mixes `field` and `joint`; give two inputs on the same topic instead")
    return source


def _input_entry(section: Section, name: str) -> InputEntry:
    unit = section.text("unit")
    if section.has("joint"):
        joint, interface = section.text("joint"), section.choice("interface", JOINT_INTERFACES)
        entry = InputEntry(name=name, unit=unit, joint=joint, interface=interface)
    else:
        entry = InputEntry(name=name, unit=unit, field=section.text("field", _FIELD))
    section.finish()
    return entry


def _command(section: Section) -> Command:
    command = Command(
        topic=section.text("topic", _TOPIC),
        type=section.choice("type", COMMAND_TYPES),
        on_loss=section.choice("on_loss", ON_LOSS),
        loss_service=section.text("loss_service", _TOPIC) if section.has("loss_service") else None,
        frame_id=section.text("frame_id") if section.has("frame_id") else "",
        entries=tuple(_command_entry(entry) for entry in section.sections("entries")),
    )
    section.finish()
    if (command.on_loss == "call") != (command.loss_service is not None):
        fail(section.at("loss_service"), "goes with `on_loss: call`; give both or neither")
    _refuse_duplicates(section.at("entries"), "names", [entry.name for entry in command.entries])
    if command.on_loss == "zero" and command.type == POSITIONS_TYPE:
        fail(
            section.at("on_loss"),
            f"is 'zero', but a {POSITIONS_TYPE} carries positions, so that a loss would move every joint to 0; use "
            "'hold', or 'call' with a `loss_service` that stops the robot",
        )
    positions = [e.name for e in command.entries if e.relative_to or UNITS.get(e.unit, ("",))[0] in ("length", "angle")]
    if command.on_loss == "zero" and positions:
        fail(
            section.at("on_loss"),
            "is 'zero', which is no safe set point for positions; use 'hold'. These are",
            positions,
        )
    return command


def _command_entry(section: Section) -> CommandEntry:
    relative_to = section.text("relative_to") if section.has("relative_to") else None
    max_step = section.number("max_step", positive=True, infinite=True)
    entry = CommandEntry(
        name=section.text("name"),
        action=section.text("action"),
        relative_to=relative_to,
        unit=section.text("unit"),
        low=section.number("low"),
        high=section.number("high"),
        max_step=max_step,
        measured=section.text("measured") if section.has("measured") else relative_to,
        first_step=section.number("first_step", positive=True) if section.has("first_step") else max_step,
    )
    section.finish()
    if entry.low >= entry.high:
        fail(section.at("low"), f"is {entry.low}, which is not below high ({entry.high})")
    return entry


def _compare_names(path: str, what: str, have: Sequence[str], want: Sequence[NamedUnit]) -> None:
    names = [entry.name for entry in want]
    missing = [name for name in names if name not in have]
    extra = [name for name in have if name not in names]
    if missing or extra:
        fail(path, f"does not fit the {what}: missing {missing}, superfluous {extra}; the {what} consists of", names)
    _refuse_duplicates(path, f"{what} entries", have)


def _refuse_duplicates(path: str, what: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        fail(path, f"gives these {what} more than once: {', '.join(twice)}")
