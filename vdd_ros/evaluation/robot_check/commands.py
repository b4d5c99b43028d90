"""The commands in a recording, and problems of a robot file's commands."""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.topics import Recording, Topic
from vdd_ros.errors import ObservationError
from vdd_ros.evaluation.alignment import newest_at
from vdd_ros.evaluation.preflight.command_order import command_order
from vdd_ros.evaluation.robot_check.findings import ERROR, NOTE, WARNING, Finding
from vdd_ros.evaluation.robot_check.readings import InputReadings
from vdd_ros.evaluation.robot_check.topics import find_topic, missing_topic
from vdd_ros.recordings.topics import wanted_topics
from vdd_ros.robot.command_channel import CommandPart
from vdd_ros.robot.command_warnings import command_warnings
from vdd_ros.robot.commands import Command
from vdd_ros.robot.quantities import spaced, unit_factor
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.text import printable

Floats = NDArray[np.float64]

FIXED_TOLERANCE = 1e-3
"""Relative difference of a recorded command from a fixed number, absolute below 1."""
STEP_TOLERANCE = 1e-3
"""Relative excess over `max_step` that is rounding: commands of a node, which are limited to it, reach it."""
PAUSE = 5
"""Interval of commands, in usual intervals, from which it counts as a pause."""


@dataclass
class CommandReadings:
    """The recorded commands on one topic.

    Attributes:
        command: The command in the robot file.
        wanted: Topic in the robot file on which they are looked for.
        topic: Topic in the recording, or None.
        received_s: (n,) times of receipt, seconds since the epoch.
        values: (n, m) in the units of the robot file.
        refused: Messages that are not such a command, by reason.
    """

    command: Command
    wanted: str
    topic: Topic | None
    received_s: Floats = field(default_factory=lambda: np.empty(0))
    values: Floats = field(default_factory=lambda: np.empty((0, 0)))
    refused: Counter[str] = field(default_factory=Counter)


def read_commands(robot: RobotFile, recording: Recording) -> list[CommandReadings]:
    """Read each command of a robot file from a recording, from the topics in `demonstrations`, whoever sent them.

    Raises:
        RecordingError: The recording is damaged.
    """
    topics = {one.name: one.topic for one in wanted_topics(robot) if one.role == "command"}
    return [_read_command(command, topics[command.name], recording) for command in robot.commands]


def _read_command(command: Command, topic: str, recording: Recording) -> CommandReadings:
    found = CommandReadings(command, topic, find_topic(topic, recording.topics))
    if found.topic is None or found.topic.type != command.type:
        return found
    part = CommandPart(command, 0)
    received_s, values, out = array("d"), array("d"), np.empty(len(command.entries))
    for received in recording.serialized([found.topic.name]):
        try:
            part.read(received.message(), out)
        except ObservationError as error:
            found.refused[str(error)] += 1
            continue
        received_s.append(received.received_ns * 1e-9)
        values.extend(out.tolist())
    found.received_s = np.array(received_s, np.float64)
    found.values = np.array(values, np.float64).reshape(-1, len(command.entries))
    return found


def command_findings(found: CommandReadings, topics: Sequence[Topic], rate_hz: float) -> Iterator[Finding]:
    """Yield problems of a command: topic, type, order, limits and references.

    Args:
        found: The recorded commands.
        topics: Topics of the recording.
        rate_hz: Rate of the policy, to which `max_step` refers.
    """
    command, path = found.command, found.command.path
    yield from (Finding(WARNING, where, text) for where, text in command_warnings(command))
    if found.topic is None:
        text = f"{found.wanted} is {missing_topic(found.wanted, command.type, topics)}"
        yield Finding(NOTE, f"{path}.topic", f"{text}; its limits cannot be compared with recorded commands")
        return
    if found.topic.type != command.type:
        text = f"is {command.type}, but {found.topic.name} carries {printable(found.topic.type)}"
        yield Finding(ERROR, f"{path}.type", f"{text}: a controller for one does not receive the other")
        return
    for reason, times in found.refused.items():
        text = f"{times:,} of {found.topic.count:,} recorded commands do not fit this file: {reason}"
        yield Finding(ERROR, f"{path}.entries", text)
    if len(found.values):
        yield from _limits(found, rate_hz)


