"""Inputs and commands of a drafted robot file, chosen by the types, names and first messages of a bag's topics."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vdd_ros.bags.topics import BagRecording, Topic
from vdd_ros.robot.messages import command_types, find_message
from vdd_ros.robot.names import topic_problem
from vdd_ros.robot.quantities import units_of

JOINT_STATE = "sensor_msgs/msg/JointState"
FLOAT64_MULTI_ARRAY = "std_msgs/msg/Float64MultiArray"
JOINT_TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
POSITIONS = {
    "geometry_msgs/msg/PoseStamped": "pose.position",
    "geometry_msgs/msg/PointStamped": "point",
    "geometry_msgs/msg/TransformStamped": "transform.translation",
    "nav_msgs/msg/Odometry": "pose.pose.position",
}
"""Types whose position a draft reads, and its field."""
ORIENTATIONS = {
    "geometry_msgs/msg/PoseStamped": "pose.orientation",
    "geometry_msgs/msg/TransformStamped": "transform.rotation",
    "nav_msgs/msg/Odometry": "pose.pose.orientation",
}
"""Those of these types with an orientation, and its field."""
TRANSFORMS = "tf2_msgs/msg/TFMessage"
INFRASTRUCTURE = re.compile(
    r"/(rosout|parameter_events|clock|tf|tf_static|diagnostics|robot_description|events/\w+)$|/transition_event$|/(latency|decision)$"
)
_COMMANDING = re.compile(r"command|cmd|goal|leader|teleop|joint_trajectory")
_LEADING = re.compile(r"/leader[^/]*/|_leader/")
"""Namespace of a leader arm, whose joint states are the operator's commands."""
_SURE = re.compile(r"command|cmd|joint_trajectory")
_MOST_LAYOUTS = 1_000
"""Messages of a JointState topic that are searched for different sets of joints."""


@dataclass(frozen=True)
class PlannedEntry:
    """One entry of an input: its name, its location in the message and its unit, as in a robot file."""

    name: str
    place: dict[str, str]
    unit: str


@dataclass(frozen=True)
class PlannedInput:
    """One input of a draft.

    Attributes:
        name: Name in the robot file.
        topic: Topic of the bag.
        entries: Entries to read.
        unread: Further entries that could be read.
        frame: Frame of its first message, if transforms to others were recorded; otherwise empty.
    """

    name: str
    topic: Topic
    entries: tuple[PlannedEntry, ...]
    unread: tuple[PlannedEntry, ...] = ()
    frame: str = ""


