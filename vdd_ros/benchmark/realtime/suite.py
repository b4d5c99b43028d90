"""`vdd benchmark realtime`: times of the policy node at control rate, as ratios to those of its indispensable parts."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np

from vdd_ros import resources
from vdd_ros.benchmark.realtime import PARTS, judge
from vdd_ros.benchmark.realtime.figures import DriverFigures, RateFigures, RealtimeRecord
from vdd_ros.benchmark.realtime.measurements import Measurements, load
from vdd_ros.console import tell
from vdd_ros.documents import read_json, write_json
from vdd_ros.errors import ConfigurationError
from vdd_ros.files import updating
from vdd_ros.host.facts import runtime_versions
from vdd_ros.host.realtime import HostSettings, host_facts, settle
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.tasks import SHIPPED_TASK, get_task
from vdd_ros.text import printable

MADE_BY = "vdd benchmark realtime"
RATE_HZ = 200.0
ARRIVAL_HZ = 100.0
FIFO_PRIORITY = 50
DRIVERS = ("timer", "events", "thread")


@dataclass(frozen=True)
class Extent:
    """Extent of the measurements.

    Attributes:
        rounds: Number of rounds of ticks against parts, and of answers against an echo.
        seconds: Duration of each measurement in these rounds, s.
        network_rounds: Number of rounds of the networks, each with ten calls of each network.
        backbones: Backbones of the networks.
        drivers_hz: Rates at which the ways to tick are compared, Hz.
        drivers_s: Duration of each of these runs, s.
        swaps: Number of hot swaps.
        long_s: Duration of the run at 200 Hz, s.
        fast_hz: Further rates of the node, Hz.
        fast_s: Duration of each of these runs, s.
        fifo: Whether ticks, hot swaps and the run at 200 Hz are measured under SCHED_FIFO too.
    """

    rounds: int = 11
    seconds: float = 3.0
    network_rounds: int = 80
    backbones: tuple[str, ...] = ("gpt", "mlp")
    drivers_hz: tuple[float, ...] = (50.0, 200.0, 500.0, 1000.0)
    drivers_s: float = 6.0
    swaps: int = 10
    long_s: float = 600.0
    fast_hz: tuple[float, ...] = (500.0, 1000.0)
    fast_s: float = 30.0
    fifo: bool = True


QUICK = Extent(1, 2.0, 8, ("gpt",), (), 0.0, 2, 3.0, (), 0.0, fifo=False)


def measure_into(
    results: Path, *, quick: bool, only: Sequence[str] | None, shown: Callable[[RealtimeRecord], None]
) -> RealtimeRecord:
    """Measure with the shipped policies and keep the record in a file.

    Args:
        results: The file.
        quick: Measure for less than a minute.
        only: Some of `PARTS`; the file keeps the others. None for all.
        shown: Called with the record before it is written.

    Raises:
        ConfigurationError: `only` is given, and the file holds no whole record.
        HeldError: Another process measures into the same file; the two would disturb each other.
    """
    with updating(results, wait_s=0.0), TemporaryDirectory(prefix="vdd_realtime_") as folder:
        before = _read(results) if only else None
        student, teacher = (resources.path(f"models/{SHIPPED_TASK}_{name}.onnx") for name in ("student", "teacher"))
        record = measure(student, teacher, QUICK if quick else Extent(), Path(folder), only or PARTS, before)
        record["quick"] = quick
        shown(record)
        write_json(results, record)
    return record


def measure(
    student: Path,
    teacher: Path,
    extent: Extent,
    folder: Path,
    parts: Sequence[str] = PARTS,
    before: RealtimeRecord | None = None,
) -> RealtimeRecord:
    """Measure one part after another; return the record of results/realtime.json.

    Args:
        student: Policy file of a student.
        teacher: Policy file of a teacher.
        extent: Extent of the measurements.
        folder: Folder for temporary files.
        parts: Some of `PARTS`.
        before: Record with the other parts; None without one.
    """
    kept: RealtimeRecord = {} if before is None else before
    task = get_task(SHIPPED_TASK)
    measurements, ahead = (Measurements(student, task, folder, priority) for priority in (0, FIFO_PRIORITY))
    by_part: dict[str, Callable[[], RealtimeRecord]] = {
        "networks": lambda: _networks(student, teacher, extent, folder),
        "ticks": lambda: _ticks(measurements, extent),
        "arrivals": lambda: _arrivals(measurements, extent),
        "drivers": lambda: {"drivers": _drivers(measurements, extent)},
        "swaps": lambda: _swaps(measurements, extent, student),
        "rates": lambda: _rates(measurements, extent),
        "fifo": lambda: {"fifo": _fifo(ahead, extent, student)},
    }
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    fresh: RealtimeRecord = {
        "made_by": MADE_BY,
        "at": at,
        "machine": host_facts(),
        "versions": runtime_versions(),
        "measured_at": kept.get("measured_at", {}) | dict.fromkeys(parts, at),
    }
    record = kept | fresh
    for part in parts:
        record |= by_part[part]()
    return record


def _read(results: Path) -> RealtimeRecord:
    """Return the record with the other parts; raises ConfigurationError unless it is whole."""
    try:
        record = read_json(results, ConfigurationError)
    except ConfigurationError as error:
        raise ConfigurationError(f"--only keeps the rest of a record: measure everything once. {error}") from error
    if not isinstance(record, dict) or not isinstance(measured_at := record.get("measured_at"), dict):
        raise ConfigurationError(
            f"--only keeps the rest of the record in {results}, but the file is not such a record; measure everything "
            "once"
        )
    if missing := set(PARTS) - set(measured_at):
        raise ConfigurationError(f"{results} lacks {', '.join(sorted(missing))}; measure everything once")
    whole = cast(RealtimeRecord, record)
    try:
        judge.table(whole), judge.render(whole)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{printable(results)} holds other figures than this version writes ({type(error).__name__}: "
            f"{printable(error)}); measure everything once"
        ) from error
    return whole


def _networks(student: Path, teacher: Path, extent: Extent, folder: Path) -> RealtimeRecord:
    """Time students against teachers."""
    from vdd_ros.benchmark.realtime.networks import compare_networks

    specs = OnnxPolicy.load(student).spec, OnnxPolicy.load(teacher).spec
    networks = {
        backbone: compare_networks(*specs, backbone, folder, extent.network_rounds) for backbone in extent.backbones
    }
    return {"speedup_over_n_step": networks[extent.backbones[0]]["speedup"], "networks": networks}


def _rates(measurements: Measurements, extent: Extent) -> RealtimeRecord:
    """Run the node for long at 200 Hz, and at the faster rates."""
    _say(f"{RATE_HZ:g} Hz for {extent.long_s:g} s")
    found, preemptions = measurements.monitored(RATE_HZ, extent.long_s)
    rates: dict[str, RateFigures] = {}
    rates[f"{RATE_HZ:g}"] = {**judge.punctuality(found, RATE_HZ), **judge.blame(found, preemptions, RATE_HZ)}
    for rate_hz in extent.fast_hz:
        _say(f"{rate_hz:g} Hz for {extent.fast_s:g} s")
        rates[f"{rate_hz:g}"] = {**judge.punctuality(measurements.node(rate_hz, extent.fast_s), rate_hz)}
    return {"rates": rates, "missed_200hz": rates[f"{RATE_HZ:g}"]["missed_by_a_period"]}


def _fifo(measurements: Measurements, extent: Extent, student: Path) -> RealtimeRecord | None:
    """Measure ticks, hot swaps and the long run once more, under SCHED_FIFO; None if the host refuses it."""
    if not extent.fifo:
        return None
    with ThreadPoolExecutor(1) as thread:  # what it is granted ends with it
        refused = thread.submit(settle, HostSettings(fifo_priority=FIFO_PRIORITY)).result()
    for problem in refused:
        _say(f"nothing is measured under SCHED_FIFO: {problem}")
    if refused:
        return None
    _say("under SCHED_FIFO:")
    return (
        _ticks(measurements, extent)
        | _swaps(measurements, extent, student)
        | _rates(measurements, replace(extent, fast_hz=()))
    )


def _ticks(measurements: Measurements, extent: Extent) -> RealtimeRecord:
    """Measure whole ticks and their baseline alternately."""
    ticks, parts = [], []
    for number in range(extent.rounds):
        _say(f"ticks and their baseline, round {number + 1} of {extent.rounds}")
        ticks.append(judge.tick_times(measurements.node(RATE_HZ, extent.seconds)))
        parts.append(measurements.parts(RATE_HZ, extent.seconds))
    over, tails = judge.tick_ratios(ticks, parts)
    return {
        "tick_over_parts_p50": float(np.median(over)),
        "tick_p99_over_p50": float(np.median(tails)),
        "ticks": {
            "tick_over_parts_p50": over,
            "tick_p99_over_p50": tails,
            "tick_s": judge.percentiles(np.concatenate(ticks)),
            "parts_s": judge.percentiles(np.concatenate(parts)),
        },
    }


def _arrivals(measurements: Measurements, extent: Extent) -> RealtimeRecord:
    """Measure answers to observations and to a plain echo alternately, and inference by itself."""
    over, answers, echoes, inferences = [], [], [], []
    for number in range(extent.rounds):
        _say(f"answers and a plain echo, round {number + 1} of {extent.rounds}")
        node = measurements.node(ARRIVAL_HZ, extent.seconds, trigger="observation", wait_for_answers=True)
        echo = measurements.echo(ARRIVAL_HZ, extent.seconds)["answers"]
        inference = measurements.baseline(ARRIVAL_HZ, extent.seconds)["inference"]
        answers.append(node["answers"])
        echoes.append(echo)
        inferences.append(inference)
        over.append(float(np.nanmedian(node["answers"]) / (np.nanmedian(echo) + np.median(inference))))
    return {
        "arrival_over_echo_p50": float(np.median(over)),
        "arrivals": {
            "arrival_over_echo_p50": over,
            "answer_s": judge.percentiles(np.concatenate(answers)),
            "echo_s": judge.percentiles(np.concatenate(echoes)),
            "inference_s": judge.percentiles(np.concatenate(inferences)),
        },
    }


def _drivers(measurements: Measurements, extent: Extent) -> list[DriverFigures]:
    """Compare the ways to tick, on an idle machine and with every core busy."""
    found: list[DriverFigures] = []
    for busy in (0, host_facts()["cores"]):
        for rate_hz in extent.drivers_hz:
            for driver in DRIVERS:
                _say(f"{driver} at {rate_hz:g} Hz, {busy} busy processes")
                with load(busy):
                    measured = measurements.driver(driver, rate_hz, extent.drivers_s)
                found.append({"driver": driver, "rate_hz": rate_hz, "busy": busy, **judge.driver(measured, rate_hz)})
    return found


def _swaps(measurements: Measurements, extent: Extent, student: Path) -> RealtimeRecord:
    """Count the ticks that hot swaps cost."""
    _say(f"{extent.swaps} hot swaps")
    seconds = 1.0 + extent.swaps
    found = measurements.node(RATE_HZ, seconds, next_policies=[str(student)] * extent.swaps)
    lost = judge.lost_ticks(found, RATE_HZ)
    return {
        "swap_ticks_lost": lost,
        "swaps": {"asked": extent.swaps, "succeeded": int(found["swapped"].sum()), "ticks": len(found["records"])},
    }


def _say(what: str) -> None:
    tell(what)
