"""The report as one self-contained page: tables, figures, machine, policies; gaps in red."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vdd_ros import __version__
from vdd_ros.evaluation.latency import markup
from vdd_ros.evaluation.latency.agreement import Agreement, Spread
from vdd_ros.evaluation.latency.figures import Drawing
from vdd_ros.evaluation.latency.report import BagReport, Report
from vdd_ros.evaluation.latency.summary import NodeReport
from vdd_ros.evaluation.latency.tables import (
    density_rows,
    describe_confidence,
    describe_counters,
    describe_node,
    describe_slowdown,
    describe_states,
    distance_rows,
    format_repeated,
    micro,
)
from vdd_ros.evaluation.plots import THIN, duration, significant
from vdd_ros.files import replacing

MACHINE = (
    *("cpu", "cores", "governor", "kernel", "preempt_rt", "clock_source", "rtprio_limit", "memlock_limit", "load"),
    *("provider", "binding", "intra_op_threads", "inter_op_threads"),
)
_SECTIONS: tuple[tuple[str, str, Sequence[str]], ...] = (
    ("machine", "machine", MACHINE),
    ("jitter floor", "jitter_floor", ("p50_s", "p99_s", "max_s")),
    ("version", "versions", ()),
    ("ROS", "ros", ()),
)
"""Title, key in `~/policy_info`, and names of the facts shown; none: all of them."""
LIMITS = ("rtprio_limit", "memlock_limit")
UNLIMITED = -1
"""The kernel's number for no limit."""
POLICY = (
    *("structure", "method", "kind", "policy", "policy_sha256", "warnings", "sampling_steps", "rate_hz"),
    *("expert", "noise", "control", "wake_early_s"),
)
_SPREAD_TITLES = ("mean", "95 % interval", "5 %", "50 %", "95 %")


def write_page(file: Path, report: Report, drawings: Sequence[Drawing]) -> None:
    """Write the page, whole or not at all.

    Args:
        file: The HTML file.
        report: Content of the tables.
        drawings: The figures.
    """
    with replacing(file) as aside:
        aside.write_text(page(report, drawings), encoding="utf-8")


def page(report: Report, drawings: Sequence[Drawing]) -> str:
    """Return the page."""
    parts = [markup.HEAD, markup.heading("Latency and agreement", 1), _completeness(report)]
    for bag in report.bags:
        parts.append(_bag(bag))
    if report.repeats:
        parts.append(_repeats(report))
    parts.append(markup.heading("Figures"))
    parts += [markup.picture(drawing.png, drawing.caption) for drawing in drawings]
    parts += [_facts(report), markup.paragraph(f"vdd_ros {__version__}", "note"), markup.TAIL]
    return "".join(parts)


def _completeness(report: Report) -> str:
    if not report.gaps:
        return markup.paragraph("Every tick and every decision is in the record.", "fine")
    return "".join(markup.paragraph(f"gap in the record: {gap}", "gap") for gap in report.gaps)


def _bag(bag: BagReport) -> str:
    parts = [markup.heading(str(bag.bag))]
    parts += [_node(node) for node in bag.latency.nodes]
    for found in bag.latency.comparisons:
        low, high = found.interval
        parts.append(
            markup.paragraph(
                f"The inference of {found.teacher} takes {found.ratio:.1f} times ({low:.1f} to {high:.1f}) as long as "
                f"that of {found.student}: {found.steps} passes against one."
            )
        )
    note = f"The first {bag.latency.warmup} ticks of each node are left out; intervals are those of the median, 95 %."
    parts.append(markup.paragraph(note, "note"))
    parts += [_agreement(agreed.agreement) for agreed in bag.agreed]
    parts += [markup.paragraph(reason, "note") for reason in bag.left_out]
    return "".join(parts)


def _node(node: NodeReport) -> str:
    rows = []
    for name, stage in node.stages.items():
        p50, low, high, p95, p99 = map(micro, (stage.p50, *stage.p50_interval, stage.p95, stage.p99))
        rows.append((name, str(stage.count), p50, f"{low} to {high}", p95, p99))
    titles = ("stage (µs)", "n", "p50", "interval", "p95", "p99")
    gap = markup.paragraph(node.gaps, "gap") if node.gaps else ""
    counted = markup.paragraph(text) if (text := describe_counters(node)) else ""
    head = markup.heading(node.node, 3) + markup.paragraph(describe_node(node)) + counted + gap
    return head + markup.table(titles, rows)


