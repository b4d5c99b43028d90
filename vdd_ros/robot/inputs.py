"""The inputs of a robot file: messages that carry observation entries."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from vdd_ros.features import FLOAT32, SCALAR, Feature
from vdd_ros.robot.checks import check_input
from vdd_ros.robot.messages import find_message
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.yaml_section import EXAMPLES, Section, fail, refuse_duplicates

JOINT_INTERFACES = ("position", "velocity", "effort")
QOS_PROFILES = ("sensor_data", "reliable")
STAMPS = ("header", "arrival")
LONGEST_AGE_S = 10.0
"""The largest `max_age_s`."""


@dataclass(frozen=True)
class InputEntry:
    """Location of one observation entry in a message.

    Attributes:
        name: Name of the observation entry.
        unit: Unit of the message field; converted to the policy's unit.
        field: Dot-path of the field, or None if `joint`, `joints` or `encoding` is given.
        joint: Name of the joint in a JointState, or None.
        interface: `position`, `velocity` or `effort` of that joint, or those joints.
        max_rate: Highest rate of change, in `unit` per second; `.inf`: no limit; None: derived from the command's
            limits, see `Continuity`.
        shape: Shape of an array; () for a single number.
        joints: Names of the n joints of an array, (n,); empty for other entries.
        encoding: Pixel encoding of an array, or None.
    """

    name: str
    unit: str
    field: str | None = None
    joint: str | None = None
    interface: str | None = None
    max_rate: float | None = None
    shape: tuple[int, ...] = SCALAR
    joints: tuple[str, ...] = ()
    encoding: str | None = None


@dataclass(frozen=True)
class Input:
    """One topic of observations.

    Attributes:
        name: Name of the input in this file.
        topic: Topic; relative names take the node's namespace and can be remapped.
        message: Message type.
        max_age_s: Age in seconds beyond which the input is stale and nothing is commanded.
        qos: `sensor_data` (best effort, matches every publisher) or `reliable`.
        entries: The entries read from its messages.
        stamp: `header` dates a message by its stamp; `arrival` by its arrival, for unsynchronised clocks.
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

    @property
    def array(self) -> InputEntry | None:
        """The single array entry; None if the entries are single numbers."""
        return self.entries[0] if self.entries[0].shape else None

    @property
    def features(self) -> tuple[Feature, ...]:
        """Features of its entries, in message units."""
        return tuple(Feature(e.name, e.unit, shape=e.shape, dtype=self._dtype(e)) for e in self.entries)

    def _dtype(self, entry: InputEntry) -> str:
        return FLOAT32 if entry.encoding is None else self.message.encodings[entry.encoding].dtype


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
    """Return the greatest age of an input, in seconds; refuse values that look like milliseconds."""
    age_s = section.number("max_age_s", positive=True)
    if age_s > LONGEST_AGE_S:
        fail(
            section.at("max_age_s"),
            f"is {age_s:g} seconds; no input may be older than {LONGEST_AGE_S:g}. If milliseconds "
            f"are meant, write max_age_s: {age_s / 1000:g}",
        )
    return age_s


def _input_entry(section: Section, name: str) -> InputEntry:
    unit = section.unit("unit")
    max_rate = section.number("max_rate", positive=True, infinite=True) if section.has("max_rate") else None
    given = [key for key in _PLACES if section.has(key)]
    if len(given) > 1:
        fail(section.at(given[1]), f"cannot be combined with `{given[0]}`; give one of them")
    if not given:
        fail(
            section.path,
            f"names no number of the message; give {EXAMPLES['field']}, or, in a JointState, "
            f"{EXAMPLES['joint']} and {EXAMPLES['interface']}, or, of an image, {EXAMPLES['encoding']} and "
            f"{EXAMPLES['shape']}",
        )
    entry = InputEntry(name=name, unit=unit, max_rate=max_rate, **_PLACES[given[0]](section))
    section.finish()
    return entry


class _Place(TypedDict, total=False):
    """Location fields of an InputEntry."""

    field: str
    joint: str
    interface: str
    shape: tuple[int, ...]
    joints: tuple[str, ...]
    encoding: str


def _joint(section: Section) -> _Place:
    return {"joint": section.text("joint"), "interface": section.choice("interface", JOINT_INTERFACES)}


def _joints(section: Section) -> _Place:
    joints = tuple(section.texts("joints"))
    refuse_duplicates(section.at("joints"), "joints", joints)
    return {
        "joints": joints,
        "interface": section.choice("interface", JOINT_INTERFACES),
        "shape": (len(joints),),
    }


def _field(section: Section) -> _Place:
    if section.has("interface"):
        fail(section.at("interface"), "goes with `joint`, the name of a joint in a JointState; leave it out")
    place: _Place = {"field": section.field("field")}
    return place | {"shape": section.shape("shape")} if section.has("shape") else place


def _encoding(section: Section) -> _Place:
    return {"encoding": section.text("encoding"), "shape": section.shape("shape")}


_PLACES: dict[str, Callable[[Section], _Place]] = {
    "joint": _joint,
    "field": _field,
    "joints": _joints,
    "encoding": _encoding,
}
"""Location keys of an entry; exactly one is given."""