@dataclass(frozen=True)
class PlannedCommand:
    """One command of a draft.

    Attributes:
        name: Name in the robot file, if there are several.
        topic: Topic of the bag.
        names: Numbers of the message; for a Float64MultiArray their indices, since it has no names.
        units: Unit of each.
    """

    name: str
    topic: Topic
    names: tuple[str, ...]
    units: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The parts of a draft.

    Attributes:
        inputs: The inputs.
        commands: The commands; empty if no topic looks like one.
        other_commands: Further topics that look like commands.
        others: Unused topics.
    """

    inputs: tuple[PlannedInput, ...]
    commands: tuple[PlannedCommand, ...]
    other_commands: tuple[Topic, ...]
    others: tuple[Topic, ...]


def make_plan(recording: BagRecording) -> Plan:
    """Choose inputs and command from a bag.

    Raises:
        RecordingError: The bag is damaged, or the type of a chosen topic has no definition.
    """
    topics = [topic for topic in recording.topics if topic.count and not INFRASTRUCTURE.search(topic.name)]
    topics = [topic for topic in topics if not topic_problem(topic.name)]
    ranks = {topic: rank for topic in topics if (rank := _rank(topic))}
    candidates = sorted(ranks, key=ranks.__getitem__, reverse=True)
    commands = tuple(_commands(recording, candidates))
    observed = [topic for topic in topics if topic not in candidates]
    inputs = tuple(_unique(one for topic in observed for one in _inputs(recording, topic)))
    used = {one.topic for one in inputs}
    others = tuple(topic for topic in observed if topic not in used)
    taken = {command.topic for command in commands}
    return Plan(inputs, commands, tuple(topic for topic in candidates if topic not in taken), others)


def _rank(topic: Topic) -> tuple[int, int] | None:
    """Return a score of how much a topic looks like a command, or None."""
    if topic.type not in command_types():
        return None
    measured = topic.type == JOINT_STATE and not _LEADING.search(topic.name.lower())
    name = topic.name.rpartition("/")[2] if measured else topic.name
    always = topic.type in (JOINT_TRAJECTORY, FLOAT64_MULTI_ARRAY)
    if not always and not _COMMANDING.search(name.lower()):
        return None
    return 2 * bool(_SURE.search(name.lower())) + bool(_COMMANDING.search(name.lower())) + always, topic.count


def _commands(recording: BagRecording, candidates: Sequence[Topic]) -> Iterator[PlannedCommand]:
    """Yield the topic that looks most like a command, and similar ones that command other joints."""
    taken: set[str] = set()
    names: set[str] = set()
    for topic in candidates:
        command = _command(recording, topic)
        if command is None or (names and not _SURE.search(topic.name.lower())):
            continue
        named = set() if topic.type == FLOAT64_MULTI_ARRAY else set(command.names)
        if named & taken:
            continue
        taken |= named
        yield replace(command, name=_new(command.name, names))


def _command(recording: BagRecording, topic: Topic) -> PlannedCommand | None:
    first = recording.first(topic.name)
    if first is None:
        return None
    message = first.message
    if topic.type == FLOAT64_MULTI_ARRAY:
        names = tuple(map(str, range(len(message.data))))
        return PlannedCommand(_short(topic), topic, names, ("1",) * len(names)) if names else None
    if topic.type in (JOINT_STATE, JOINT_TRAJECTORY):
        return _joint_command(topic, message)
    description = find_message(topic.type)
    names = tuple(description.field_names)
    units = tuple(_unit(description.field_quantities(name)) for name in names)
    return PlannedCommand(_short(topic), topic, names, units) if names else None


def _joint_command(topic: Topic, message: Any) -> PlannedCommand | None:
    lists: tuple[str, ...] = ("position", "velocity", "effort")
    if topic.type == JOINT_STATE:
        names, holder = tuple(message.name), message
    else:
        names, holder = tuple(message.joint_names), message.points[0] if message.points else None
        lists = ("positions", "velocities")
    units = ("rad", "rad/s", "Nm")
    given = [unit for unit, name in zip(units, lists, strict=False) if len(getattr(holder, name, ())) == len(names)]
    return PlannedCommand(_short(topic), topic, names, (given[0],) * len(names)) if names and given else None


def _short(topic: Topic) -> str:
    """Return a name for a command: the part of its topic before the last one."""
    parts = topic.name.strip("/").split("/")
    return parts[-2] if len(parts) > 1 else parts[-1]


def _inputs(recording: BagRecording, topic: Topic) -> Iterator[PlannedInput]:
    name = topic.name.strip("/").replace("/", "_")
    if topic.type == JOINT_STATE:
        for number, (joints, lists) in enumerate(_joint_sets(recording, topic)):
            all_entries = [
                PlannedEntry(f"{joint}_{given}", {"joint": joint, "interface": given}, unit)
                for given, unit in lists
                for joint in joints
            ]
            count = len(joints)
            own = name if not number else f"{name}_{number + 1}"
            yield PlannedInput(own, topic, tuple(all_entries[:count]), tuple(all_entries[count:]))
    elif field := POSITIONS.get(topic.type):
        short = re.sub(r"_?(pose|point|transform|position)$", "", topic.name.rpartition("/")[2]) or name
        entries = tuple(PlannedEntry(f"{short}_{axis}", {"field": f"{field}.{axis}"}, "m") for axis in "xyz")
        turned = ORIENTATIONS.get(topic.type)
        unread = (PlannedEntry(f"{short}_turn", {"field": turned, "rotation": "six_d"}, "1"),) if turned else ()
        first = recording.first(topic.name) if any(one.type == TRANSFORMS for one in recording.topics) else None
        yield PlannedInput(name, topic, entries, unread, first.message.header.frame_id if first else "")


def _joint_sets(recording: BagRecording, topic: Topic) -> list[tuple[tuple[str, ...], tuple[tuple[str, str], ...]]]:
    """Return the sets of joints on a topic, each with its non-empty lists and their units."""
    found: dict[frozenset[str], tuple[tuple[str, ...], tuple[tuple[str, str], ...]]] = {}
    for number, received in enumerate(recording.messages([topic.name])):
        message = received.message
        names = tuple(message.name)
        lists = tuple(
            (name, unit)
            for name, unit in (("position", "rad"), ("velocity", "rad/s"), ("effort", "Nm"))
            if len(getattr(message, name)) == len(names)
        )
        disjoint = all(not key & set(names) for key in found)
        if names and lists and len(set(names)) == len(names) and disjoint:
            found[frozenset(names)] = names, lists
        if number >= _MOST_LAYOUTS:
            break
    return list(found.values())


def _unique(inputs: Iterable[PlannedInput]) -> Iterator[PlannedInput]:
    """Yield inputs with unique names of inputs and entries."""
    names: set[str] = set()
    entries: set[str] = set()
    for one in inputs:
        name = _new(one.name, names)
        renamed = [
            tuple(replace(e, name=_new(e.name, entries, f"{name}_")) for e in part)
            for part in (one.entries, one.unread)
        ]
        yield replace(one, name=name, entries=renamed[0], unread=renamed[1])


def _new(name: str, taken: set[str], prefix: str = "") -> str:
    """Return an unused name, and reserve it."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{prefix}{name}" if prefix and number == 2 else f"{prefix}{name}_{number}"
    taken.add(found)
    return found


def _unit(quantities: Sequence[str]) -> str:
    return units_of(quantities)[0] if quantities else "1"
