"""The figures of a draft: rates, ages, ranges and steps of a plan's topics in a bag."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.topics import BagRecording, Topic
from vdd_ros.evaluation.alignment import cadence
from vdd_ros.evaluation.preflight.command_order import command_order
from vdd_ros.evaluation.robot_check.commands import CommandReadings, pauses_s, read_commands, sampled_steps
from vdd_ros.evaluation.robot_check.inputs import times_of
from vdd_ros.evaluation.robot_check.readings import InputReadings, read_inputs
from vdd_ros.evaluation.robot_draft.plan import FLOAT64_MULTI_ARRAY, Plan, PlannedCommand, PlannedInput
from vdd_ros.robot.inputs import LONGEST_AGE_S
from vdd_ros.robot.quantities import VELOCITIES, quantity_of
from vdd_ros.robot.robot_file import RobotFile

Floats = NDArray[np.float64]

PERIODS = 5
"""Allowed age of an input in a draft, in periods."""
LEAST_AGE_S = 0.1
USUAL_LAG, LATE_PERIODS, MOST_LATE = 0.95, 2, 2.0
"""Quantile of the delays from stamp to receipt, and periods after it, that an input may be old; largest factor so."""
ROUNDED = 0.02
"""Relative tolerance within which a rate is rounded to a whole number."""
SLOWEST = 1.5
"""Longest interval of commands, in ticks, at which most ticks have a new one."""
NO_LIMIT = 1e30
_NONE = PlannedCommand("none", Topic("/none", FLOAT64_MULTI_ARRAY, 0), ("0",), ("1",))


@dataclass(frozen=True)
class MeasuredInput:
    """Figures of one input: rate, proposed `max_age_s`, its stamps, and the range of each entry."""

    rate_hz: float
    max_age_s: float
    foreign_clock: bool
    low: Floats
    high: Floats


@dataclass(frozen=True)
class MeasuredCommand:
    """Figures of the command.

    Attributes:
        rate_hz: Rate of the recorded commands.
        low, high, step: (n,) range, and largest change from one tick to the next.
        ticks_hz: Rate of these ticks.
        pauses_s: Length of each pause between commands.
        follows: For each number the entry that it follows, as input and entry; None if unknown.
    """

    rate_hz: float
    low: Floats
    high: Floats
    step: Floats
    ticks_hz: float
    pauses_s: tuple[float, ...]
    follows: tuple[tuple[int, int] | None, ...]

    @property
    def is_sparse(self) -> bool:
        """Whether it is too infrequent for a new number at each tick."""
        return self.rate_hz * SLOWEST < self.ticks_hz


@dataclass(frozen=True)
class Measures:
    """Figures of a plan; those of a command are None if it was sent less than twice."""

    inputs: tuple[MeasuredInput, ...]
    commands: tuple[MeasuredCommand | None, ...]


def measure(plan: Plan, recording: BagRecording, rate_hz: float | None) -> Measures:
    """Read the topics of a plan from the bag.

    Args:
        plan: Inputs and command.
        recording: The bag.
        rate_hz: Of the policy, to which steps refer; by default that of the recorded commands.

    Raises:
        RecordingError: The bag is damaged.
    """
    robot = RobotFile.from_dict(_provisional(plan))
    readings = read_inputs(robot, robot.inputs, robot.signature.observation, recording)
    inputs = tuple(_measured(one) for one in readings)
    named = {place for one in plan.commands for place in _by_name(plan.inputs, one) if place is not None}
    found = read_commands(robot, recording)[: len(plan.commands)]
    ticks_hz = rate_hz or _ticks_hz(found)
    with np.errstate(invalid="ignore"):  # non-finite commands leave their limits open
        commands = [
            _measured_command(plan, planned, one, readings, named, ticks_hz)
            for planned, one in zip(plan.commands, found, strict=True)
        ]
    return Measures(inputs, tuple(commands))


def combined(parts: Sequence[Measures]) -> Measures:
    """Return the figures of several bags, at least one: their ranges together, the largest steps, the median rates."""
    inputs = tuple(_combined_input(same) for same in zip(*(part.inputs for part in parts), strict=True))
    commands = tuple(
        _combined_command([one for one in same if one is not None])
        for same in zip(*(part.commands for part in parts), strict=True)
    )
    return Measures(inputs, commands)


def _combined_input(parts: Sequence[MeasuredInput]) -> MeasuredInput:
    rates = [part.rate_hz for part in parts if part.rate_hz > 0]
    heard = [part for part in parts if part.rate_hz > 0] or parts
    return MeasuredInput(
        rate_hz=float(np.median(rates)) if rates else 0.0,
        max_age_s=max(part.max_age_s for part in heard),
        foreign_clock=any(part.foreign_clock for part in heard),
        low=np.fmin.reduce([part.low for part in parts]),
        high=np.fmax.reduce([part.high for part in parts]),
    )


def _combined_command(parts: Sequence[MeasuredCommand]) -> MeasuredCommand | None:
    if not parts:
        return None
    return MeasuredCommand(
        rate_hz=float(np.median([part.rate_hz for part in parts])),
        low=np.minimum.reduce([part.low for part in parts]),
        high=np.maximum.reduce([part.high for part in parts]),
        step=np.maximum.reduce([part.step for part in parts]),
        ticks_hz=parts[0].ticks_hz,
        pauses_s=tuple(length for part in parts for length in part.pauses_s),
        follows=next((part.follows for part in parts if None not in part.follows), parts[0].follows),
    )


def _provisional(plan: Plan) -> dict[str, object]:
    """Return the plan's robot file without limits, which reads the bag like the finished one."""
    inputs = {
        one.name: {
            "topic": one.topic.name,
            "type": one.topic.type,
            "max_age_s": LONGEST_AGE_S,
            "entries": {entry.name: {**entry.place, "unit": entry.unit} for entry in one.entries},
        }
        for one in plan.inputs
    }
    commands = {one.name: _unlimited(one) for one in plan.commands}
    return {"inputs": inputs, "commands": commands or {"none": _unlimited(_NONE)}}