def order_findings(found: CommandReadings, inputs: Sequence[InputReadings]) -> Iterator[Finding]:
    """Yield numbers whose recorded commands follow another measurement than the robot file names.

    The numbers of a Float64MultiArray, which names no joints, may be in another order.

    Args:
        found: The recorded commands.
        inputs: The readings of the inputs.
    """
    entries = found.command.entries
    measured = {
        feature.name: (one, column, feature.unit)
        for one in inputs
        for column, feature in enumerate(one.features if one.source.array is None else ())
    }
    numbers = [
        index
        for index, entry in enumerate(entries)
        if entry.measured in measured and entry.fixed is None and len(measured[entry.measured][0].received_s)
    ]
    names = list(dict.fromkeys(str(entries[index].measured) for index in numbers))
    if len(numbers) < 2 or len(names) < len(numbers) or not len(found.values):
        return
    columns, commands = [], []
    for index, name in zip(numbers, names, strict=True):
        one, column, unit = measured[name]
        factor = unit_factor(entries[index].unit, unit, name)
        columns.append(one.values[np.maximum(newest_at(one.received_s, found.received_s), 0), column])
        commands.append(found.values[:, index] * factor)
    order = command_order(np.stack(commands, axis=1), np.stack(columns, axis=1))
    if order is None:
        return
    for place, (index, follows) in enumerate(zip(numbers, order.measured.tolist(), strict=True)):
        if follows != place and order.clear[place]:
            text = f"{entries[index].name} is measured by {names[place]}, but its recorded commands follow "
            text += f"{names[follows]}: they differ by {order.distance[place, follows]:.3g}, from {names[place]} by "
            text += f"{order.distance[place, place]:.3g}. Is the order of the numbers that of the controller?"
            yield Finding(WARNING, f"{found.command.path}.entries[{index}]", text)


def sampled_steps(found: CommandReadings, rate_hz: float) -> Floats:
    """Return the changes, (ticks - 1, m), of the recorded commands from one tick to the next.

    The ticks are offset by half a period of the faster of both, so that commands at the rate of the ticks fall into one
    tick each despite jitter; the last tick follows the last command. The change across a pause, such as between two
    episodes, does not count as a step.
    """
    if len(found.received_s) < 2:
        return np.empty((0, found.values.shape[1]))
    first = found.received_s[0] + 0.5 * min(float(np.median(np.diff(found.received_s))), 1 / rate_hz)
    ticks = np.arange(first, found.received_s[-1] + 1 / rate_hz, 1 / rate_hz)
    places = np.searchsorted(found.received_s, ticks, side="right") - 1
    paused = np.concatenate([[0], np.cumsum(pauses_s(found) > 0)])[places]
    return np.diff(found.values[places], axis=0)[np.diff(paused) == 0]


def pauses_s(found: CommandReadings) -> Floats:
    """Return for each interval between recorded commands, (messages - 1,), its length if it is a pause, otherwise 0."""
    intervals = np.diff(found.received_s)
    return np.where(intervals > PAUSE * np.median(intervals), intervals, 0.0) if len(intervals) else intervals


def _limits(found: CommandReadings, rate_hz: float) -> Iterator[Finding]:
    steps = np.abs(sampled_steps(found, rate_hz))
    for index, entry in enumerate(found.command.entries):
        where, values = f"{found.command.path}.entries[{index}]", found.values[:, index]
        least, most = float(values.min()), float(values.max())
        if entry.fixed is not None and np.abs(values - entry.fixed).max() > FIXED_TOLERANCE * max(
            1.0, abs(entry.fixed)
        ):
            text = f"is {entry.fixed:g}{spaced(entry.unit)}, but the recorded commands reach from {least:.6g} to"
            yield Finding(WARNING, f"{where}.fixed", f"{text} {most:.6g}: it is not what was demonstrated")
        beyond = float(((values < entry.low) | (values > entry.high)).mean())
        if beyond > 0:
            text = f"{100 * beyond:.1f} % of the recorded commands of {entry.name} lie outside [{entry.low:g}, "
            text += f"{entry.high:g}]{spaced(entry.unit)}; they reach from {least:.6g} to {most:.6g}"
            yield Finding(WARNING, f"{where}.low", f"{text}. Are limits and units right?")
        if len(steps) and (fast := float((steps[:, index] > entry.max_step * (1 + STEP_TOLERANCE)).mean())) > 0:
            text = f"{100 * fast:.1f} % of the recorded commands of {entry.name} change by more than "
            text += f"{entry.max_step:g}{spaced(entry.unit)} in one tick at {rate_hz:.4g} Hz, by up to "
            text += f"{steps[:, index].max():.4g}"
            yield Finding(WARNING, f"{where}.max_step", f"{text}; a policy that does the same is slowed down")
