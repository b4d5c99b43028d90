"""Writes a plan and its figures as the text of a robot file, with a comment for each decision of a person."""

import math
import re
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from vdd_ros.documents import yaml_text
from vdd_ros.evaluation.robot_draft.measures import MeasuredCommand, MeasuredInput, Measures, rounded_up
from vdd_ros.evaluation.robot_draft.plan import (
    FLOAT64_MULTI_ARRAY,
    JOINT_STATE,
    Plan,
    PlannedCommand,
    PlannedEntry,
    PlannedInput,
)
from vdd_ros.robot.limit_sources import is_slow
from vdd_ros.robot.messages import find_message
from vdd_ros.robot.quantities import VELOCITIES, quantity_of
from vdd_ros.robot.yaml_section import QUESTION
from vdd_ros.text import counted, printable

_STEP_MARGIN = 1.5
_LEAST_PAUSE_S = 1.0
"""Shortest pause of commands that may lie between two episodes."""
_SLIDING = re.compile(r"finger|grip|slid|prismatic|linear|rail|gantry")
"""Names of joints that are asked whether they slide; without any, the first joint is asked for all."""
_GRIPPING = re.compile(r"finger|grip|claw|jaw")
"""Names of joints that objects keep from their set points."""
_OPEN = f'"{QUESTION}"'


def draft_text(plan: Plan, measures: Measures, bag: str, *, name: str, bags: int = 1) -> str:
    """Return the robot file.

    An entry that never changed in several bags becomes a comment, unless a command follows it or its input has no
    other.

    Args:
        plan: Inputs and command.
        measures: Their figures.
        bag: The bags, for the first comment.
        name: Name of the robot.
        bags: Number of bags.
    """
    lines = [
        f"# Robot file, begun from {printable(bag)}. docs/robot_file.md explains every key.",
        f"# Replace each {QUESTION}: until then the file is refused. Check each line that ends in a question mark.",
        "",
        f"name: {yaml_text(name)}  # name of this robot's demonstrations and policies?",
        *_rate(measures),
        "",
        "inputs:",
    ]
    for one, figures, kept in zip(plan.inputs, measures.inputs, kept_entries(plan, measures, bags), strict=True):
        lines += _input(one, figures, kept)
    lines += ["", *_commands(plan, measures), *_demonstrations(plan, measures)]
    if plan.others:
        lines += ["", "# Not read:", *(f"#   {_topic(topic.name)} ({printable(topic.type)})" for topic in plan.others)]
    return "\n".join(lines) + "\n"


def open_questions(text: str) -> int:
    """Return the number of open questions in a draft."""
    return text.count(_OPEN)


def kept_entries(plan: Plan, measures: Measures, bags: int) -> list[set[int]]:
    """Return the indices of the entries that a draft reads, by input; the others become comments."""
    followed = {place for one in measures.commands if one is not None for place in one.follows if place is not None}
    found = []
    for number, (one, figures) in enumerate(zip(plan.inputs, measures.inputs, strict=True)):
        kept = set(np.flatnonzero(figures.low != figures.high).tolist())
        kept |= {entry for place, entry in followed if place == number}
        found.append(kept if bags > 1 and kept else set(range(len(one.entries))))
    return found


def commanded_numbers(plan: Plan, measures: Measures) -> dict[str, int]:
    """Return how many numbers a draft commands on each topic."""
    found = zip(plan.commands, measures.commands, strict=True)
    return {one.topic.name: len(_commanded(one, each)) for one, each in found if each is not None}


def _rate(measures: Measures) -> Iterator[str]:
    """Yield the rate of the demonstrations, that of the fastest commands."""
    rates = [one.ticks_hz for one in measures.commands if one is not None]
    if rates:
        yield f"rate_hz: {max(rates):.4g}  # at which the policy acts, and bags are sampled?"


def _demonstrations(plan: Plan, measures: Measures) -> Iterator[str]:
    """Yield the section `demonstrations`; nothing without commands."""
    found = [(one.name, each) for one, each in zip(plan.commands, measures.commands, strict=True) if each is not None]
    if not found:
        return
    yield ""
    yield "demonstrations:  # docs/demonstrations.md"
    yield "  # An episode is a bag. Does a topic, a service or a pause divide bags into episodes?"
    pauses = [pause for _, one in found if not one.is_sparse for pause in one.pauses_s if pause >= _LEAST_PAUSE_S]
    if pauses:
        times = counted(len(pauses), "time")
        yield f"  # Commands pause {times}, for {min(pauses):.2g} s and longer. Between episodes?"
        yield f"  # episodes: {{gap_s: {math.floor(5 * min(pauses)) / 10:g}}}"
    sparse = [name for name, one in found if one.is_sparse] if len(found) > 1 else []
    if sparse:
        yield f"  # {', '.join(sparse)}: sent only on changes? The last one stays in force."
        kept = ", ".join(f"{yaml_text(name)}: {{when_silent: keep}}" for name in sparse)
        yield f"  commands: {{{kept}}}"
    yield "  # Waits before the first motion, and from 0.5 s after the last one, are cut off. Does a wait matter?"
    yield "  trim: {until: first_motion, after_s: 0.5}"


