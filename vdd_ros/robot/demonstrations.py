"""The section `demonstrations` of a robot file: topics of recorded commands, and rules for episodes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vdd_ros.robot.yaml_section import Section, fail

ONE_PER_BAG = "one_per_bag"
STARTS = ("first_command", "first_motion")
WHEN_SILENT = ("end", "keep")
WHEN_INTERRUPTED = ("leave_out", "divide")
LONGEST_S = 86_400.0
"""The longest time in a rule, in seconds."""


@dataclass(frozen=True)
class RecordedCommand:
    """Location of the operator's commands in a bag.

    Attributes:
        topic: Their topic; None for that of the command.
        keep_last: Whether the last command stays in force until the next one, as for a gripper that is commanded only
            on changes.
    """

    topic: str | None = None
    keep_last: bool = False


@dataclass(frozen=True)
class EpisodeMarks:
    """Begin and end of episodes; without any mark, a bag is one episode.

    Attributes:
        topic: Topic of markers.
        start, stop: Names of services whose calls begin and end an episode; the calls are in the bag as service events.
        gap_s: A pause of the commands that separates two episodes, in seconds.
    """

    topic: str | None = None
    start: str | None = None
    stop: str | None = None
    gap_s: float | None = None

    @property
    def one_per_bag(self) -> bool:
        """Whether a bag is one episode."""
        return self.topic is None and self.start is None and self.gap_s is None


@dataclass(frozen=True)
class Trim:
    """Waits to cut off an episode.

    Attributes:
        until: Its beginning: `first_command`, or `first_motion`, the first command that differs from the initial one.
        after_s: Time to keep after the last command that differs from the final one, in seconds; None: everything.
    """

    until: str = STARTS[0]
    after_s: float | None = None


@dataclass(frozen=True)
class DemonstrationRules:
    """Rules for turning bags into demonstrations.

    Attributes:
        commands: Location of the operator's commands, by name of the command.
        episodes: Begin and end of episodes.
        trim: Waits to cut off.
        max_delay_s: Longest delay from an observation to its command, in seconds; None: five periods.
        shortest_s: Shorter episodes are left out, in seconds.
        when_interrupted: Handling of an episode in which the node would have stopped: `leave_out`, or `divide` into
            the parts before and after.
    """

    commands: Mapping[str, RecordedCommand] = field(default_factory=dict)
    episodes: EpisodeMarks = field(default_factory=EpisodeMarks)
    trim: Trim = field(default_factory=Trim)
    max_delay_s: float | None = None
    shortest_s: float = 0.0
    when_interrupted: str = WHEN_INTERRUPTED[0]

    @property
    def divides(self) -> bool:
        """Whether an interrupted episode is divided."""
        return self.when_interrupted == "divide"


def read_demonstrations(section: Section, commands: Sequence[str]) -> DemonstrationRules:
    """Read the section; `commands` are the names of the robot file's commands. Raises RobotFileError."""
    rules = DemonstrationRules(
        commands=_commands(section, commands),
        episodes=_episodes(section),
        trim=_trim(section),
        max_delay_s=_seconds(section, "max_delay_s") if section.has("max_delay_s") else None,
        shortest_s=_seconds(section, "shortest_s") if section.has("shortest_s") else 0.0,
        when_interrupted=section.choice("when_interrupted", WHEN_INTERRUPTED, default=WHEN_INTERRUPTED[0]),
    )
    section.finish()
    return rules


def _commands(section: Section, known: Sequence[str]) -> dict[str, RecordedCommand]:
    if not section.has("commands"):
        return {}
    if isinstance(section.get("commands"), str):
        if len(known) > 1:
            fail(section.at("commands"), "must give a topic for each command by its name, which are", known)
        return {known[0]: RecordedCommand(section.topic("commands"))}
    given = section.section("commands")
    for name in given.names():
        if name not in known:
            fail(given.at(name), "is not a command of this file; the commands are", known)
    return {name: _command(given, name) for name in given.names()}


def _command(section: Section, name: str) -> RecordedCommand:
    if isinstance(section.get(name), str):
        return RecordedCommand(section.topic(name))
    given = section.section(name)
    topic = given.topic("topic") if given.has("topic") else None
    silent = given.choice("when_silent", WHEN_SILENT, default="end")
    given.finish()
    return RecordedCommand(topic, silent == "keep")


def _episodes(section: Section) -> EpisodeMarks:
    if not section.has("episodes"):
        return EpisodeMarks()
    if isinstance(section.get("episodes"), str):
        section.choice("episodes", (ONE_PER_BAG,))
        return EpisodeMarks()
    given = section.section("episodes")
    kinds = [key for key in ("topic", "start", "gap_s") if given.has(key)]
    if len(kinds) != 1:
        fail(given.path, "has none or several of them; give one of", ("topic", "start (and stop)", "gap_s"))
    marks = EpisodeMarks(
        topic=given.topic("topic") if given.has("topic") else None,
        start=given.topic("start") if given.has("start") else None,
        stop=given.topic("stop") if given.has("stop") else None,
        gap_s=_seconds(given, "gap_s") if given.has("gap_s") else None,
    )
    given.finish()
    if marks.stop is not None and marks.start is None:
        fail(given.at("stop"), "belongs to `start`, the service that begins an episode")
    return marks


def _trim(section: Section) -> Trim:
    if not section.has("trim"):
        return Trim()
    given = section.section("trim")
    trim = Trim(
        until=given.choice("until", STARTS, default=STARTS[0]),
        after_s=_seconds(given, "after_s") if given.has("after_s") else None,
    )
    given.finish()
    return trim


def _seconds(section: Section, key: str) -> float:
    """Return a time of at most a day."""
    found = section.number(key, positive=True)
    if found > LONGEST_S:
        section.refuse(key, f"is {found:g} seconds; at most a day, {LONGEST_S:,.0f} seconds, is allowed")
    return found
