"""Episodes in a robot file: source of their numbers, the home service, and the end of a task."""

from collections.abc import Sequence
from dataclasses import dataclass

from vdd_ros.features import Feature
from vdd_ros.robot.yaml_section import Section, fail

HOME_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Home:
    """The service that moves the robot to the start of an episode.

    Attributes:
        service: Name of a std_srvs/srv/Trigger service; it answers when the robot has arrived.
        timeout_s: Time limit, in seconds.
    """

    service: str
    timeout_s: float = HOME_TIMEOUT_S


@dataclass(frozen=True)
class DoneRule:
    """A rule for the end of a task: an observation entry has been beyond a bound for a time.

    Attributes:
        entry: Observation entry, a single number.
        bound: The bound, in the unit of the entry in the robot file.
        above: Whether the task ends above the bound, or below it.
        for_s: The time, in seconds.
    """

    entry: str
    bound: float
    above: bool
    for_s: float

    def __str__(self) -> str:
        side = "above" if self.above else "below"
        return f"{self.entry} {side} {self.bound:g}" + (f" for {self.for_s:g} s" if self.for_s else "")


@dataclass(frozen=True)
class EpisodeRules:
    """The section `episodes`.

    Attributes:
        topic: Topic of episode numbers, std_msgs/msg/Int64; empty for none.
        home: The home service; None without one.
        done: Rule for the end of a task; None without one.
        done_topic: Topic, std_msgs/msg/Empty, that ends a task; empty for none.
    """

    topic: str = ""
    home: Home | None = None
    done: DoneRule | None = None
    done_topic: str = ""


def read_episodes(section: Section) -> EpisodeRules:
    """Read the section; raises RobotFileError naming the field."""
    topic = section.topic("topic") if section.has("topic") else ""
    home = _home(section.section("home")) if section.has("home") else None
    done, done_topic = _done(section.section("done")) if section.has("done") else (None, "")
    section.finish()
    return EpisodeRules(topic, home, done, done_topic)


def check_episodes(rules: EpisodeRules, inputs: Sequence[Feature]) -> None:
    """Check that the rule names an input entry that is a single number; raises RobotFileError."""
    if rules.done is None:
        return
    numbers = [feature.name for feature in inputs if not feature.shape]
    if rules.done.entry not in numbers:
        fail("episodes.done.entry", f"is {rules.done.entry!r}; the single numbers of the inputs are", numbers)


def _home(section: Section) -> Home:
    timeout_s = section.number("timeout_s", positive=True) if section.has("timeout_s") else HOME_TIMEOUT_S
    home = Home(section.topic("service"), timeout_s)
    section.finish()
    return home


def _done(section: Section) -> tuple[DoneRule | None, str]:
    if section.has("topic"):
        topic = section.topic("topic")
        section.finish()
        return None, topic
    sides = [side for side in ("above", "below") if section.has(side)]
    if len(sides) != 1:
        given = "has both `above` and `below`" if sides else "has neither `above` nor `below`"
        fail(section.path, f"{given}; give one of them, or a `topic` of std_msgs/msg/Empty instead", example=_EXAMPLE)
    for_s = section.number("for_s") if section.has("for_s") else 0.0
    if for_s < 0:
        fail(section.at("for_s"), f"is {for_s:g}; it must be 0 or more, in seconds")
    rule = DoneRule(section.text("entry"), section.number(sides[0]), sides[0] == "above", for_s)
    section.finish()
    return rule, ""


_EXAMPLE = "done: {entry: finger_position, above: 0.7, for_s: 0.2}"
