"""`vdd demos split`: divides demonstrations into a training set and held-out episodes."""

import argparse
from pathlib import Path

from vdd_ros.cli.numbers import SEED, Whole
from vdd_ros.console import show, tell
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.split import choose, copies, write_split
from vdd_ros.documents import write_json
from vdd_ros.places import OutputFile, OutputFolder
from vdd_ros.recordings.record_parts import write_records
from vdd_ros.text import counted

HELP = "divide demonstrations into a training set and held-out episodes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd demos split`."""
    parser.add_argument("demos", type=Path, metavar="PATH", help="demonstrations: a folder or a file")
    parser.add_argument("--hold-out", type=Whole(), required=True, metavar="N", help="number of episodes to hold out")
    parser.add_argument("--seed", type=SEED, default=0, help="seed of the choice (default: %(default)s)")
    parser.add_argument(
        "--out",
        type=OutputFolder,
        metavar="DIR",
        help="parent folder of train and held_out (default: folder of the demonstrations)",
    )
    parser.add_argument("--force", action="store_true", help="replace other demonstrations there")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Split, then print which episodes are held out."""
    demonstrations = DemonstrationSet.load(args.demos)
    split = choose(len(demonstrations.lengths), args.hold_out, args.seed)
    folder = args.out or (args.demos if args.demos.is_dir() else args.demos.parent)
    files = write_split(demonstrations, split, folder, force=args.force)
    if remark := write_records(demonstrations, files, split):
        tell(remark)
    for copy, original in copies(demonstrations, split):
        tell(f"warning: the held-out episode {copy} is a copy of episode {original}, which is for training; remove one")
    held_out = ", ".join(map(str, split.held_out))
    show(
        f"{files[0]}: {counted(len(split.train), 'episode')}",
        f"{files[1]}: {counted(len(split.held_out), 'episode')}, numbers {held_out} (from 0)",
    )
    if args.json is not None:
        write_json(args.json, {"seed": args.seed, "train": split.train, "held_out": split.held_out})
    return 0