def _agreement(found: Agreement) -> str:
    unit = f" ({found.unit})" if found.unit else ""
    parts = [
        markup.heading(f"{found.other} beside {found.student}", 3),
        markup.paragraph(f"{found.pairs} decisions within half a period of one another."),
        markup.table((f"distance of actions{unit}", *_SPREAD_TITLES), [_spread(*row) for row in distance_rows(found)]),
    ]
    if found.same is not None:
        title = f"log density of {found.student} (nats)"
        parts.append(markup.table((title, *_SPREAD_TITLES), [_spread(*row) for row in density_rows(found)]))
        parts.append(markup.paragraph(describe_states(found), "note"))
    if found.note:
        parts.append(markup.paragraph(found.note, "note"))
    return "".join(parts)


def _spread(title: str, spread: Spread) -> tuple[str, ...]:
    low, high = spread.mean_interval
    numbers = map(significant, (spread.p5, spread.p50, spread.p95))
    return (title, significant(spread.mean), f"{significant(low)} to {significant(high)}", *numbers)


def _repeats(report: Report) -> str:
    parts = [markup.heading("Alone and together")]
    names = list(report.repeats[0].stages)
    rows = []
    for found in report.repeats:
        cells = [format_repeated(found.stages[name]["p50"]) for name in names]
        rows.append((found.node, found.condition, str(found.count), *cells, ", ".join(map(str, found.deadline_misses))))
    parts.append(markup.table(("node", "", "bags", *(f"{name}, p50, µs" for name in names), "deadlines missed"), rows))
    parts += [markup.paragraph(describe_slowdown(slowdown)) for slowdown in report.slowdowns]
    counts = sorted({(found.count, found.confidence) for found in report.repeats})
    note = f"Median of the bags, in brackets an interval from their order statistics: {describe_confidence(counts)}."
    parts.append(markup.paragraph(note, "note"))
    return "".join(parts)


def _facts(report: Report) -> str:
    """Return the tables of policies and machines, each node of each bag once, and the hosts' refusals."""
    nodes = {node.node: node for bag in report.bags for node in bag.latency.nodes}
    infos = {name: node.info for name, node in nodes.items()}
    parts = [markup.heading("Policies and machine"), _table("policy", infos, POLICY)]
    for title, key, names in _SECTIONS:
        facts = {name: _section(info.get(key)) for name, info in infos.items()}
        parts.append(
            _table(title, facts, names or list(dict.fromkeys(name for known in facts.values() for name in known)))
        )
    for node, info in infos.items():
        refused = info.get("refused")
        for text in refused if isinstance(refused, list) else ():
            parts.append(markup.paragraph(f"{node}: {text}", "gap"))
    return "".join(parts)


def _table(title: str, facts: dict[str, dict[str, Any]], names: Sequence[str]) -> str:
    """Return a table of facts about each node; empty without names."""
    rows = [(_title(name), *(_fact(known, name) for known in facts.values())) for name in names]
    return markup.table((title, *facts), rows) if rows else ""


def _section(value: Any) -> dict[str, Any]:
    """Return a part of a node's description: names to values; a single value has an empty name."""
    if isinstance(value, dict):
        return value
    return {} if value is None else {"": value}


def _title(name: str) -> str:
    """Return the name of a fact without its unit, which the value shows."""
    return name.removesuffix("_s").removesuffix("_hz")


def _fact(known: dict[str, Any], name: str) -> str:
    value = known.get(name)
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(name, value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(name: str, value: float) -> str:
    """Return a number with its unit, derived from the fact's name."""
    if name in LIMITS and value == UNLIMITED:
        return "unlimited"
    if name == "memlock_limit":
        return f"{significant(value / 2**20)}{THIN}MiB"
    if name.endswith("_s"):
        return duration(value)
    if name.endswith("_hz"):
        return f"{significant(value, 4)}{THIN}Hz"
    return str(value) if isinstance(value, int) else significant(value)
