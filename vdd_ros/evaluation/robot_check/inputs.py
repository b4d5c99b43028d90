"""Problems of a robot file's inputs in a recording, without a policy."""

from collections.abc import Iterator, Sequence

import numpy as np

from vdd_ros.bags.topics import Topic
from vdd_ros.evaluation.alignment import Alignment, InputTimes, cadence
from vdd_ros.evaluation.robot_check.findings import ERROR, NOTE, WARNING, Finding
from vdd_ros.evaluation.robot_check.readings import InputReadings
from vdd_ros.evaluation.robot_check.topics import missing_topic
from vdd_ros.robot.quantities import spaced
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.text import counted, printable

MOST_STALE = 0.01
"""Share of ticks with a stale input from which it is an error: the policy would stop repeatedly."""
FEW = 2
_TURN = 4 * np.pi


def times_of(found: InputReadings) -> InputTimes:
    """Return the times of an input's values."""
    return InputTimes(found.dated_s, found.received_s, found.source.max_age_s)


def input_findings(found: InputReadings, topics: Sequence[Topic]) -> Iterator[Finding]:
    """Yield problems of one input, from its topic to its values."""
    where = f"inputs.{found.name}"
    source, topic = found.source, found.topic
    if topic is None:
        missing = missing_topic(source.topic, source.type, topics)
        yield Finding(ERROR, f"{where}.topic", f"{source.topic} is {missing}")
    elif topic.type != source.type:
        text = f"is {source.type}, but {topic.name} carries {printable(topic.type) or 'a type that is not named'}"
        yield Finding(ERROR, f"{where}.type", f"{text}; correct the type, or the topic")
    elif found.problem:
        yield Finding(ERROR, where, found.problem.removeprefix(f"{where}: "))
    elif not topic.count:
        yield Finding(ERROR, f"{where}.topic", f"no message on {topic.name}: does its publisher run?")
    else:
        yield from _refusals(found, topic.count, where)
        if len(found.received_s):
            yield from _stamps(found, where)
            yield from _gaps(found, where)
            yield from _values(found, where)


def alignment_findings(robot: RobotFile, found: Alignment, rate_hz: float, *, wanted: bool) -> Iterator[Finding]:
    """Yield problems of the inputs at the ticks.

    Args:
        robot: The robot file.
        found: The alignment.
        rate_hz: Rate of the ticks.
        wanted: Whether a policy or the caller requires this rate.
    """
    kept = [source.name for source in robot.inputs if source.is_kept]
    if robot.max_skew_s is not None and found.spread_s.max > robot.max_skew_s:
        spread, often = found.spread_s, found.spread_s.most > robot.max_skew_s
        text = f"is {1e3 * robot.max_skew_s:.4g} ms, but at the ticks the newest stamps of the inputs are "
        text += f"{1e3 * spread.median:.4g} ms apart (p95 {1e3 * spread.most:.4g}, most {1e3 * spread.max:.4g})"
        mend = "the node then commands nothing; find out which input is late, or allow more"
        yield Finding(ERROR if often else WARNING, "max_skew_s", f"{text}; {mend}")
    for name, share in found.stale.items():
        if share > 0 and name in kept:
            text = f"is older than max_age_s at {100 * share:.1f} % of the ticks; its last value is then kept"
            yield Finding(NOTE, f"inputs.{name}.max_age_s", text)
        elif share > 0:
            text = f"is older than max_age_s at {100 * share:.1f} % of {found.ticks:,} ticks at {rate_hz:.4g} Hz"
            level = ERROR if share > MOST_STALE else WARNING
            mend = "the node then commands nothing; find out why it is late, or allow more"
            yield Finding(level, f"inputs.{name}.max_age_s", f"{text}; {mend}")
    for name, share in found.repeats.items():
        if wanted and share > 0.5 and name not in kept:
            text = f"has no new value at {100 * share:.0f} % of the ticks at {rate_hz:.4g} Hz: it is slower"
            yield Finding(WARNING, f"inputs.{name}", f"{text} than the policy, which sees its last value again")


