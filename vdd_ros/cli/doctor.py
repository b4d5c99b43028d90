"""`vdd doctor`: how well this host suits a control loop, and what would improve it."""

import argparse
import resource

from vdd_ros.cli.numbers import Whole
from vdd_ros.console import show
from vdd_ros.documents import write_json
from vdd_ros.host.examination import advice, examine
from vdd_ros.host.realtime import Jitter
from vdd_ros.places import OutputFile

HELP = "examine this host for real-time control: clocks, limits, versions, jitter"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd doctor`."""
    parser.add_argument(
        "--sleeps", type=Whole(), default=1000, help="number of sleeps in the jitter measurement (default: %(default)s)"
    )
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the facts as JSON")


def run(args: argparse.Namespace) -> int:
    """Print facts and advice."""
    facts = examine(args.sleeps)
    width = 2 + max(map(len, facts))
    for name, value in facts.items():
        show(f"{name.replace('_', ' '):<{width}}{_text(name, value)}")
    for line in advice(facts):
        show(f"- {line}")
    if args.json is not None:
        write_json(args.json, facts | {"advice": advice(facts)})
    return 0


def _text(name: str, value: object) -> str:
    if isinstance(value, Jitter):
        p50, p99, most = (1e6 * late for late in (value.p50_s, value.p99_s, value.max_s))
        return f"{p50:.0f} us median, {p99:.0f} us p99, {most:.0f} us at most, {value.count} sleeps of 1 ms"
    if name.endswith("_limit"):
        return "unlimited" if value == resource.RLIM_INFINITY else str(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "unknown" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