def _input(one: PlannedInput, figures: MeasuredInput, kept: Collection[int]) -> Iterator[str]:
    yield f"  {yaml_text(one.name)}:"
    yield f"    topic: {yaml_text(one.topic.name)}"
    yield f"    type: {one.topic.type}"
    rate = f"it comes at {figures.rate_hz:.4g} Hz"
    yield f"    max_age_s: {figures.max_age_s:g}  # {rate}; how long may the robot move blindly?"
    if figures.foreign_clock:
        yield "    stamp: arrival  # its stamps are from another clock; can that be synchronised?"
    if one.frame:
        yield f"    # frame: base_link  # recorded in {yaml_text(one.frame)}; in which frame does the policy need it?"
    yield "    entries:"
    asked = _sliding(one.entries) or one.entries[:1] if one.topic.type == JOINT_STATE else ()
    for number, (entry, low, high) in enumerate(zip(one.entries, figures.low, figures.high, strict=True)):
        hint = "; m if it slides?" if entry in asked else ""
        span = f"{low:.4g} to {high:.4g}" if low != high else f"always {low:.4g} in the recordings"
        yield f"      {'' if number in kept else '# '}{_entry(entry)}  # {span}{hint}"
    for entry in one.unread:
        yield f"      # {_entry(entry)}"


def _sliding(entries: Sequence[PlannedEntry]) -> tuple[PlannedEntry, ...]:
    """Return the entries of joints that may slide, by their names."""
    return tuple(entry for entry in entries if _SLIDING.search(entry.place.get("joint", "").lower()))


def _entry(entry: PlannedEntry) -> str:
    places = ", ".join(f"{key}: {yaml_text(value)}" for key, value in entry.place.items())
    return f"{yaml_text(entry.name)}: {{{places}, unit: {yaml_text(entry.unit)}}}"


def _commands(plan: Plan, measures: Measures) -> Iterator[str]:
    found = [(one, each) for one, each in zip(plan.commands, measures.commands, strict=True) if each is not None]
    for topic in plan.other_commands:
        yield f"# {_topic(topic.name)} ({printable(topic.type)}) looks like a command too."
    for one, each in zip(plan.commands, measures.commands, strict=True):
        if each is None:
            sent = f"{_topic(one.topic.name)} ({printable(one.topic.type)})"
            yield f"# {sent} was sent at most once in each bag: is it a command? It is not in this file."
            yield "# For one that is sent only on changes, record one at the beginning of each bag too."
    if not found:
        yield "command:"
        yield "  # No topic of the bag carries commands. Which topic does the controller listen to, and of which type?"
        yield f"  topic: {_OPEN}"
        yield f"  type: {_OPEN}  # std_msgs/msg/Float64MultiArray, trajectory_msgs/msg/JointTrajectory, …"
        yield "  on_loss: hold  # hold for positions, zero for speeds, call for a stop service"
        yield "  entries:"
        yield f"    - {{name: {_OPEN}, action: {_OPEN}, unit: {_OPEN}, low: {_OPEN}, high: {_OPEN}, max_step: {_OPEN}}}"
    elif len(found) == 1:
        yield "command:"
        yield from _command(plan, *found[0])
    else:
        yield "commands:"
        for command, figures in found:
            yield f"  {yaml_text(command.name)}:"
            yield from (f"  {line}" for line in _command(plan, command, figures))


def _command(plan: Plan, command: PlannedCommand, figures: MeasuredCommand) -> Iterator[str]:
    moving = quantity_of(command.units[0]) in VELOCITIES
    yield f"  topic: {yaml_text(command.topic.name)}  # {figures.rate_hz:.4g} Hz; is this the command?"
    yield f"  type: {command.topic.type}"
    yield f"  on_loss: {'zero' if moving else 'hold'}  # what stops the robot when commanding is interrupted?"
    if find_message(command.topic.type).has_header:
        yield "  # frame_id: base_link"
    yield "  # low, high: the range in the recordings. What are the robot's limits?"
    steps = f"{_STEP_MARGIN:g} times the largest change within a tick at {figures.ticks_hz:.4g} Hz"
    yield f"  # max_step: {steps}. Is that the policy's rate?"
    if command.topic.type == FLOAT64_MULTI_ARRAY:
        yield from _order(figures)
    yield "  entries:"
    for index in _commanded(command, figures):
        yield f"    - {_command_entry(plan.inputs, command, figures, index)}"


