"""The rates of reading, converting and receiving messages, against other programs."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from vdd_ros.benchmark.data.forge import ForgeRun, convert_by_forge
from vdd_ros.benchmark.data.loops import COLUMNS, CONVERSION, LOOPS, ROSBAGS
from vdd_ros.benchmark.data.recording import RATE_HZ, write_recording
from vdd_ros.errors import ProcessError
from vdd_ros.evaluation.latency.summary import median_interval
from vdd_ros.host.facts import MachineFacts, RuntimeVersions, machine_facts, runtime_versions
from vdd_ros.progress import each
from vdd_ros.text import printable

Interval = tuple[float, float]
SMALLER = 5
"""Ratio of the bag's size to that of the bag whose memory is compared."""


@dataclass(frozen=True)
class Reading:
    """Reading a bag in one way.

    Attributes:
        loop: Name of the way.
        rate: Messages per second, median over the rounds.
        peak_bytes: Greatest memory of the process over the rounds.
    """

    loop: str
    rate: float
    peak_bytes: int


@dataclass(frozen=True)
class Ratio:
    """Ratio of two rates: median over the rounds, and its 95 % interval."""

    ratio: float
    interval: Interval


@dataclass(frozen=True)
class Intake:
    """Intake of one JointState.

    Attributes:
        by_field_s: Median seconds by field.
        as_a_whole_s: Median seconds with rclpy's deserialisation.
        faster: By field against as a whole.
    """

    by_field_s: float
    as_a_whole_s: float
    faster: Ratio


@dataclass(frozen=True)
class Forge:
    """The conversion of the bag by forge-robotics.

    Attributes:
        version: Version of forge-robotics.
        rate: Messages per second, median over the rounds.
        peak_bytes: Greatest memory of the process over the rounds.
        frames: Number of written frames.
        slower: `vdd demos from-bags` against it.
    """

    version: str
    rate: float
    peak_bytes: int
    frames: int
    slower: Ratio


class DataRecord(TypedDict):
    """Figures of `vdd benchmark data`.

    Attributes:
        messages: Messages in the bag.
        bag_bytes: Size of the bag.
        rounds: Number of rounds; the ways alternate in each.
        readings: One for each way of reading.
        decoded: Selective reading against rosbags' deserialisation.
        undecoded: Reading as bytes, against rosbags.
        converted: `vdd demos from-bags` as a whole, against rosbags' deserialisation.
        smaller_messages: Messages in a smaller bag of the same kind.
        smaller_peak_bytes: Greatest memory of `vdd demos from-bags` with the smaller bag.
        forge: Conversion by forge-robotics; None unless requested.
        intake: None without rclpy.
        machine, versions: Machine and packages of the measurement.
    """

    messages: int
    bag_bytes: int
    rounds: int
    readings: list[Reading]
    decoded: Ratio
    undecoded: Ratio
    converted: Ratio
    smaller_messages: int
    smaller_peak_bytes: int
    forge: Forge | None
    intake: Intake | None
    machine: MachineFacts
    versions: RuntimeVersions


