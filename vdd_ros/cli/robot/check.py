"""`vdd robot check`: what every entry of a robot file reads from a bag, and what is wrong."""

import argparse
from pathlib import Path

from vdd_ros.console import show
from vdd_ros.documents import json_object, write_json
from vdd_ros.places import OutputFile

HELP = "read a bag by a robot file: value, unit, rate, age and gaps of each entry, and what is wrong"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd robot check`."""
    parser.add_argument("robot", type=Path, help="robot file (.yaml)")
    parser.add_argument("--bag", type=Path, required=True, metavar="BAG", help="bag to read")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="policy file that shall run on this robot")
    parser.add_argument(
        "--rate", type=float, metavar="HZ", help="rate of the ticks (default: the policy's, else the fastest input's)"
    )
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Read the bag, print the report; return 1 if there is an error."""
    from vdd_ros.evaluation.robot_check.bag import check_bag
    from vdd_ros.evaluation.robot_check.table import report_text

    report = check_bag(args.robot, args.bag, args.policy, args.rate)
    show(f"{args.robot} on {args.bag}", "", report_text(report))
    if args.json is not None:
        write_json(args.json, json_object(report) | {"robot": str(args.robot), "bag": str(args.bag)})
    return 1 if report.errors else 0