def _commanded(command: PlannedCommand, figures: MeasuredCommand) -> list[int]:
    """Return the numbers that a draft commands: if numbers may be omitted, only those that vary."""
    message = find_message(command.topic.type)
    every = list(range(len(command.names)))
    varying = [index for index in every if figures.low[index] < figures.high[index]]
    return varying if message.named_by == "field" and not message.complete and varying else every


def _order(figures: MeasuredCommand) -> Iterator[str]:
    if all(figures.follows):
        yield "  # The message names no joints. Each number follows the joint named here, as recorded. Right?"
    else:
        yield "  # The message names no joints, and the bag does not show which joint each number moves. Give"
        yield "  # name, unit, and in `measured` the entry of the joint, in the order of the controller's `joints`."


def _command_entry(
    inputs: Sequence[PlannedInput], command: PlannedCommand, figures: MeasuredCommand, index: int
) -> str:
    follows, unit = figures.follows[index], command.units[index]
    entry = None if follows is None else inputs[follows[0]].entries[follows[1]]
    name: str | None = command.names[index]
    if command.topic.type == FLOAT64_MULTI_ARRAY:
        name, unit = (None, "") if entry is None else (entry.place.get("joint", entry.name), entry.unit)
    low, high = float(figures.low[index]), float(figures.high[index])
    if low >= high and (still := _fixed(command, figures, index)) is not None and name is not None:
        measured = f", measured: {yaml_text(entry.name)}" if entry else ""
        fixed = f"name: {yaml_text(name)}, fixed: {low:.6g}, unit: {yaml_text(unit)}, max_step: {still:g}{measured}"
        return f"{{{fixed}}}  # it never moves in the bag: commanded but not learned?"
    step = rounded_up(_STEP_MARGIN * float(figures.step[index]), 2)
    is_open = low >= high or not math.isfinite(low) or not math.isfinite(high)
    values = {
        "name": _OPEN if name is None else yaml_text(name),
        "action": yaml_text(f"{name or f'number_{index}'}_command"),
        "unit": yaml_text(unit) if unit else _OPEN,
        "low": _OPEN if is_open else _number(low, down=True),
        "high": _OPEN if is_open else _number(high, down=False),
        "max_step": f"{step:g}" if 0 < step < math.inf else _OPEN,
    }
    if entry is not None:
        values["measured"] = yaml_text(entry.name)
    hint = _hint(figures, index, unit)
    if not hint and entry is not None and _GRIPPING.search(f"{name} {entry.name}".lower()):
        hint = "  # if it closes on objects, it stays behind: `max_error: .inf`?"
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}" + hint


def _hint(figures: MeasuredCommand, index: int, unit: str | None) -> str:
    """Return a comment on the limits of a command's number; empty if there is no doubt."""
    low, high = float(figures.low[index]), float(figures.high[index])
    if low >= high:
        return f"  # always {low:.6g} in the bag"
    if not math.isfinite(low) or not math.isfinite(high):
        return "  # not always finite in the bag"
    if unit and is_slow(_STEP_MARGIN * float(figures.step[index]) * figures.ticks_hz, unit):
        return f"  # it hardly moves in the bag: `fixed: {(low + high) / 2:.4g}`, or a larger max_step?"
    return ""


def _fixed(command: PlannedCommand, figures: MeasuredCommand, index: int) -> float | None:
    """Return the smallest step of the numbers that move and have the unit of one that does not; None without any."""
    steps = [
        rounded_up(_STEP_MARGIN * float(step), 2)
        for step, unit, low, high in zip(figures.step, command.units, figures.low, figures.high, strict=True)
        if unit == command.units[index] and low < high and step > 0
    ]
    return min(steps, default=None)


def _number(value: float, *, down: bool) -> str:
    """Return a limit with three decimals of its size, rounded outwards."""
    scale = 10.0 ** (2 - math.floor(math.log10(abs(value)))) if value else 1.0
    rounded = (math.floor if down else math.ceil)(value * scale) / scale
    return f"{rounded:.4g}"


def _topic(name: str) -> str:
    return printable(name)
