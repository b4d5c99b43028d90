"""The report of `vdd robot check`: readings of every entry of a robot file, and problems."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vdd_ros.bags.topics import Recording
from vdd_ros.errors import ConfigurationError
from vdd_ros.evaluation.alignment import Alignment, align, cadence
from vdd_ros.evaluation.robot_check.commands import CommandReadings, command_findings, order_findings, read_commands
from vdd_ros.evaluation.robot_check.findings import ERROR, WARNING, Finding, sorted_findings
from vdd_ros.evaluation.robot_check.inputs import alignment_findings, input_findings, times_of
from vdd_ros.evaluation.robot_check.precision import precision_findings
from vdd_ros.evaluation.robot_check.readings import InputReadings, read_inputs
from vdd_ros.evaluation.robot_check.windows import difference
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.recordings.alignment import Spread
from vdd_ros.robot.entry_places import with_name
from vdd_ros.robot.limit_sources import hardly_moved
from vdd_ros.robot.robot_file import RobotFile

DEFAULT_HZ = 20.0
"""Rate of the ticks if neither a policy, nor the caller, nor any input determines one."""


@dataclass(frozen=True)
class EntryReport:
    """The values of one entry.

    Attributes:
        name: Name of the entry.
        unit: Unit of the values.
        low, high, mean, newest: Statistics of all values; for an array those of all its numbers, without `newest`;
            None without any value.
        minus: The subtracted entry, also in these values; None for others.
        hidden: Whether it is only subtracted from others, and not observed.
    """

    name: str
    unit: str
    low: float | None
    high: float | None
    mean: float | None
    newest: float | None
    minus: str | None = None
    hidden: bool = False


@dataclass(frozen=True)
class InputReport:
    """One input.

    Attributes:
        name: Name in the robot file.
        topic: Topic in the recording, or None.
        type: Message type in the robot file.
        messages: Messages on the topic.
        used: Messages that were read.
        rate_hz, jitter_s, longest_gap_s: See `vdd_ros.evaluation.alignment.Cadence`.
        age_s, stale, repeats, skipped: See `vdd_ros.evaluation.alignment.Alignment`; None without ticks.
        entries: Its entries.
    """

    name: str
    topic: str | None
    type: str
    messages: int
    used: int
    rate_hz: float
    jitter_s: float
    longest_gap_s: float
    age_s: Spread | None
    stale: float | None
    repeats: float | None
    skipped: float | None
    entries: tuple[EntryReport, ...]


@dataclass(frozen=True)
class RobotReport:
    """Result of a check of a robot file.

    Attributes:
        rate_hz: Rate of the ticks that ages refer to.
        ticks: Number of ticks at which every input has a value.
        spread_s: Time between the oldest and the newest input of a tick; None without ticks.
        inputs: Every input.
        commands: Number of recorded commands.
        command: The recorded commands by entry, in the units of the robot file.
        findings: Problems, errors first.
    """

    rate_hz: float
    ticks: int
    spread_s: Spread | None
    inputs: tuple[InputReport, ...]
    commands: int
    command: tuple[EntryReport, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """Number of errors."""
        return sum(finding.level == ERROR for finding in self.findings)


def check_robot(
    robot: RobotFile, recording: Recording, *, policy: OnnxPolicy | None = None, rate_hz: float | None = None
) -> RobotReport:
    """Read a recording by a robot file and report problems.

    Args:
        robot: The robot file.
        recording: A bag, or messages of a running robot.
        policy: A policy to be run on this robot, or None.
        rate_hz: Rate of the ticks; by default that of the policy, of the robot file, or of the fastest input.

    Raises:
        RobotFileError: The robot file does not fit the policy.
        RecordingError: The recording is damaged.
        ConfigurationError: The rate is not positive.
    """
    observation: Sequence[Feature] = robot.signature.observation
    if policy is not None:
        robot.check(policy.spec.observation, policy.spec.action)
        observation = policy.spec.observation
    if rate_hz is not None and not rate_hz > 0:
        raise ConfigurationError(f"the rate is {rate_hz:g} Hz; it must be above 0")
    inputs = read_inputs(robot, robot.inputs, observation, recording)
    commands = read_commands(robot, recording)
    asked = rate_hz or (policy.spec.rate_hz if policy is not None else robot.rate_hz)
    rate = asked or _fastest(inputs)
    given = robot.commands
    if policy is not None:
        robot = robot.limited(policy.spec.action, 1 / rate, policy.spec.demonstrated_steps)
    kept = [source.name for source in robot.inputs if source.is_kept]
    alignment = align({one.name: times_of(one) for one in inputs}, rate, kept)
    findings = [finding for one in inputs for finding in input_findings(one, recording.topics)]
    findings += [finding for one in inputs for finding in precision_findings(one, inputs)]
    findings += alignment_findings(robot, alignment, rate, wanted=asked is not None) if alignment else ()
    findings += [each for one in commands for each in command_findings(one, recording.topics, rate)]
    findings += [each for one in commands for each in order_findings(one, inputs)]
    if policy is not None:
        from vdd_ros.evaluation.robot_check.limits import limit_findings
        from vdd_ros.evaluation.robot_check.policy import policy_findings

        last = read_inputs(robot, robot.last_commands, observation, recording)
        findings += policy_findings(robot, policy, inputs, last, commands)
        findings += limit_findings(robot, policy.spec)
        findings += (Finding(WARNING, where, text) for where, text in hardly_moved(given, robot.commands, rate))
    return RobotReport(
        rate_hz=rate,
        ticks=alignment.ticks if alignment else 0,
        spread_s=alignment.spread_s if alignment else None,
        inputs=tuple(_input_report(one, inputs, alignment) for one in inputs),
        commands=sum(len(one.values) for one in commands),
        command=tuple(report for one in commands for report in _command_reports(one)),
        findings=sorted_findings(_named(finding, robot.names_of_commands) for finding in findings),
    )


def _named(finding: Finding, names: Mapping[str, Sequence[str]]) -> Finding:
    """Return a finding with the name of the command's number that it concerns."""
    before = f"{finding.where}: "
    return replace(finding, text=with_name(before + finding.text, names).removeprefix(before))


