"""The tables that `vdd latency` prints."""

from vdd_ros.evaluation.latency.agreement import Agreement, Spread
from vdd_ros.evaluation.latency.intervals import Repeated
from vdd_ros.evaluation.latency.policies import method_of
from vdd_ros.evaluation.latency.repeats import NodeRepeats, Slowdown
from vdd_ros.evaluation.latency.report import Report
from vdd_ros.evaluation.latency.summary import JITTER, SENSOR_TO_COMMAND, LatencyReport, NodeReport
from vdd_ros.evaluation.plots import significant
from vdd_ros.text import printable

_ROW = "  {:<{width}}{:>7}{:>10} {:<20}{:>10}{:>10}"
_STAGE = 18
"""Width of the column of stages, unless the name of an input is longer."""
_REPEATS = (("inference", "p50"), ("total", "p50"), ("total", "p99"), (JITTER, "p99"), (SENSOR_TO_COMMAND, "p50"))
_REPEAT_ROW = "  {:<18}{:<10}{:>5}" + "{:>28}" * len(_REPEATS) + "  {}"
_SPREAD_ROW = "  {:<58}{:>10} {:<20}{:>10}{:>10}"


def format_report(report: Report) -> str:
    """Return the first bag as tables, one line for each node of the others, and the repeats."""
    first, *others = report.bags
    blocks = [f"{first.bag}\n\n{format_table(first.latency)}" if others else format_table(first.latency)]
    blocks += [format_agreement(agreed.agreement) for agreed in first.agreed]
    blocks += first.left_out
    lines = [
        f"{printable(bag.bag)}: {printable(node.node)}: "
        + "; ".join(filter(None, (describe_node(node), describe_counters(node))))
        for bag in others
        for node in bag.latency.nodes
    ]
    if lines:
        blocks.append("\n".join(lines))
    if report.repeats:
        blocks.append(format_repeats(report.repeats, report.slowdowns))
    return "\n\n".join(blocks)


def format_table(report: LatencyReport) -> str:
    """Return the table of one bag."""
    blocks = [_format_node(node) for node in report.nodes]
    for found in report.comparisons:
        low, high = found.interval
        blocks.append(
            f"the inference of {found.teacher} takes {found.ratio:.1f} times ({low:.1f} to {high:.1f}) as long as that "
            f"of {found.student}: {found.steps} passes against one\n"
            f"all that is not inference in a tick of {found.student}: median {micro(found.student_overhead_s)} µs"
        )
    blocks.append(f"the first {report.warmup} ticks are left out; in brackets the 95 % interval of the median")
    return "\n\n".join(blocks)


def format_repeats(repeats: list[NodeRepeats], slowdowns: list[Slowdown]) -> str:
    """Return the table over several bags."""
    titles = [f"{stage} {name}" for stage, name in _REPEATS]
    rows = ["over the bags, µs", _REPEAT_ROW.format("node", "", "bags", *titles, "deadlines missed")]
    for found in repeats:
        cells = [format_repeated(found.stages[stage][name]) for stage, name in _REPEATS]
        misses = ", ".join(map(str, found.deadline_misses))
        rows.append(_REPEAT_ROW.format(found.node, found.condition, found.count, *cells, misses))
    rows += [describe_slowdown(slowdown) for slowdown in slowdowns]
    counts = sorted({(found.count, found.confidence) for found in repeats})
    rows.append(
        "median of the bags, in brackets an interval from their order statistics: " + describe_confidence(counts)
    )
    return "\n".join(rows)


def describe_confidence(counts: list[tuple[int, float]]) -> str:
    """Return the confidence of the intervals in words."""
    known = [f"{100 * confidence:.3g} % of {count} bags" for count, confidence in counts if count > 1]
    return ", ".join(known) or "none from a single bag"


def describe_slowdown(found: Slowdown) -> str:
    """Return the ratio of a node's times together to those alone, in words."""
    inference, total = (format_repeated(ratio, 1.0, 2) for ratio in (found.inference, found.total))
    return f"{found.node} takes {inference} times as long together as alone for inference, {total} for the whole tick"


