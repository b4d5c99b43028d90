"""The inputs of a robot file: messages that carry observation entries."""

from dataclasses import dataclass

from vdd_ros.features import FLOAT32, Feature
from vdd_ros.robot.checks import check_input
from vdd_ros.robot.conversion import Conversion
from vdd_ros.robot.entries import InputEntry, read_entries, read_joints
from vdd_ros.robot.layouts import Layout
from vdd_ros.robot.messages import find_message
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.messages.tf_message import TYPE, one_transform
from vdd_ros.robot.transforms import TF_STATIC
from vdd_ros.robot.yaml_section import Section, fail
from vdd_ros.text import printable

QOS_PROFILES = ("sensor_data", "reliable", "match")
STAMPS = ("header", "arrival")
WHEN_STALE = ("stop", "keep")
LONGEST_AGE_S = 10.0
"""The largest `max_age_s`."""


@dataclass(frozen=True)
class Input:
    """One topic of observations.

    Attributes:
        name: Name of the input in this file.
        topic: Topic; relative names take the node's namespace and can be remapped.
        message: Message type.
        max_age_s: Age in seconds beyond which the input is stale and nothing is commanded.
        qos: `sensor_data` (best effort, matches every publisher), `reliable`, or `match`, adopted from its publishers.
        entries: The entries read from its messages.
        stamp: `header` dates a message by its stamp; `arrival` by its arrival, for unsynchronised clocks.
        when_stale: `stop`: nothing is commanded; `keep`: the last value stays in use, except before an episode's first
            tick.
        frame: Frame of its points, rotations and directions; messages in other frames are transformed. Empty: the frame
            of the messages.
    """

    name: str
    topic: str
    message: Message
    max_age_s: float
    qos: str
    entries: tuple[InputEntry, ...]
    stamp: str = "header"
    when_stale: str = "stop"
    frame: str = ""

    @property
    def type(self) -> str:
        """Message type, such as `sensor_msgs/msg/JointState`."""
        return self.message.type

    @property
    def array(self) -> InputEntry | None:
        """The single array entry; None if the entries are single numbers."""
        return self.entries[0] if self.entries[0].shape else None

    @property
    def layout(self) -> Layout:
        """Layout of the numbers behind its entries; an array has none."""
        return self.message.input_layout(Conversion(self.entries).numbers)

    @property
    def is_kept(self) -> bool:
        """Whether its last value stays in use if it becomes stale."""
        return self.when_stale == "keep"

    @property
    def features(self) -> tuple[Feature, ...]:
        """Features of its entries, in message units, without hidden ones."""
        return tuple(Feature(e.name, e.unit, shape=e.shape, dtype=self._dtype(e)) for e in self.entries if not e.hidden)

    @property
    def hidden(self) -> tuple[Feature, ...]:
        """Features of its hidden entries."""
        return tuple(Feature(entry.name, entry.unit) for entry in self.entries if entry.hidden)

    def _dtype(self, entry: InputEntry) -> str:
        return FLOAT32 if entry.encoding is None else self.message.encodings[entry.encoding].dtype


def read_input(section: Section, name: str) -> Input:
    """Read an input; raises RobotFileError naming the field."""
    source = Input(
        name=name,
        topic=section.topic("topic"),
        message=_message(section),
        max_age_s=_max_age_s(section),
        qos=section.choice("qos", QOS_PROFILES, default="sensor_data"),
        stamp=section.choice("stamp", STAMPS, default="header"),
        when_stale=section.choice("when_stale", WHEN_STALE, default="stop"),
        frame=section.text("frame") if section.has("frame") else "",
        entries=_entries(section),
    )
    section.finish()
    _check_transform(section, source)
    check_input(source, section.path)
    return source


def _message(section: Section) -> Message:
    """Return the description of an input's messages, or of the one transform to read from them."""
    message = find_message(section.message_type("type"))
    if not section.has("transform"):
        return message
    frames = section.section("transform")
    parent, child = (_frame(frames, key) for key in ("parent", "child"))
    frames.finish()
    if message.type != TYPE:
        section.refuse("transform", f"selects a transform of a {TYPE}, but `type` is {message.type}; leave it out")
    if section.has("frame"):
        section.refuse("frame", "is for poses; with `transform`, the frame is its `parent`; leave it out")
    if parent == child:
        fail(frames.at("child"), f"is {printable(repr(child), 60)}, which is also the parent; give two frames")
    topic = section.topic("topic")
    if topic.rpartition("/")[2] == TF_STATIC.lstrip("/"):
        problem = f"is {printable(topic)}, whose transforms never change; give their numbers as `constant`"
        fail(section.at("topic"), problem, example="table_height: {constant: 0.72, unit: m}")
    return one_transform(parent, child)


def _check_transform(section: Section, source: Input) -> None:
    """Refuse fields of a transform without `transform`, and arrays with it."""
    if section.has("transform"):
        for entry in source.entries:
            if entry.shape:
                fail(f"{section.path}.{entry.at}.shape", "is for arrays; a transform has single numbers; leave it out")
    elif source.type == TYPE and any(str(entry.field).startswith("transform.") for entry in source.entries):
        section.refuse("transform", "is missing; it selects the transform of a message whose fields are read")


def _frame(section: Section, key: str) -> str:
    """Return the name of a frame without the slash of ROS 1."""
    given = section.text(key)
    frame = given.lstrip("/")
    if not frame:
        section.refuse(key, f"is {given!r}, which names no frame")
    return frame


def _entries(section: Section) -> tuple[InputEntry, ...]:
    """Return the entries of an input: those of its `joints`, then those of its `entries`."""
    found = read_joints(section.section("joints")) if section.has("joints") else []
    if section.has("entries") or not found:
        entries = section.section("entries")
        for name in entries.names():
            found += read_entries(entries.section(name), name)
    return tuple(found)


def _max_age_s(section: Section) -> float:
    """Return the largest age of an input, in seconds; refuse values that look like milliseconds."""
    age_s = section.number("max_age_s", positive=True)
    if age_s > LONGEST_AGE_S:
        fail(
            section.at("max_age_s"),
            f"is {age_s:g} seconds; no input may be older than {LONGEST_AGE_S:g}. If milliseconds "
            f"are meant, write max_age_s: {age_s / 1000:g}",
        )
    return age_s
