"""The report of a demonstration set as text."""

from collections.abc import Sequence

from vdd_ros.evaluation.demonstration_info.report import DemonstrationInfo, EntryRange
from vdd_ros.recordings.tables import format_alignment
from vdd_ros.text import printable

_SHOWN = 30
_NAME = 60


def format_info(info: DemonstrationInfo) -> str:
    """Return the report: the set, its entries, its alignment, and suspicious data."""
    rows = {
        "episodes": f"{info.episodes}" + (f", {len(info.left_out)} left out" if info.left_out else ""),
        "pairs": f"{info.pairs:,}, {info.pairs / info.rate_hz:.0f} s at {info.rate_hz:g} Hz",
        "steps": f"{info.shortest} to {info.longest}, median {info.median:g}",
        **({"arrays": printable(", ".join(info.arrays))} if info.arrays else {}),
        "source": printable(info.source),
        "sha256": info.sha256,
    }
    parts = ["\n".join([printable(info.task), *(f"  {name:<10}{text}" for name, text in rows.items())])]
    parts.append(_entries("observation", info.observation))
    parts.append(_entries("action", info.action))
    if info.alignment is not None:
        parts.append(format_alignment(info.alignment))
    parts.append(_suspicions(info))
    return "\n".join(parts)


def _entries(title: str, entries: Sequence[EntryRange]) -> str:
    rows: list[tuple[str, ...]] = [(title, "unit", "least", "greatest", "mean", "deviation", "largest step")]
    rows += [
        (
            printable(one.name, _NAME),
            printable(one.unit, _NAME),
            *(f"{value:.4g}" for value in (one.low, one.high, one.mean, one.deviation, one.largest_step)),
        )
        for one in entries
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), *map(str.rjust, row[2:], widths[2:])]).rstrip()
        for row in rows
    )


def _suspicions(info: DemonstrationInfo) -> str:
    if not info.suspicions:
        return "nothing suspicious"
    lines = []
    for one in info.suspicions[:_SHOWN]:
        name = f" ({printable(info.names[one.episode], _NAME)})" if info.names else ""
        lines.append(f"  episode {one.episode}{name}, step {one.step}: {printable(one.what)}")
    if len(info.suspicions) > _SHOWN:
        lines.append(f"  and {len(info.suspicions) - _SHOWN} more; --json has all of them")
    return "\n".join(["suspicious", *lines])