def format_agreement(found: Agreement) -> str:
    """Return the table of two nodes."""
    unit = f" ({printable(found.unit)})" if found.unit else ""
    head = f"actions of {found.other} beside those of {found.student}: {found.pairs} decisions within half a period"
    rows = [head, _SPREAD_ROW.format(f"distance{unit}", "mean", "", "p50", "p95")]
    rows += [_spread_row(title, spread) for title, spread in distance_rows(found)]
    if found.same is not None:
        rows.append(_SPREAD_ROW.format(f"{found.student}'s log density (nats)", "mean", "", "p50", "p95"))
        rows += [_spread_row(title, spread) for title, spread in density_rows(found)]
        rows.append("  " + describe_states(found))
    if found.note:
        rows.append(f"  {found.note}")
    return "\n".join(rows)


def distance_rows(found: Agreement) -> list[tuple[str, Spread]]:
    """Return title and numbers of each distance."""
    rows = [("as both acted", found.apart)]
    if found.apart_standardised is not None:
        rows.append(("as both acted, standardised", found.apart_standardised))
    if (same := found.same) is not None:
        rows += [
            ("at the same observation", same.apart),
            ("at the same observation, standardised", same.apart_standardised),
            (f"two draws of {found.student} there", same.self_apart),
            (f"two draws of {found.student} there, standardised", same.self_apart_standardised),
        ]
    return rows


def density_rows(found: Agreement) -> list[tuple[str, Spread]]:
    """Return title and numbers of each log density."""
    if (same := found.same) is None:
        return []
    return [
        (f"of the actions of {found.other}", same.log_prob_other),
        (f"of actions that {found.student} takes there", same.log_prob_own),
        ("of draws from its whole mixture there", same.log_prob_draws),
    ]


def describe_states(found: Agreement) -> str:
    """Describe the observations at which densities were read."""
    same = found.same
    if same is None:
        return ""
    beyond = f", {same.beyond} because {found.student} returns shorter chunks" if same.beyond else ""
    return (
        f"at {same.states} observations of {same.seen_by}; {same.clipped} left out because action limits hide the "
        f"mixture{beyond}; intervals of means: bootstrap of blocks"
    )


def format_repeated(found: Repeated, scale: float = 1e6, digits: int = 1) -> str:
    """Return a number over repeats with its interval, scaled."""
    text = f"{found.median * scale:.{digits}f}"
    if found.interval is None:
        return text
    low, high = found.interval
    return f"{text} [{low * scale:.{digits}f}, {high * scale:.{digits}f}]"


def micro(seconds: float) -> str:
    """Return a time in microseconds, without a decimal if it would be the fifth digit."""
    micros = seconds * 1e6
    return f"{micros:.0f}" if abs(micros) >= 999.95 else f"{micros:.1f}"


def describe_node(report: NodeReport) -> str:
    """Return the facts about a node besides its times."""
    method = printable(method_of(report.info))
    policy = f"{method}, {report.passes} passes" if report.passes else "policy not recorded"
    policy = policy.removesuffix("es") if report.passes == 1 else policy
    machine = report.info.get("machine")
    where = (
        f"; {printable(machine.get('cpu'))}, {printable(machine.get('cores'))} cores"
        if isinstance(machine, dict)
        else ""
    )
    rate = report.switch_rate
    experts = "" if rate is None else f", the expert changed {100 * rate:.3g} times in 100 decisions"
    found = f"{report.ticks} ticks{experts}, deadlines missed: {report.deadline_misses}, {report.gaps or 'no gap'}"
    return f"{policy}; {found}{where}"


def describe_counters(report: NodeReport) -> str:
    """Return the nonzero counters of a node's last diagnostics; empty without diagnostics."""
    if report.counters is None:
        return ""
    found = ", ".join(f"{printable(name)} {count}" for name, count in report.counters.items())
    return f"counted by the node: {found or 'nothing'}"


def _format_node(report: NodeReport) -> str:
    counted = [f"  {text}"] if (text := describe_counters(report)) else []
    width = max([_STAGE, *map(len, report.stages)])
    rows = [
        f"{printable(report.node)}: {describe_node(report)}",
        *counted,
        _ROW.format("stage (µs)", "n", "p50", "", "p95", "p99", width=width),
    ]
    for name, stage in report.stages.items():
        p50, low, high, p95, p99 = map(micro, (stage.p50, *stage.p50_interval, stage.p95, stage.p99))
        rows.append(_ROW.format(name, stage.count, p50, f"[{low}, {high}]", p95, p99, width=width))
    return "\n".join(rows)


def _spread_row(title: str, spread: Spread) -> str:
    mean, low, high, p50, p95 = map(significant, (spread.mean, *spread.mean_interval, spread.p50, spread.p95))
    return _SPREAD_ROW.format(title, mean, f"[{low}, {high}]", p50, p95)
