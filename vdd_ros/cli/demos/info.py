"""`vdd demos info`: content of a demonstration set, and suspicious data in it."""

import argparse
from pathlib import Path

from vdd_ros.console import show, tell
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.documents import json_object, write_json
from vdd_ros.evaluation.demonstration_info.report import examine
from vdd_ros.evaluation.demonstration_info.tables import format_info
from vdd_ros.places import OutputFile
from vdd_ros.progress import progress

HELP = "examine demonstrations: episodes, ranges, rates, alignment, suspicious frames"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd demos info`."""
    parser.add_argument("demos", type=Path, metavar="PATH", help="demonstrations: a folder or a file, of any format")
    parser.add_argument("--figure", type=OutputFile, metavar="PNG", help="draw each entry over time")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Examine the set, print the tables; the exit code is always 0."""
    demonstrations = DemonstrationSet.load(args.demos)
    with progress(1, "demonstrations", "set") as bar:
        info = examine(demonstrations)
        bar.update()
    show(format_info(info))
    if info.remark:
        tell(info.remark)
    if args.figure is not None:
        from vdd_ros.evaluation.demonstration_info.figure import save_figure

        save_figure(args.figure, demonstrations, info)
    if args.json is not None:
        write_json(args.json, json_object(info))
    return 0
