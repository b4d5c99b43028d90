"""`vdd robot check`: readings of every entry of a robot file, from a bag or the running robot, and problems."""

import argparse
from pathlib import Path

from vdd_ros.cli.numbers import POSITIVE
from vdd_ros.console import show, tell
from vdd_ros.documents import json_object, write_json
from vdd_ros.places import OutputFile

HELP = "read a bag or the running robot by a robot file: value, rate and age of each entry, and problems"
LISTEN_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd robot check`."""
    parser.add_argument("robot", type=Path, help="robot file (.yaml)")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--bag", type=Path, metavar="BAG", help="bag to read")
    source.add_argument("--live", action="store_true", help="listen to the running robot; nothing is published")
    parser.add_argument(
        "--seconds", type=POSITIVE, default=LISTEN_S, help="with --live: how long to listen (default: %(default)g)"
    )
    parser.add_argument(
        "--namespace", default="/", help="with --live: namespace of relative topics (default: %(default)s)"
    )
    parser.add_argument("--policy", type=Path, metavar="FILE", help="policy file to be run on this robot")
    parser.add_argument(
        "--rate",
        type=POSITIVE,
        metavar="HZ",
        help="rate of the ticks (default: that of the policy, robot file, or fastest input)",
    )
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Read or listen, print the report; return 1 if there is an error."""
    from vdd_ros.evaluation.robot_check.bag import check_bag
    from vdd_ros.evaluation.robot_check.live import check_live, files_of
    from vdd_ros.evaluation.robot_check.table import report_text

    if args.live:
        from vdd_ros.middleware import check

        check()
        from vdd_ros.nodes.robot_capture import capture

        robot, policy = files_of(args.robot, args.policy)
        tell(f"listening for {args.seconds:g} s")
        report = check_live(robot, capture(robot, args.seconds, args.namespace), policy=policy, rate_hz=args.rate)
    else:
        report = check_bag(args.robot, args.bag, args.policy, args.rate)
    source = "the running robot" if args.live else str(args.bag)
    show(f"{args.robot} on {source}", "", report_text(report))
    if args.json is not None:
        write_json(args.json, json_object(report) | {"robot": str(args.robot), "source": source})
    return 1 if report.errors else 0