def _refusals(found: InputReadings, count: int, where: str) -> Iterator[Finding]:
    nothing = not len(found.received_s)
    level = ERROR if nothing else WARNING
    for reason, times in found.refused.items():
        yield Finding(level, where, f"{times:,} of {count:,} messages are refused: {reason}")
    for entry, times in found.unusable.items():
        text = f"is not finite in {times:,} of {count:,} messages, which are refused; correct the publisher"
        yield Finding(level, f"{where}.entries.{entry}", text)
    if found.other_joints:
        items = found.source.message.items
        text = f"{found.other_joints:,} of {count:,} messages have none of its {items}, but {found.joints}"
        named = "joints" if items == "joints" else "frames"
        mend = f"; correct the names of the {named}, or the topic" if nothing else ", and are skipped"
        yield Finding(ERROR if nothing else NOTE, where, text + mend)


def _stamps(found: InputReadings, where: str) -> Iterator[Finding]:
    if found.source.stamp == "arrival":
        return
    stamped, count = ~np.isnan(found.stamped_s), len(found.stamped_s)
    if not stamped.any():
        yield Finding(NOTE, where, "has no stamps, or only zero: each value is dated by its receipt")
        return
    if not stamped.all():
        text = f"{int((~stamped).sum()):,} of {count:,} stamps are zero; these values are dated by their receipt"
        yield Finding(WARNING, where, text)
    lag = found.received_s - found.dated_s
    if (off := int((np.abs(lag) > found.source.max_age_s).sum())) > 0:
        median = float(np.median(lag))
        text = f"{off:,} of {count:,} stamps differ from the time of receipt by more than max_age_s"
        text += f" (median {abs(median):.3g} s {'older' if median > 0 else 'in the future'}), and are refused"
        mend = "synchronise the clocks, or write `stamp: arrival`"
        yield Finding(ERROR if off > MOST_STALE * count else WARNING, f"{where}.stamp", f"{text}; {mend}")
    if (back := int((np.diff(found.dated_s) <= 0).sum())) > 0:
        text = f"{back:,} of {count:,} stamps are not newer than the previous one, and are refused"
        mend = "two publishers on one topic, or a clock that goes back?"
        yield Finding(ERROR if back > MOST_STALE * count else WARNING, where, f"{text}: {mend}")


def _gaps(found: InputReadings, where: str) -> Iterator[Finding]:
    if len(found.received_s) < FEW:
        yield Finding(WARNING, where, "only one message: the rate is unknown")
        return
    rhythm = cadence(times_of(found))
    if found.source.is_kept:
        return
    if rhythm.rate_hz * found.source.max_age_s < 1:
        text = f"is {found.source.max_age_s:g} s, less than the {1 / rhythm.rate_hz:.3g} s between messages"
        yield Finding(ERROR, f"{where}.max_age_s", f"{text}: the input is stale at all times; allow several periods")
    elif rhythm.gaps:
        text = f"has {counted(rhythm.gaps, 'gap')} above max_age_s, the longest {rhythm.longest_gap_s:.3g} s"
        yield Finding(WARNING, where, f"{text}; the history restarts after each")


def _values(found: InputReadings, where: str) -> Iterator[Finding]:
    constants = {entry.name for entry in found.source.entries if entry.constant is not None}
    for feature, values in zip(found.features, found.values.T, strict=False):
        at = f"{where}.entries.{feature.name}"
        constant = feature.name in constants
        if len(values) >= FEW and found.source.array is None and np.ptp(values) == 0 and not constant:
            yield Finding(NOTE, at, f"is {values[0]:.6g}{spaced(feature.unit)} in all {len(values):,} messages")
        if feature.unit == "rad" and np.abs(values).max() > _TURN and found.source.array is None:
            text = f"reaches {np.abs(values).max():.4g} rad, more than two turns: does the message carry degrees?"
            yield Finding(WARNING, f"{at}.unit", text)
