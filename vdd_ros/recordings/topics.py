"""Topics of a bag that a robot file names."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from vdd_ros.bags.contents import Channel
from vdd_ros.errors import DemonstrationError
from vdd_ros.robot.commands import ALONE
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.transforms import TF, TF_STATIC, TF_TYPE
from vdd_ros.text import printable

SERVICE_EVENT = "/_service_event"
"""Ending of the topic with the recorded calls of a service."""
_SHOWN = 8


@dataclass(frozen=True)
class Wanted:
    """A topic to read.

    Attributes:
        role: `input`, `command`, `marker`, `start`, `stop` or `transforms`.
        name: Name of the input or command; the key for others.
        topic: Topic in the robot file.
        msgtype: Its type; empty: any.
        optional: Whether it may be missing from a bag.
    """

    role: str
    name: str
    topic: str
    msgtype: str = ""
    optional: bool = False

    @property
    def place(self) -> str:
        """Its path in the robot file."""
        places = {
            "input": f"inputs.{self.name}.topic",
            "command": "command.topic" if self.name == ALONE else f"commands.{self.name}.topic",
        }
        return places.get(self.role, f"demonstrations.episodes.{self.name}")

    def may_be(self, topic: str) -> bool:
        """Return whether a topic of a bag matches by name."""
        end = "/" + self.topic.removeprefix("~").lstrip("/")
        return topic == end or (not self.topic.startswith("/") and topic.endswith(end))


def wanted_topics(robot: RobotFile) -> list[Wanted]:
    """Return the topics to read from a bag: inputs, commands and marks of episodes."""
    rules = robot.demonstrations
    found = [Wanted("input", source.name, source.topic, source.type) for source in robot.inputs]
    topics = {}
    for command in robot.commands:
        recorded = rules.commands.get(command.name)
        topics[command.topic] = recorded.topic if recorded is not None and recorded.topic else command.topic
        found.append(Wanted("command", command.name, topics[command.topic], command.type))
    # In a recording, the last command is the operator's.
    found += [Wanted("input", source.name, topics[source.topic], source.type) for source in robot.last_commands]
    if robot.needs_transforms:
        found += [Wanted("transforms", topic, topic, TF_TYPE, optional=True) for topic in (TF_STATIC, TF)]
    marks = rules.episodes
    if marks.topic is not None:
        found.append(Wanted("marker", "topic", marks.topic))
    found += [
        Wanted(role, role, service + SERVICE_EVENT)
        for role, service in (("start", marks.start), ("stop", marks.stop))
        if service is not None
    ]
    return found


def find_topics(
    wanted: Sequence[Wanted], channels: Sequence[Channel], counts: Sequence[int]
) -> list[tuple[Wanted, list[int]]]:
    """Return the indices of the channels of each wanted topic.

    Relative names in the robot file match a topic with that ending. Optional topics that a bag lacks are left out.

    Raises:
        DemonstrationError: The bag lacks a topic, it has no message or another type, or several topics match.
    """
    there = {channel.topic for channel, count in zip(channels, counts, strict=True) if count}
    needed = [one for one in wanted if not one.optional or one.topic in there]
    return [(one, _places(one, channels, counts)) for one in needed]


def _places(wanted: Wanted, channels: Sequence[Channel], counts: Sequence[int]) -> list[int]:
    named = dict.fromkeys(channel.topic for channel in channels)
    topics = [topic for topic in named if wanted.may_be(topic)]
    exact = "/" + wanted.topic
    topics = [exact] if exact in topics else topics
    if len(topics) > 1:
        raise DemonstrationError(
            f"{printable(', '.join(topics))} all match {wanted.place}, {printable(wanted.topic)!r}; write the whole "
            "name into the robot file"
        )
    there = [place for place, channel in enumerate(channels) if topics and channel.topic == topics[0]]
    if not sum(counts[place] for place in there):
        raise DemonstrationError(f"no message on {printable(wanted.topic)} ({wanted.place}){_near(wanted, named)}")
    fit = [place for place in there if wanted.msgtype in ("", channels[place].msgtype)]
    if not sum(counts[place] for place in fit):
        types = ", ".join(dict.fromkeys(channels[place].msgtype for place in there))
        raise DemonstrationError(
            f"{printable(topics[0])} has the type {printable(types)}, but {wanted.place} needs {wanted.msgtype}; "
            "correct `type` in the robot file, or the topic"
        )
    if other := next((channels[place].encoding for place in fit if channels[place].encoding != "cdr"), ""):
        raise DemonstrationError(f"{printable(topics[0])} is serialised as {printable(other)!r}; cdr is needed")
    return fit


def _near(wanted: Wanted, topics: Sequence[str] | dict[str, None]) -> str:
    if wanted.role in ("start", "stop"):
        return "; record service events (`ros2 bag record --services`), with introspection of the service switched on"
    close = difflib.get_close_matches(wanted.topic, list(topics), n=1, cutoff=0.5)
    hint = f"; did you mean {printable(close[0])}?" if close else ""
    listed = printable(", ".join(list(topics)[:_SHOWN])) + (" and more" if len(topics) > _SHOWN else "")
    return f"{hint}; the bag has {listed or 'no topic'}"
