"""`vdd benchmark realtime --against`: the ticks of this checkout and of another one, in alternation on one machine."""

import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, TypedDict

from vdd_ros.benchmark.checkouts import Checkout
from vdd_ros.documents import read_json
from vdd_ros.errors import ConfigurationError, ProcessError
from vdd_ros.host.facts import RuntimeVersions, runtime_versions
from vdd_ros.host.realtime import HostFacts, host_facts
from vdd_ros.text import printable

MADE_BY = "vdd benchmark realtime --against"
RECORD = Path("results/realtime.json")
"""What `--only` needs in each checkout: the record of its other parts."""


class Ticks(TypedDict):
    """Ticks of a checkout.

    Attributes:
        sha256: Hex digest of its sources.
        over_parts: Tick over baseline of each round.
        over_parts_p50: Their median.
        seconds: Median duration of a tick in each round, s.
    """

    sha256: str
    over_parts: list[float]
    over_parts_p50: float
    seconds: list[float]


class TicksRecord(TypedDict):
    """Ticks of two checkouts, compared.

    Attributes:
        made_by: The command.
        at: Time of the end, ISO 8601.
        machine, versions: Machine and software.
        this, other: Ticks of the checkouts.
        ratio_p50: Median over the rounds of this checkout's duration over the other's.
    """

    made_by: str
    at: str
    machine: HostFacts
    versions: RuntimeVersions
    this: Ticks
    other: Ticks
    ratio_p50: float


def compare_ticks(other: Path, rounds: int, ended: Callable[[], None] = lambda: None) -> TicksRecord:
    """Compare the checkout that this code belongs to with another one.

    Args:
        other: Folder of the other checkout.
        rounds: Number of rounds, at least 1, each half a minute per checkout.
        ended: Called after each round of a checkout.

    Raises:
        ConfigurationError: `other` is not a checkout with measured results.
        ProcessError: A measurement failed.
    """
    checkouts = (Checkout.of("this", Path(__file__).parents[3]), Checkout.of("other", other))
    return compare(checkouts, rounds, ended)


def compare(checkouts: tuple[Checkout, Checkout], rounds: int, ended: Callable[[], None]) -> TicksRecord:
    """Measure two checkouts in turn; see `compare_ticks`."""
    for checkout in checkouts:
        if not (checkout.folder / RECORD).is_file():
            raise ConfigurationError(
                f"{printable(checkout.folder)} holds no {RECORD}; measure there once without --only"
            )
    found: dict[str, list[tuple[float, float]]] = {checkout.name: [] for checkout in checkouts}
    with TemporaryDirectory(prefix="vdd_ticks_") as folder:
        for _ in range(rounds):
            for checkout in checkouts:
                found[checkout.name].append(_measure(checkout, Path(folder) / f"{checkout.name}.json"))
                ended()
    this, against = (_ticks(checkout, found[checkout.name]) for checkout in checkouts)
    return {
        "made_by": MADE_BY,
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": host_facts(),
        "versions": runtime_versions(),
        "this": this,
        "other": against,
        "ratio_p50": median(one / two for one, two in zip(this["seconds"], against["seconds"], strict=True)),
    }


def _measure(checkout: Checkout, record: Path) -> tuple[float, float]:
    """Return tick over baseline, and the median duration of a tick in s, of one round."""
    shutil.copyfile(checkout.folder / RECORD, record)
    checkout.run(["benchmark", "realtime", "--quick", "--only", "ticks", "--results", record])
    content: Any = read_json(record, ProcessError)
    try:
        return float(content["tick_over_parts_p50"]), float(content["ticks"]["tick_s"]["p50"])
    except (KeyError, TypeError) as error:
        raise ProcessError(f"vdd benchmark realtime of {checkout.name} wrote no ticks ({printable(error)})") from error


def _ticks(checkout: Checkout, rounds: list[tuple[float, float]]) -> Ticks:
    ratios, seconds = ([one[column] for one in rounds] for column in (0, 1))
    return {"sha256": checkout.sha256, "over_parts": ratios, "over_parts_p50": median(ratios), "seconds": seconds}


def table(record: TicksRecord) -> str:
    """Return the comparison for the terminal."""
    lines = [f"{'':<8}{'tick over baseline':<34}tick, µs"]
    for name, ticks in (("this", record["this"]), ("other", record["other"])):
        spread = f"{ticks['over_parts_p50']:.2f} ({min(ticks['over_parts']):.2f} to {max(ticks['over_parts']):.2f})"
        low, high = min(ticks["seconds"]) * 1e6, max(ticks["seconds"]) * 1e6
        lines.append(f"{name:<8}{spread:<34}{median(ticks['seconds']) * 1e6:.0f} ({low:.0f} to {high:.0f})")
    return "\n".join(
        [*lines, f"this over other: {record['ratio_p50']:.2f}, median of {len(record['this']['seconds'])}"]
    )
