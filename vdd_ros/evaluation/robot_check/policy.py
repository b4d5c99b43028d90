"""Compares a recording with a policy: order, units, signs, ranges and novelty of its observations and actions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.evaluation.alignment import following_at, newest_at, ticks_of
from vdd_ros.evaluation.novelty.probes import novelty_of
from vdd_ros.evaluation.preflight.joint_order import wrong_order
from vdd_ros.evaluation.preflight.moments import Floats, Moments
from vdd_ros.evaluation.preflight.ranges import dead, outside
from vdd_ros.evaluation.preflight.scales import FACTORS, SIGN, ScaleFault, wrong_scales
from vdd_ros.evaluation.robot_check.commands import CommandReadings
from vdd_ros.evaluation.robot_check.findings import ERROR, NOTE, WARNING, Finding
from vdd_ros.evaluation.robot_check.inputs import times_of
from vdd_ros.evaluation.robot_check.readings import InputReadings
from vdd_ros.evaluation.robot_check.windows import observed_at
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.policy.spec_settings import UNKNOWN_STATISTICS
from vdd_ros.recordings.sampler import DELAY_PERIODS
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.quantities import spaced
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.text import printable

LEAST_VALUES = 10
"""Number of values of an entry from which its mean and deviation are compared."""
MOST_OUTSIDE = 0.01
MOST_NOVEL = 0.05


@dataclass(frozen=True)
class _Entry:
    """One entry of the policy: its feature, its source, its recorded values and its statistics."""

    feature: Feature
    group: str
    where: str
    values: Floats
    mean: float
    std: float


def policy_findings(
    robot: RobotFile,
    policy: OnnxPolicy,
    inputs: Sequence[InputReadings],
    last_commands: Sequence[InputReadings],
    commands: Sequence[CommandReadings],
) -> Iterator[Finding]:
    """Yield findings about a policy from a recording, before it runs on the robot.

    Args:
        robot: The robot file, checked against the policy.
        policy: The policy.
        inputs: Readings of the robot file's inputs, in the policy's units.
        last_commands: Readings of its last commands.
        commands: The recorded commands.
    """
    spec = policy.spec
    if unknown := _unknown(spec):
        names = "its observations" if len(unknown) == spec.obs_dim else printable(", ".join(unknown))
        text = f"has no statistics of {names}: their order, units and ranges are not checked"
        yield Finding(NOTE, "policy", text)
    ticks = ticks_of([times_of(one) for one in inputs], spec.rate_hz)
    window = observed_at(ticks, robot, spec, inputs, last_commands)
    observed = list(_observed(spec, [*inputs, *last_commands], window))
    yield from _order(observed)
    yield from _values(observed)
    if policy.spec.novelty is not None and len(window):
        yield from _novelty(policy, window)
    yield from _scales(list(_acted(robot, spec, ticks, window, commands)), "the recorded actions")


def _unknown(spec: PolicySpec) -> list[str]:
    """Return the entries whose statistics are unknown: named by the file, or all if means are 0 and deviations 1."""
    given = spec.settings.get(UNKNOWN_STATISTICS, [])
    if not any(spec.statistics.observation_mean) and all(std == 1 for std in spec.statistics.observation_std):
        return [feature.name for feature in spec.vector]
    return [str(name) for name in given] if isinstance(given, list) else []


def _observed(spec: PolicySpec, readings: Sequence[InputReadings], window: Floats) -> Iterator[_Entry]:
    """Yield each single number with enough values; differences come from the observations at the ticks."""
    places = {feature.name: index for index, feature in enumerate(spec.vector)}
    unknown = _unknown(spec)
    for one in readings:
        for entry, column in zip(one.source.entries, one.values.T, strict=False):
            if entry.shape or entry.hidden or entry.constant is not None or entry.name in unknown:
                continue
            index = places[entry.name]
            values = column if entry.minus is None else window[:, index]
            if len(values) >= LEAST_VALUES:
                mean, std = spec.statistics.observation_mean[index], spec.statistics.observation_std[index]
                where = f"inputs.{one.name}.{entry.at}"
                yield _Entry(spec.vector[index], one.name, where, values, mean, std)


def _acted(
    robot: RobotFile, spec: PolicySpec, ticks: Floats, window: Floats, commands: Sequence[CommandReadings]
) -> Iterator[_Entry]:
    """Yield the actions of the commands that followed observations, (ticks, obs_dim), as demonstrations have them."""
    if not all(len(one.received_s) for one in commands):
        return
    places = np.array([_followed_by(one, robot, ticks, 1 / spec.rate_hz) for one in commands])
    known = (places >= 0).all(0)
    if known.sum() < LEAST_VALUES:
        return
    seen = window[known]
    sent = np.hstack([one.values[place[known]] for one, place in zip(commands, places, strict=True)])
    channel = CommandChannel(robot.commands, spec.vector, spec.action)
    actions = np.zeros((len(seen), spec.act_dim))
    for row, (values, observation) in enumerate(zip(sent, seen, strict=True)):
        channel.to_action(values, observation, actions[row], sent[row - 1] if row else None)
    where = f"{robot.commands[0].path}.entries" if len(robot.commands) == 1 else "commands"
    for index, feature in enumerate(spec.action):
        mean, std = spec.statistics.action_mean[index], spec.statistics.action_std[index]
        yield _Entry(feature, "command", where, actions[:, index], mean, std)


def _followed_by(one: CommandReadings, robot: RobotFile, ticks: Floats, period_s: float) -> NDArray[np.int64]:
    """Return the index of the command that belongs to each tick, -1 without any; see `RecordedCommands`."""
    rules = robot.demonstrations
    recorded = rules.commands.get(one.command.name)
    if recorded is not None and recorded.keep_last:
        return newest_at(one.received_s, ticks + period_s)
    return following_at(one.received_s, ticks, rules.max_delay_s or DELAY_PERIODS * period_s)


def _moments(entries: Sequence[_Entry]) -> tuple[Moments, Moments]:
    """Return recorded and demonstrated moments."""
    each = [Moments.of(entry.values[:, None]) for entry in entries]
    found = Moments(np.concatenate([one.mean for one in each]), np.concatenate([one.std for one in each]))
    return found, Moments(np.array([e.mean for e in entries]), np.array([e.std for e in entries]))


def _order(entries: list[_Entry]) -> Iterator[Finding]:
    if len(entries) < 2:
        return
    found, wanted = _moments(entries)
    for cycle in wrong_order(found, wanted, [entry.feature.unit for entry in entries]):
        pairs = zip(cycle.entries, cycle.values_of, strict=True)
        text = ", ".join(f"{entries[to].feature.name} like {entries[of].feature.name}" for to, of in pairs)
        first = entries[cycle.entries[0]].where
        mend = f"is the order of the joints right? The demonstrations fit better by {cycle.gain:.0f} nats with"
        yield Finding(WARNING, first, f"{mend} the values exchanged: {text}")


def _values(entries: list[_Entry]) -> Iterator[Finding]:
    """Yield wrong units and signs, dead entries, and values outside the demonstrations that these do not explain."""
    reported: set[str] = set()
    for finding, fault in _faults(entries, "the recorded values"):
        reported |= {entries[index].feature.name for index in fault.entries}
        yield finding
    for entry in entries:
        if entry.feature.name in reported:
            continue
        values, wanted = entry.values[:, None], Moments(np.array([entry.mean]), np.array([entry.std]))
        low, high = np.array([entry.feature.low]), np.array([entry.feature.high])
        share = float(outside(values, wanted, low, high)[0])
        unit = entry.feature.unit
        if dead(values)[0] and (entry.mean, entry.std) != (0.0, 1.0):  # which means that it never was anything else
            text = f"is exactly 0 in all {len(values):,} messages; demonstrations had {_about(entry)}. Does the driver"
            yield Finding(WARNING, entry.where, f"{text} measure it?")
        elif share > MOST_OUTSIDE:
            text = f"{100 * share:.1f} % of the values lie outside the demonstrations, which had {_about(entry)}; they"
            text += f" reach from {values.min():.5g} to {values.max():.5g}{spaced(unit)}"
            yield Finding(WARNING, entry.where, text)


def _scales(entries: list[_Entry], what: str) -> Iterator[Finding]:
    for finding, _ in _faults(entries, what):
        yield finding


def _faults(entries: list[_Entry], what: str) -> Iterator[tuple[Finding, ScaleFault]]:
    """Yield each fault of unit or sign with the entries concerned."""
    if not entries:
        return
    found, wanted = _moments(entries)
    units, groups = [entry.feature.unit for entry in entries], [entry.group for entry in entries]
    for fault in wrong_scales(found, wanted, units, groups):
        names = ", ".join(entries[index].feature.name for index in fault.entries)
        first = entries[fault.entries[0]]
        text = f"{what} of {names} {FACTORS[fault.factor]} They have {found.mean[fault.entries[0]]:.5g} ± "
        text += f"{found.std[fault.entries[0]]:.3g}{spaced(first.feature.unit)} on average, demonstrations had "
        text += _about(first)
        level = WARNING if fault.factor == SIGN else ERROR
        yield Finding(level, first.where, text), fault


def _novelty(policy: OnnxPolicy, window: Floats) -> Iterator[Finding]:
    calibrated = policy.spec.novelty
    if calibrated is None:
        return
    beyond = float((novelty_of(policy, window) > calibrated.bound).mean())
    text = f"{100 * beyond:.1f} % of {len(window):,} observations are out of distribution, by the policy's own density;"
    expected = f"of demonstrations it is {100 * (1 - calibrated.quantile):.2g} %"
    yield Finding(WARNING if beyond > MOST_NOVEL else NOTE, "policy", f"{text} {expected}")


def _about(entry: _Entry) -> str:
    return f"{entry.mean:.5g} ± {entry.std:.3g}{spaced(entry.feature.unit)}"
