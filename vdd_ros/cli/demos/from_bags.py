"""`vdd demos from-bags`: demonstrations from an operator's bags, sampled as the policy node would see them."""

import argparse
from pathlib import Path
from statistics import median

from vdd_ros.cli.numbers import POSITIVE
from vdd_ros.console import show, tell
from vdd_ros.documents import json_object, write_json
from vdd_ros.places import OutputFile, OutputFolder
from vdd_ros.recordings.bag_list import list_bags
from vdd_ros.recordings.conversion import Converted, convert
from vdd_ros.recordings.form import SamplingForm
from vdd_ros.recordings.record import RECORD_NAME
from vdd_ros.recordings.tables import (
    format_alignment,
    format_awaited,
    format_cut,
    format_divided,
    format_left_out,
    format_limits,
)
from vdd_ros.robot.robot_file import RobotFile

HELP = "make demonstrations from recorded bags, sampled as the policy node would see them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd demos from-bags`."""
    parser.add_argument("bags", type=Path, nargs="+", metavar="DIR", help="a bag, or a folder that holds bags")
    parser.add_argument(
        "--robot",
        type=Path,
        required=True,
        metavar="FILE",
        help="robot file: observation and commands, and how to sample them",
    )
    parser.add_argument("--out", type=OutputFolder, required=True, metavar="DIR", help="folder of the demonstrations")
    parser.add_argument("--rate", type=POSITIVE, metavar="HZ", help="pairs per second (default: rate_hz of FILE)")
    parser.add_argument("--task", help="name of the task (default: name of FILE, or that of the robot in it)")
    before = parser.add_mutually_exclusive_group()
    before.add_argument(
        "--resume", action="store_true", help="continue after the bags that an interrupted run has finished"
    )
    before.add_argument("--force", action="store_true", help="replace other demonstrations in the folder")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Convert, then print the table, and what was left out and why."""
    robot = RobotFile.load(args.robot)
    form = SamplingForm.of(robot, args.rate, args.task or "")
    bags = list_bags(args.bags)
    converted = convert(bags, form, robot, args.out, force=args.force, resume=args.resume)
    show(_format(converted, args.out), format_alignment(converted.record.alignment))
    for form_text in (format_left_out, format_divided, format_cut, format_limits):
        if text := form_text(converted.record):
            tell(text)
    if args.json is not None:
        record = converted.record
        write_json(args.json, json_object(record) | {"alignment": json_object(record.alignment)})
    return 0


def _format(converted: Converted, folder: Path) -> str:
    found, record = converted.demonstrations, converted.record
    lengths = sorted(found.lengths.tolist())
    resumed = f", {converted.resumed} of them finished before" if converted.resumed else ""
    before_s, behind_s = (sum(episode.cut_s[end] for episode in record.episodes) for end in (0, 1))
    awaited = format_awaited(record)
    rows = {
        "bags": f"{len(record.bags)}{resumed}",
        "episodes": f"{len(lengths)}, {len(record.left_out)} left out",
        "pairs": f"{sum(lengths):,}, {sum(lengths) / record.rate_hz:.0f} s at {record.rate_hz:g} Hz",
        "steps": f"{lengths[0]} to {lengths[-1]}, median {median(lengths):g}",
        "cut off": f"{before_s:.1f} s before, {behind_s:.1f} s behind"
        + (f"; waited for the first message of {awaited}" if awaited else ""),
        "sha256": found.sha256,
        "file": f"{found.file}",
        "record": f"{folder / RECORD_NAME}",
    }
    return "\n".join([found.header.task, *(f"  {name:<10}{text}" for name, text in rows.items())])