def measure(messages: int, rounds: int, intake_rounds: int, forge: Path | None = None) -> DataRecord:
    """Write a bag, read and convert it in each way alternately, each time in a new process; then measure the intake.

    Args:
        messages: Messages in the bag.
        rounds: Repeats of each way of reading.
        intake_rounds: Repeats of each way of intake.
        forge: Interpreter of an environment with forge-robotics; None to omit it.

    Raises:
        RecordingError: The bag cannot be written.
        ProcessError: A process failed, or did not read every message.
    """
    seconds = {loop: np.empty(rounds) for loop in LOOPS}
    peaks = dict.fromkeys(LOOPS, 0)
    forged: list[ForgeRun] = []
    with TemporaryDirectory() as folder:
        smaller = Path(folder) / "smaller"
        write_recording(smaller, max(messages // SMALLER, 1))
        _, smaller_peak = _run(CONVERSION, smaller, max(messages // SMALLER, 1))
        bag = Path(folder) / "recording"
        write_recording(bag, messages)
        size = sum(file.stat().st_size for file in bag.iterdir())
        for turn in each(range(rounds), rounds, "readings", "round"):
            for loop in LOOPS:
                seconds[loop][turn], peak = _run(loop, bag, messages)
                peaks[loop] = max(peaks[loop], peak)
            if forge is not None:
                forged.append(convert_by_forge(forge, bag, RATE_HZ))
    return {
        "messages": messages,
        "bag_bytes": size,
        "rounds": rounds,
        "readings": [Reading(loop, messages / float(np.median(seconds[loop])), peaks[loop]) for loop in LOOPS],
        "decoded": _ratio(seconds[ROSBAGS] / seconds[COLUMNS]),
        "undecoded": _ratio(seconds["rosbags, as bytes"] / seconds["vdd_ros, as bytes"]),
        "converted": _ratio(seconds[ROSBAGS] / seconds[CONVERSION]),
        "smaller_messages": max(messages // SMALLER, 1),
        "smaller_peak_bytes": smaller_peak,
        "forge": _forge(forged, messages, seconds[CONVERSION]) if forged else None,
        "intake": _intake(intake_rounds),
        "machine": machine_facts(),
        "versions": runtime_versions(),
    }


def table(found: DataRecord) -> str:
    """Return the figures as text for a terminal."""
    rows = [f"{found['messages']:,} messages, {found['bag_bytes'] / 1e6:.0f} MB, median of {found['rounds']} rounds"]
    rows += [
        f"  {one.loop:20} {one.rate:>11,.0f} messages/s  {one.peak_bytes / 1e6:6.0f} MB of memory"
        for one in found["readings"]
    ]
    rows += [
        f"selective reading is {_times(found['decoded'])} as fast as deserialisation by rosbags",
        f"reading as bytes is {_times(found['undecoded'])} as fast as by rosbags",
        f"vdd demos from-bags is {_times(found['converted'])} as fast as deserialisation by rosbags alone; of "
        f"{found['smaller_messages']:,} messages it takes {found['smaller_peak_bytes'] / 1e6:.0f} MB",
    ]
    if (forge := found["forge"]) is not None:
        rows.append(
            f"forge-robotics {forge.version}: {forge.rate:,.0f} messages/s, {forge.peak_bytes / 1e6:.0f} MB, "
            f"{forge.frames:,} frames; vdd demos from-bags is {_times(forge.slower)} as fast"
        )
    intake = found["intake"]
    if intake is None:
        return "\n".join([*rows, "intake of a node: not measured, since rclpy is not installed (extra `ros`)"])
    rows.append(
        f"6 of the 30 joints of a JointState: {1e6 * intake.by_field_s:.1f} us by field, "
        f"{1e6 * intake.as_a_whole_s:.1f} us by rclpy, {_times(intake.faster)} as fast"
    )
    return "\n".join(rows)


def _times(ratio: Ratio) -> str:
    return f"{ratio.ratio:.1f} [{ratio.interval[0]:.1f}, {ratio.interval[1]:.1f}] times"


def _ratio(ratios: NDArray[np.float64]) -> Ratio:
    return Ratio(float(np.median(ratios)), median_interval(np.sort(ratios)))


def _forge(runs: list[ForgeRun], messages: int, ours_s: NDArray[np.float64]) -> Forge:
    seconds = np.array([one.seconds for one in runs])
    return Forge(
        runs[0].version,
        messages / float(np.median(seconds)),
        max(one.peak_bytes for one in runs),
        runs[0].frames,
        _ratio(seconds / ours_s),
    )


def _intake(rounds: int) -> Intake | None:
    if find_spec("rclpy") is None:
        return None
    from vdd_ros.benchmark.data.intake import by_turns

    seconds = by_turns(rounds)
    by_field_s, as_a_whole_s = np.median(seconds, axis=1).tolist()
    return Intake(by_field_s, as_a_whole_s, _ratio(seconds[1] / seconds[0]))


def _run(loop: str, bag: Path, messages: int) -> tuple[float, int]:
    """Return seconds and peak memory of one reading in a new process."""
    command = [sys.executable, "-m", "vdd_ros.benchmark.data.loops", loop, str(bag)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise ProcessError(f"reading a bag ({loop}) ended with {done.returncode}: {printable(reason)}")
    found = json.loads(done.stdout)
    if found["messages"] != messages:
        raise ProcessError(f"reading a bag ({loop}) found {found['messages']:,} of {messages:,} messages")
    return found["seconds"], found["peak_bytes"]
