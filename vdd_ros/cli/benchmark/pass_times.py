"""`vdd benchmark pass`: the time of one pass of policy files, against that of others."""

import argparse
from pathlib import Path

from vdd_ros.benchmark.pass_figure import draw
from vdd_ros.benchmark.pass_times import ROUNDS, compare_passes, table
from vdd_ros.cli.numbers import Whole
from vdd_ros.console import show
from vdd_ros.documents import write_json
from vdd_ros.places import OutputFile

HELP = "time one pass of policy files, in alternation in one thread"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd benchmark pass`."""
    parser.add_argument("policies", nargs="+", type=Path, metavar="POLICY", help="policy files (.onnx)")
    parser.add_argument(
        "--against",
        nargs="+",
        type=Path,
        required=True,
        metavar="POLICY",
        help="the same number of other files, in the same order",
    )
    parser.add_argument("--rounds", type=Whole(), default=ROUNDS, help="runs of each file (default: %(default)s)")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")
    parser.add_argument("--figure", type=OutputFile, metavar="PNG", help="draw the times and their ratios")


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write the requested files."""
    found = compare_passes(args.policies, args.against, args.rounds)
    show(table(found))
    if args.json is not None:
        write_json(args.json, found)
    if args.figure is not None:
        draw(args.figure, found)
    return 0
