"""Figures, tables and a page from measurements at control rate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.latency import NodeLatency
from vdd_ros.bags.sequence import SequenceCheck
from vdd_ros.benchmark.markdown_block import fill_block
from vdd_ros.benchmark.realtime.figures import (
    Blame,
    DriverFigures,
    DriverPunctuality,
    Percentiles,
    Punctuality,
    RealtimeRecord,
)
from vdd_ros.benchmark.realtime.measurements import Arrays
from vdd_ros.documents import json_object
from vdd_ros.evaluation.latency.deadline_misses import judge_deadlines
from vdd_ros.evaluation.plots import PERIOD, axis_duration, colour, log_ticks, style
from vdd_ros.files import replacing
from vdd_ros.host.monitor import Preemptions
from vdd_ros.text import counted

WARM_UP = 20
RATE = "200"
BEGIN, END = "<!-- realtime: begin -->", "<!-- realtime: end -->"

Floats = NDArray[np.float64]
Percentile = Literal["p50", "p95", "p99", "p99_9", "max"]
Headline = Literal[
    "tick_over_parts_p50", "tick_p99_over_p50", "arrival_over_echo_p50", "swap_ticks_lost", "missed_200hz"
]


def column(found: Arrays, label: str) -> Floats:
    """Return one column of a node's latency records, (n,), without the first `WARM_UP` ticks."""
    values: Floats = found["records"][WARM_UP:, found["labels"].tolist().index(label)]
    return values


def tick_times(found: Arrays) -> Floats:
    """Return the seconds of each tick, (n,), from its start, when it takes the observation, to the command at DDS."""
    return column(found, "total_s")


def tick_ratios(ticks: Sequence[Floats], parts: Sequence[Floats]) -> tuple[list[float], list[float]]:
    """Return, for each round, the median tick over the median baseline, and a tick's 99th percentile over its median.

    Args:
        ticks: Seconds of the ticks of each round, (n,) each.
        parts: Seconds of the baseline of each round, (n,) each.
    """
    over = [float(np.median(tick) / np.median(part)) for tick, part in zip(ticks, parts, strict=True)]
    return over, [float(np.percentile(tick, 99) / np.median(tick)) for tick in ticks]


def percentiles(seconds: Floats) -> Percentiles:
    """Return percentiles of times (n,), s, without NaN."""
    measured = seconds[np.isfinite(seconds)]
    p50, p95, p99, p999 = np.percentile(measured, (50, 95, 99, 99.9)).tolist()
    return {
        "count": len(measured),
        "unanswered": len(seconds) - len(measured),
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "p99_9": p999,
        "max": float(measured.max()),
    }


def lost_ticks(found: Arrays, rate_hz: float) -> int:
    """Count the instants of the schedule that passed without a tick; a late tick is not lost."""
    due = column(found, "stamp_s") - column(found, "lateness_s")
    records = np.diff(column(found, "seq"))
    return int(np.maximum(np.round(np.diff(due) * rate_hz) - records, 0).sum())


def punctuality(found: Arrays, rate_hz: float) -> Punctuality:
    """Return the deadlines of a node: each tick has to end before the next one is due."""
    end = (column(found, "lateness_s") + column(found, "total_s")) * rate_hz
    sequence = column(found, "seq")
    return {
        "ticks": len(end),
        "missed": int((end > 1).sum()),
        "missed_by_a_period": int((end > 2).sum()),
        "lost": lost_ticks(found, rate_hz),
        "records_missing": int((np.diff(sequence) - 1).sum()),
        "lateness_s": percentiles(column(found, "lateness_s")),
        "total_s": percentiles(column(found, "total_s")),
    }


def blame(found: Arrays, preemptions: Sequence[Preemptions], rate_hz: float) -> Blame:
    """Count the missed deadlines that the host explains, by the criterion of `vdd soak`.

    Args:
        found: Measurement of the node.
        preemptions: Preemptions during it, one record for each monitor.
        rate_hz: Rate of the node, Hz.
    """
    latency = NodeLatency("policy", tuple(found["labels"].tolist()), found["records"], SequenceCheck())
    misses = judge_deadlines(latency, preemptions)
    by_a_period = [miss for miss in misses if miss.taken_s * rate_hz > 2]
    return {
        "missed_explained": sum(miss.explained for miss in misses),
        "missed_by_a_period_explained": sum(miss.explained for miss in by_a_period),
        "misses": [json_object(miss) | {"explained": miss.explained} for miss in misses],
    }


def driver(found: Arrays, rate_hz: float) -> DriverPunctuality:
    """Return the punctuality of a way to tick, from its measurement."""
    lateness, work = found["lateness"][WARM_UP:], found["work"][WARM_UP:]
    return {
        "lateness_s": percentiles(lateness),
        "work_s": percentiles(work),
        "missed": int(((lateness + work) * rate_hz > 1).sum()),
        "cpu": float(found["cpu"]),
    }