def _fastest(inputs: Sequence[InputReadings]) -> float:
    rates = [cadence(times_of(one)).rate_hz for one in inputs]
    return max((rate for rate in rates if 0 < rate < np.inf), default=DEFAULT_HZ)


def _input_report(found: InputReadings, inputs: Sequence[InputReadings], alignment: Alignment | None) -> InputReport:
    rhythm, name = cadence(times_of(found)), found.name
    return InputReport(
        name=name,
        topic=found.topic.name if found.topic else None,
        type=found.source.type,
        messages=found.topic.count if found.topic else 0,
        used=len(found.received_s),
        rate_hz=rhythm.rate_hz,
        jitter_s=rhythm.jitter_s,
        longest_gap_s=rhythm.longest_gap_s,
        age_s=alignment.ages_s[name] if alignment else None,
        stale=alignment.stale[name] if alignment else None,
        repeats=alignment.repeats[name] if alignment else None,
        skipped=alignment.skipped[name] if alignment else None,
        entries=tuple(_entry_reports(found, inputs)),
    )


def _entry_reports(found: InputReadings, inputs: Sequence[InputReadings]) -> Iterable[EntryReport]:
    is_array = found.source.array is not None
    for index, (entry, feature) in enumerate(zip(found.source.entries, found.features, strict=True)):
        values = found.values if is_array else found.values[:, index : index + 1]
        less = None if is_array else difference(inputs, found, index)
        report = _entry_report(feature.name, feature.unit, values if less is None else less[:, None], is_array=is_array)
        yield replace(report, minus=entry.minus, hidden=entry.hidden)


def _command_reports(found: CommandReadings) -> Iterable[EntryReport]:
    for index, entry in enumerate(found.command.entries if len(found.values) else ()):
        yield _entry_report(entry.name, entry.unit, found.values[:, index : index + 1])


def _entry_report(name: str, unit: str, values: np.ndarray, *, is_array: bool = False) -> EntryReport:
    if not values.size:
        return EntryReport(name, unit, None, None, None, None)
    newest = None if is_array else float(values[-1, 0])
    mean = None if is_array else float(values.mean())
    return EntryReport(name, unit, float(values.min()), float(values.max()), mean, newest)
