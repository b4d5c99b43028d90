"""The report of a robot check as text for a terminal."""

from collections.abc import Iterator

from vdd_ros.evaluation.robot_check.report import EntryReport, InputReport, RobotReport
from vdd_ros.text import counted, printable

_ENTRY = "    {:<{width}}{:<8}{:>12}{:>12}{:>12}{:>12}"
_WIDTH, _NAME = 34, 60
"""Width of the column of names, unless a name is longer; characters of a name."""


def report_text(report: RobotReport) -> str:
    """Return inputs, command and findings of a report."""
    lines = []
    for one in report.inputs:
        lines += [*_input(one), ""]
    lines += _command(report)
    if report.spread_s is not None:
        spread = report.spread_s
        lines.append(
            f"{report.ticks:,} ticks at {report.rate_hz:.4g} Hz; between oldest and newest input: "
            f"p50 {_ms(spread.median)}, p95 {_ms(spread.most)}, most {_ms(spread.max)}"
        )
    else:
        lines.append("no tick with a value of every input")
    lines += ["", *(f"{one.level:<8} {one.where}: {one.text}" for one in report.findings)]
    warnings = sum(one.level == "warning" for one in report.findings)
    lines.append(f"{counted(report.errors, 'error')}, {counted(warnings, 'warning')}")
    return "\n".join(lines)


def _input(one: InputReport) -> Iterator[str]:
    topic = printable(one.topic or "no topic")
    yield f"input {printable(one.name)}: {topic} ({one.type}), {one.used:,} of {one.messages:,} messages"
    if one.used:
        about = f"  {one.rate_hz:.4g} Hz, jitter {_ms(one.jitter_s)}, longest gap {_ms(one.longest_gap_s)}"
        if one.age_s is not None:
            about += f"; age p50 {_ms(one.age_s.median)}, p95 {_ms(one.age_s.most)}, most {_ms(one.age_s.max)}"
            about += f"; {100 * (one.repeats or 0):.0f} % of ticks see an old value again"
        yield about
        yield from _entries(one.entries)


def _command(report: RobotReport) -> Iterator[str]:
    if report.command:
        yield f"recorded commands: {report.commands:,}"
        yield from _entries(report.command)
        yield ""


def _entries(entries: tuple[EntryReport, ...]) -> Iterator[str]:
    names = [printable(_name(entry), _NAME) for entry in entries]
    width = max([_WIDTH, *(len(name) + 2 for name in names)])
    yield _ENTRY.format("", "unit", "least", "most", "mean", "newest", width=width)
    for name, entry in zip(names, entries, strict=True):
        numbers = ["" if v is None else f"{v:.5g}" for v in (entry.low, entry.high, entry.mean, entry.newest)]
        yield _ENTRY.format(name, printable(entry.unit, 7), *numbers, width=width)


def _name(entry: EntryReport) -> str:
    return entry.name + (" (hidden)" if entry.hidden else f" (minus {entry.minus})" if entry.minus else "")


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
