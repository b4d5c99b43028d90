"""`vdd latency`: where the time of each tick went."""

import argparse
import sys
from pathlib import Path

from vdd_ros.cli.report import WARMUP_TICKS, format_table, report_latency, write_json
from vdd_ros.data.latency_bag import read_latency_bag

HELP = "show where the time of each tick went, from a latency bag"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd latency`."""
    parser.add_argument("bag", type=Path, help="rosbag2 directory with the topic ~/latency of one or more policy nodes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers as JSON")
    parser.add_argument("--figure", type=Path, metavar="PNG", help="draw the distributions")
    parser.add_argument(
        "--warmup", type=int, default=WARMUP_TICKS, help="first ticks of each node to leave out (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the table; return 1 if records are missing."""
    latencies = read_latency_bag(args.bag)
    report = report_latency(latencies, args.warmup)
    print(format_table(report))
    if args.json is not None:
        write_json(args.json, report.to_dict())
    if args.figure is not None:
        from vdd_ros.cli.report_figure import save_figure

        save_figure(args.figure, latencies, report)
    for gap in report.gaps:
        print(f"gap in the record: {gap}", file=sys.stderr)
    return 1 if report.gaps else 0
