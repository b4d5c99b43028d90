"""`vdd benchmark data`: the rate at which recorded messages are read and converted."""

import argparse
from pathlib import Path

from vdd_ros.benchmark.data import (
    INTAKE_ROUNDS,
    MESSAGES,
    QUICK_INTAKE_ROUNDS,
    QUICK_MESSAGES,
    QUICK_ROUNDS,
    ROUNDS,
)
from vdd_ros.cli.numbers import Whole
from vdd_ros.places import OutputFile

HELP = "measure the reading and conversion of recorded messages, and a node's intake"
_MOST_MESSAGES = 1_000_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd benchmark data`."""
    parser.add_argument("--quick", action="store_true", help="rough figures from a small bag in less than a minute")
    parser.add_argument(
        "--messages", type=Whole(most=_MOST_MESSAGES), metavar="N", help=f"messages in the bag (default: {MESSAGES:,})"
    )
    parser.add_argument("--rounds", type=Whole(), metavar="N", help=f"repetitions of each reading (default: {ROUNDS})")
    parser.add_argument(
        "--against-forge",
        type=Path,
        metavar="PYTHON",
        help="also measure forge-robotics, with the interpreter of an environment that has it, mcap-ros2-support and "
        "pyarrow",
    )
    parser.add_argument("--figure", type=OutputFile, metavar="PNG", help="draw rates and memory")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write the requested files; always return 0."""
    from vdd_ros.benchmark.data.suite import measure, table
    from vdd_ros.console import show
    from vdd_ros.documents import write_json

    messages, rounds, intake_rounds = (
        (QUICK_MESSAGES, QUICK_ROUNDS, QUICK_INTAKE_ROUNDS) if args.quick else (MESSAGES, ROUNDS, INTAKE_ROUNDS)
    )
    messages = messages if args.messages is None else args.messages
    rounds = rounds if args.rounds is None else args.rounds
    found = measure(messages, rounds, intake_rounds, args.against_forge)
    show(table(found))
    if args.figure is not None:
        from vdd_ros.benchmark.data.figure import save_figure

        save_figure(args.figure, found)
    if args.json is not None:
        write_json(args.json, found)
    return 0
