"""`vdd latency`: where the time of each tick went."""

import argparse
import sys
from pathlib import Path

from vdd_ros.cli.report import WARMUP_TICKS, format_table, report_latency
from vdd_ros.cli.results import add_result_options, check_result_options, keep_result
from vdd_ros.data.latency_bag import read_latency_bag

HELP = "show where the time of each tick went, from a latency bag"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd latency`."""
    parser.add_argument("bag", type=Path, help="rosbag2 directory with the topic ~/latency of one or more policy nodes")
    add_result_options(parser)
    parser.add_argument("--figure", type=Path, metavar="PNG", help="draw the distributions")
    parser.add_argument(
        "--warmup", type=int, default=WARMUP_TICKS, help="first ticks of each node to leave out (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the table; return 1 if records are missing."""
    check_result_options(args)
    latencies = read_latency_bag(args.bag)
    report = report_latency(latencies, args.warmup)
    keep_result(args, report.to_dict())
    print(format_table(report))
    if args.figure is not None:
        from vdd_ros.cli.report_figure import save_figure

        save_figure(args.figure, latencies, report)
    for gap in report.gaps:
        print(f"gap in the record: {gap}", file=sys.stderr)
    return 1 if report.gaps else 0