def _unlimited(command: PlannedCommand) -> dict[str, object]:
    """Return a command of a robot file without limits."""
    moving = quantity_of(command.units[0]) in VELOCITIES
    return {
        "topic": command.topic.name,
        "type": command.topic.type,
        "on_loss": "zero" if moving else "hold",
        "entries": [
            {
                "name": name,
                "action": f"{command.name}.{name}",
                "unit": unit,
                "low": -NO_LIMIT,
                "high": NO_LIMIT,
                "max_step": math.inf,
            }
            for name, unit in zip(command.names, command.units, strict=True)
        ],
    }


def _measured(found: InputReadings) -> MeasuredInput:
    rhythm = cadence(times_of(found))
    usual_s = 1 / rhythm.rate_hz if rhythm.rate_hz else LONGEST_AGE_S
    age_s = min(max(LEAST_AGE_S, rounded_up(PERIODS * usual_s, 2)), LONGEST_AGE_S)
    lag = np.abs(found.received_s - found.dated_s)
    foreign_clock = bool(len(lag) and np.median(lag) > age_s)
    if len(lag) and not foreign_clock:  # until the next message, a value becomes older than at its receipt
        late_s = min(float(np.quantile(lag, USUAL_LAG)) + LATE_PERIODS * usual_s, MOST_LATE * age_s)
        age_s = min(max(age_s, rounded_up(late_s, 2)), LONGEST_AGE_S)
    width = len(found.features)
    low, high = (found.values.min(0), found.values.max(0)) if len(found.values) else (np.full(width, np.nan),) * 2
    return MeasuredInput(rhythm.rate_hz, age_s, foreign_clock, low, high)


def _measured_command(
    plan: Plan,
    command: PlannedCommand,
    found: CommandReadings,
    readings: Sequence[InputReadings],
    named: set[tuple[int, int]],
    ticks_hz: float,
) -> MeasuredCommand | None:
    if len(found.values) < 2:
        return None
    steps = np.abs(sampled_steps(found, ticks_hz))
    step = steps.max(0) if len(steps) else np.zeros(found.values.shape[1])
    follows = _by_name(plan.inputs, command)
    if command.topic.type == FLOAT64_MULTI_ARRAY:
        follows = _by_motion(plan.inputs, found, readings, named)
    pauses = pauses_s(found)
    low, high = found.values.min(0), found.values.max(0)
    return MeasuredCommand(_own_hz(found), low, high, step, ticks_hz, tuple(pauses[pauses > 0].tolist()), follows)


def _ticks_hz(found: Sequence[CommandReadings]) -> float:
    """Return the rate of the fastest commands, for a policy with the same rate."""
    rates = [rate for one in found if 1 <= (rate := _own_hz(one)) <= 1000]
    return _round_rate(max(rates)) if rates else 20.0


def _own_hz(found: CommandReadings) -> float:
    """Return the rate of commands; 0 for fewer than two."""
    median = float(np.median(np.diff(found.received_s))) if len(found.received_s) > 1 else 0.0
    return 1 / median if median > 0 else 0.0


def _round_rate(rate_hz: float) -> float:
    """Return a rate, rounded to a whole number if that is within the jitter."""
    whole = round(rate_hz)
    return float(whole) if abs(rate_hz - whole) < ROUNDED * rate_hz else rate_hz


def _by_name(inputs: Sequence[PlannedInput], command: PlannedCommand) -> tuple[tuple[int, int] | None, ...]:
    """Return the position of each commanded joint among the inputs."""
    places = {
        entry.place["joint"]: (number, index)
        for number, one in enumerate(inputs)
        for index, entry in enumerate(one.entries)
        if entry.place.get("interface") == "position"
    }
    moving = quantity_of(command.units[0]) in VELOCITIES
    return tuple(None if moving else places.get(name) for name in command.names)


def _by_motion(
    inputs: Sequence[PlannedInput],
    found: CommandReadings,
    readings: Sequence[InputReadings],
    named: set[tuple[int, int]],
) -> tuple[tuple[int, int] | None, ...]:
    """Return the joint that each number follows, if all are certain; joints named by other commands are excluded."""
    joints = [
        (number, index)
        for number, one in enumerate(inputs)
        for index, entry in enumerate(one.entries)
        if entry.place.get("interface") == "position" and len(readings[number].received_s)
        if (number, index) not in named
    ]
    unknown = (None,) * found.values.shape[1]
    if not joints:
        return unknown
    columns = []
    for number, index in joints:
        reading = readings[number]
        places = np.searchsorted(reading.received_s, found.received_s, side="right") - 1
        columns.append(reading.values[np.maximum(places, 0), index])
    order = command_order(found.values, np.stack(columns, axis=1))
    if order is None or not order.clear.all():
        return unknown
    return tuple(joints[column] for column in order.measured.tolist())


def rounded_up(value: float, digits: int) -> float:
    """Return a positive number rounded up to some significant digits; other numbers unchanged."""
    if not value > 0 or not math.isfinite(value):
        return value
    scale = 10.0 ** (digits - 1 - math.floor(math.log10(value)))
    return float(f"{math.ceil(round(value * scale, 6)) / scale:.{digits + 2}g}")
