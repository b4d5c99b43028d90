"""Drafts a robot file from bags."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vdd_ros.bags.topics import open_bag
from vdd_ros.errors import ConfigurationError, RecordingError
from vdd_ros.evaluation.robot_draft.measures import Measures, combined, measure
from vdd_ros.evaluation.robot_draft.plan import INFRASTRUCTURE, POSITIONS, Plan, make_plan
from vdd_ros.evaluation.robot_draft.text import commanded_numbers, draft_text, kept_entries, open_questions
from vdd_ros.files import replacing
from vdd_ros.recordings.bag_list import list_bags
from vdd_ros.robot.messages import command_types
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.text import printable


@dataclass(frozen=True)
class Draft:
    """A drafted robot file.

    Attributes:
        file: Its path.
        bag: The first bag.
        bags: Number of bags.
        inputs: Topic of each input.
        entries: Number of observation entries.
        commands: Topic of each command in the file; empty without any.
        numbers: Number of commanded numbers in the file.
        questions: Number of open questions, which keep the file from being loaded.
    """

    file: str
    bag: str
    bags: int
    inputs: tuple[str, ...]
    entries: int
    commands: tuple[str, ...]
    numbers: int
    questions: int


def write_draft(bags: Sequence[Path], file: Path, *, rate_hz: float | None = None, force: bool = False) -> Draft:
    """Draft a robot file from bags.

    The first bag determines inputs and commands; ranges and steps come from all. The robot gets the name of the file.

    Args:
        bags: Bags, or folders of bags.
        file: The file to write.
        rate_hz: Rate of the policy, to which `max_step` refers; by default that of the recorded commands.
        force: Whether an existing file is replaced.

    Raises:
        ConfigurationError: The file exists, or the rate is not positive.
        RecordingError: A bag is damaged, or the first holds no topic that a robot file could read.
    """
    if os.path.lexists(file) and not force:
        raise ConfigurationError(f"{printable(file)} exists already; name another file, or replace it with --force")
    if rate_hz is not None and not rate_hz > 0:
        raise ConfigurationError(f"--rate is {rate_hz:g} Hz; it must be above 0")
    found = [bag.path for bag in list_bags(bags)]
    plan, parts = _begun(found[0], rate_hz)
    ticks_hz = rate_hz or next((one.ticks_hz for one in parts[0].commands if one is not None), None)
    topics = {one.topic.name for one in plan.inputs} | {one.topic.name for one in plan.commands}
    for bag in found[1:]:
        with open_bag(bag, wanted=topics.__contains__) as recording:
            parts.append(measure(plan, recording, ticks_hz))
    measures = combined(parts)
    text = draft_text(plan, measures, ", ".join(map(str, bags)), name=file.stem, bags=len(found))
    with replacing(file) as aside:
        aside.write_text(text, encoding="utf-8")
    if not open_questions(text):
        RobotFile.load(file)
    commanded = commanded_numbers(plan, measures)
    return Draft(
        file=str(file),
        bag=str(found[0]),
        bags=len(found),
        inputs=tuple(one.topic.name for one in plan.inputs),
        entries=sum(map(len, kept_entries(plan, measures, len(found)))),
        commands=tuple(commanded),
        numbers=sum(commanded.values()),
        questions=open_questions(text),
    )


def _begun(bag: Path, rate_hz: float | None) -> tuple[Plan, list[Measures]]:
    """Return the plan from the first bag, and its figures."""
    with open_bag(bag, wanted=lambda topic: False) as outline:
        names = {topic.name for topic in outline.topics if topic.type in (*command_types(), *POSITIONS)}
        names = {name for name in names if not INFRASTRUCTURE.search(name)}
        known = outline.topics
    with open_bag(bag, wanted=names.__contains__) as recording:
        plan = make_plan(recording)
        if plan.inputs:
            return plan, [measure(plan, recording, rate_hz)]
    shown = ", ".join(f"{printable(topic.name)} ({printable(topic.type)})" for topic in known[:10]) or "nothing"
    raise RecordingError(
        f"{printable(bag)} holds no joint states and no positions, so there is nothing to observe: it has {shown}. "
        "Record the topics of the robot's sensors"
    )
