"""The record of a conversion as text."""

import math
from collections import Counter

from vdd_ros.recordings.alignment import Alignment, Spread, TopicAlignment
from vdd_ros.recordings.record import ConversionRecord
from vdd_ros.text import counted, printable

_MS = 1e3
_LEFT_OUT_SHOWN = 50
_NAME = 60


def format_left_out(record: ConversionRecord) -> str:
    """Return one line for each episode that was left out; empty without any."""
    left_out = record.left_out
    lines = [f"  {printable(one.name, _NAME)}: {one.reason}" for one in left_out[:_LEFT_OUT_SHOWN]]
    if len(left_out) > _LEFT_OUT_SHOWN:
        lines.append(f"  and {len(left_out) - _LEFT_OUT_SHOWN} more; the record has all of them")
    return "\n".join([f"left out: {len(left_out)}", *lines]) if lines else ""


def format_alignment(alignment: Alignment) -> str:
    """Return a table of inputs and commands: rates, times, repeats, drops, refusals."""
    rows: list[tuple[str, ...]] = [("", "Hz", "ms: median", "95 %", "most", "repeats", "drops", "refused")]
    rows += [_row(f"{name}, age", topic) for name, topic in alignment.inputs.items()]
    rows.append(("spread of inputs", "", *_times(alignment.spread_s), "", "", ""))
    rows += [_row(f"{name}, delay", topic) for name, topic in alignment.commands.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(["alignment: times of the worst episode, counts of all", *lines, *_remarks(alignment)])


def format_limits(record: ConversionRecord) -> str:
    """Return one line for each number that was commanded outside the robot file's limits; empty without any."""
    totals: dict[str, int] = {}
    for episode in record.episodes:
        for name, count in episode.outside_limits.items():
            totals[name] = totals.get(name, 0) + count
    return "\n".join(
        f"warning: {printable(name)} was commanded outside low and high of the robot file {counted(count, 'time')}; "
        "the policy node will limit it"
        for name, count in totals.items()
    )


def format_divided(record: ConversionRecord) -> str:
    """Return one line for each part of an episode that follows an interruption; empty if none."""
    parts = [one for one in record.episodes if one.interrupted]
    lines = [f"  {printable(one.name, _NAME)}: {one.interrupted}" for one in parts[:_LEFT_OUT_SHOWN]]
    if len(parts) > _LEFT_OUT_SHOWN:
        lines.append(f"  and {len(parts) - _LEFT_OUT_SHOWN} more; the record has all of them")
    return "\n".join(["divided; interrupted before", *lines]) if lines else ""


def format_awaited(record: ConversionRecord) -> str:
    """Return the inputs and commands that episodes waited for, with the number of episodes; empty if none."""
    counts = Counter(one.awaited for one in record.episodes if one.awaited)
    return ", ".join(
        f"{printable(name)} ({count} episode{'s' if count > 1 else ''})" for name, count in counts.most_common()
    )


def format_cut(record: ConversionRecord) -> str:
    """Return a warning if more was cut off before the episodes than remains of them."""
    cut_s = sum(episode.cut_s[0] for episode in record.episodes)
    left_s = sum(episode.pairs for episode in record.episodes) / record.rate_hz
    if cut_s <= left_s:
        return ""
    awaited = format_awaited(record)
    what = f". They waited for the first message of {awaited}" if awaited else ""
    return (
        f"warning: {cut_s:.1f} s before the episodes were cut off, more than the remaining {left_s:.1f} s: an "
        f"episode begins once every input has a value and every command has been sent{what}. If a command is sent only "
        "on changes, record one at the beginning too"
    )


def _row(name: str, topic: TopicAlignment) -> tuple[str, ...]:
    rate = "–" if math.isnan(topic.rate_hz) else f"{topic.rate_hz:.1f}"
    counts = (f"{count:,}" for count in (topic.repeats, topic.drops, topic.refused))
    return (printable(name, _NAME), rate, *_times(topic.time_s), *counts)


def _times(spread: Spread) -> tuple[str, ...]:
    return tuple(
        "–" if math.isnan(time_s) else f"{_MS * time_s:.1f}" for time_s in (spread.median, spread.most, spread.max)
    )


def _remarks(alignment: Alignment) -> list[str]:
    """Describe refused and unstamped messages."""
    topics = {**alignment.inputs, **alignment.commands}
    remarks = [
        f"  {printable(name)}: {topic.refused:,} of {topic.messages:,} messages refused, first: {topic.refusals}"
        for name, topic in topics.items()
        if topic.refused
    ]
    return remarks + [
        f"  {printable(name)}: {counted(topic.unstamped, 'message')} without a stamp, dated by receipt"
        for name, topic in topics.items()
        if topic.unstamped
    ]