def table(record: RealtimeRecord) -> str:
    """Return the figures as text for a terminal."""
    steps = ", ".join(f"{n}: {value:.2f}" for n, value in record["speedup_over_n_step"].items())
    rows = [
        ("tick / baseline, median", f"{record['tick_over_parts_p50']:.2f}"),
        ("tick p99 / its median", f"{record['tick_p99_over_p50']:.2f}"),
        ("answer / (echo + inference)", f"{record['arrival_over_echo_p50']:.2f}"),
        ("speed-up over N steps", steps),
        ("ticks lost by hot swaps", f"{record['swap_ticks_lost']} of {record['swaps']['ticks']}"),
    ]
    for rate, found in record["rates"].items():
        what = f"{found['missed_by_a_period']} by more than a period, {found['missed']} at all, of {found['ticks']}"
        rows.append((f"deadlines missed at {rate} Hz", what))
    if fifo := record["fifo"]:
        rows += [
            ("under SCHED_FIFO: tick / baseline", f"{fifo['tick_over_parts_p50']:.2f}"),
            ("tick p99 / its median", f"{fifo['tick_p99_over_p50']:.2f}"),
            ("ticks lost by hot swaps", f"{fifo['swap_ticks_lost']} of {fifo['swaps']['ticks']}"),
            ("deadlines missed by a period", f"{fifo['missed_200hz']} of {fifo['rates'][RATE]['ticks']}"),
        ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def render(record: RealtimeRecord) -> str:
    """Return the figures as Markdown."""
    parts = [_preface(record), _headline(record), _stages(record), _networks(record), _rates(record)]
    if record["drivers"]:
        parts.append(_drivers(record["drivers"]))
    return "\n\n".join(parts)


def update_page(page: Path, record: RealtimeRecord) -> None:
    """Put the figures between the marks of a page; raises ConfigurationError if it lacks them."""
    fill_block(page, BEGIN, END, render(record))


def draw(path: Path, record: RealtimeRecord) -> None:
    """Draw lateness over the rate for each way to tick, and the tick beside its parts, into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for index, name in enumerate(dict.fromkeys(found["driver"] for found in record["drivers"])):
        for busy, line in ((False, "-"), (True, "--")):
            chosen = [f for f in record["drivers"] if f["driver"] == name and bool(f["busy"]) == busy]
            late = [found["lateness_s"]["p99"] for found in chosen]
            label = f"{name}, {'every core busy' if busy else 'alone'}"
            left.plot([f["rate_hz"] for f in chosen], late, linestyle=line, label=label, **style(index))
    left.set(xscale="log", xlabel="rate (Hz)", ylabel="lateness, p99", title="What makes it tick")
    if record["drivers"]:
        rates = sorted({found["rate_hz"] for found in record["drivers"]})
        periods = [1 / rate for rate in rates]
        left.plot(rates, periods, color=PERIOD, linestyle="-.", gid="period", label="control period")
        late = [found["lateness_s"]["p99"] for found in record["drivers"]]
        log_ticks(left.yaxis, min(late + periods), max(late + periods), time=True)
        left.set_xticks(rates, [f"{rate:g}" for rate in rates])
        left.set_xticks([], minor=True)
        left.grid(alpha=0.3)
        figure.legend(fontsize=8, ncols=4, loc="outside lower center")
    bars = {
        "baseline": record["ticks"]["parts_s"],
        "whole tick": record["ticks"]["tick_s"],
        "echo": record["arrivals"]["echo_s"],
        "answer": record["arrivals"]["answer_s"],
    }
    medians = [found["p50"] for found in bars.values()]
    tails = [found["p99"] - found["p50"] for found in bars.values()]
    colours = [PERIOD, colour(0)] * 2
    right.bar(list(bars), medians, yerr=[[0] * len(bars), tails], capsize=4, color=colours)
    right.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: axis_duration(seconds)))
    right.grid(alpha=0.3, axis="y")
    right.set(ylabel="median, whisker to p99", title="A tick and what it cannot do without")
    with replacing(path) as aside:
        figure.savefig(aside, dpi=150, format="png")
    plt.close(figure)


def _preface(record: RealtimeRecord) -> str:
    machine = record["machine"]
    kind = "real-time kernel" if machine["preempt_rt"] else "ordinary kernel"
    runs: dict[str, list[str]] = {}
    for part, at in record["measured_at"].items():
        runs.setdefault(at[:16].replace("T", " "), []).append(part)
    several = len(runs) > 1
    when = "; ".join(f"{', '.join(parts)}: {at} UTC" if several else f"{at} UTC" for at, parts in runs.items())
    return (
        f"Measured {when}. {counted(machine['cores'], 'core')} of {machine['cpu']}, {kind} {machine['kernel']}, "
        f"ONNX Runtime {record['versions']['onnxruntime']}, load {machine['load']:.2f} at the start."
    )


def _headline(record: RealtimeRecord) -> str:
    fifo = record["fifo"]

    def row(name: str, key: Headline, aim: str, form: str) -> tuple[str, ...]:
        return name, format(record[key], form), format(fifo[key], form) if fifo and key in fifo else "", aim

    rows = [
        row("whole tick over baseline, medians, 200 Hz", "tick_over_parts_p50", "1.3 at most", ".2f"),
        row("p99 of a tick over its median, 200 Hz", "tick_p99_over_p50", "2 at most", ".2f"),
        row("answer over echo plus inference, medians", "arrival_over_echo_p50", "1.5 at most", ".2f"),
    ]
    for n, value in record["speedup_over_n_step"].items():
        rows.append((f"student over teacher of {n} steps, GPT", f"{value:.2f}", "", f"{0.75 * int(n):g} at least"))
    rows.append(row("ticks lost by hot swaps", "swap_ticks_lost", "0", "d"))
    rows.append(row("deadlines missed by more than a period, 200 Hz", "missed_200hz", "0", "d"))
    explained = [str(one["rates"][RATE]["missed_by_a_period_explained"]) if one else "" for one in (record, fifo)]
    rows.append(("of them while the host was away, as the host monitor saw", *explained, ""))
    return _markdown(("figure", "ordinary scheduler", "SCHED_FIFO", "aim"), rows)


def _stages(record: RealtimeRecord) -> str:
    named = {"tick, 200 Hz": record["ticks"]["tick_s"], "its baseline": record["ticks"]["parts_s"]}
    if fifo := record["fifo"]:
        named |= {"tick, SCHED_FIFO": fifo["ticks"]["tick_s"], "its baseline, too": fifo["ticks"]["parts_s"]}
    named |= {
        "answer to an observation": record["arrivals"]["answer_s"],
        "answer of a plain echo": record["arrivals"]["echo_s"],
    }
    rows = [(name, *_micros(found, "p50", "p95", "p99", "p99_9", "max")) for name, found in named.items()]
    return _markdown(("µs", "p50", "p95", "p99", "p99.9", "max"), rows)


def _networks(record: RealtimeRecord) -> str:
    rows = []
    for backbone, found in record["networks"].items():
        for name in (name for name in found["seconds"] if not name.endswith("torch")):
            file, torch = found["seconds"][name]["p50"], found["seconds"][f"{name} torch"]["p50"]
            number = name.removeprefix("teacher ")
            rows.append(
                (
                    f"{backbone.upper()}, {name}{' steps' if number != name else ''}",
                    _micro(file),
                    _micro(torch),
                    f"{found['speedup'].get(number, 1):.2f}",
                    f"{found['speedup_torch'].get(number, 1):.2f}",
                )
            )
    header = ("network", "policy file, µs", "eager torch, µs", "over the student, files", "over the student, torch")
    return _markdown(header, rows)


def _rates(record: RealtimeRecord) -> str:
    rates = {f"{rate} Hz": found for rate, found in record["rates"].items()}
    if record["fifo"]:
        rates[f"{RATE} Hz, SCHED_FIFO"] = record["fifo"]["rates"][RATE]
    rows = [
        (
            name,
            str(found["ticks"]),
            str(found["missed"]),
            str(found["missed_by_a_period"]),
            str(found["lost"]),
            *_micros(found["lateness_s"], "p50", "p99", "max"),
            _micro(found["total_s"]["p50"]),
        )
        for name, found in rates.items()
    ]
    header = ("node at", "ticks", "deadlines missed", "by a period", "ticks lost", "late p50, µs", "p99", "max", "tick")
    return _markdown(header, rows)


def _drivers(drivers: list[DriverFigures]) -> str:
    rows = [
        (
            f"{found['rate_hz']:g} Hz, {'every core busy' if found['busy'] else 'alone'}",
            found["driver"],
            *_micros(found["lateness_s"], "p50", "p99", "p99_9", "max"),
            str(found["missed"]),
            f"{100 * found['cpu']:.0f} %",
        )
        for found in drivers
    ]
    return _markdown(("rate", "driver", "late p50, µs", "p99", "p99.9", "max", "missed", "of a core"), rows)


def _markdown(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _micros(found: Percentiles, *names: Percentile) -> list[str]:
    return [_micro(found[name]) for name in names]


def _micro(seconds: float) -> str:
    return f"{1e6 * seconds:.0f}"
