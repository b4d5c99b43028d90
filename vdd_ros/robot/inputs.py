"""The inputs of a robot file: which messages carry which entries of the observation."""

from dataclasses import dataclass

from vdd_ros.robot.checks import check_input
from vdd_ros.robot.messages import find_message
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.yaml_section import EXAMPLES, Section, fail

JOINT_INTERFACES = ("position", "velocity", "effort")
QOS_PROFILES = ("sensor_data", "reliable")
STAMPS = ("header", "arrival")
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


def read_input(section: Section, name: str) -> Input:
    """Read an input; raises RobotFileError naming the field."""
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
