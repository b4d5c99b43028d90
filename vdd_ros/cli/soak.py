"""`vdd soak`: runs the demo for minutes or hours, and checks memory, records and deadlines."""

import argparse
from pathlib import Path

from vdd_ros.cli.numbers import SEED, Real
from vdd_ros.demo.demo import Demo, policy_files
from vdd_ros.demo.soak import soak
from vdd_ros.documents import write_json
from vdd_ros.places import OutputFile, OutputFolder

HELP = "run the demo for minutes or hours and check memory, records and deadlines"

LEAST_MINUTES, MOST_MINUTES = 1.5, 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd soak`."""
    parser.add_argument(
        "--minutes",
        type=Real(LEAST_MINUTES, MOST_MINUTES),
        default=10.0,
        help="duration; the first minute does not count (default: %(default)s)",
    )
    parser.add_argument("--out", type=OutputFolder, default="soak_out", help="new folder (default: %(default)s)")
    parser.add_argument("--student", type=Path, metavar="FILE", help="student's policy file (default: the shipped one)")
    parser.add_argument("--teacher", type=Path, metavar="FILE", help="teacher's policy file (default: the shipped one)")
    parser.add_argument("--seed", type=SEED, default=0, help="seed of policies and simulation (default: %(default)s)")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Run, judge, print; return 1 if a check failed."""
    files = policy_files(student=args.student, teacher=args.teacher)
    demo = Demo(args.out, files, episodes=1, seed=args.seed, speed=1.0, repeats=0)
    demo.check_files()
    report = soak(demo, 60 * args.minutes)
    if args.json is not None:
        write_json(args.json, report)
    return 0 if report["status"] == "passed" else 1
