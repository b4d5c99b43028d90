"""`vdd demos describe`: drafts a description of another program's data set, for its owner to complete."""

import argparse
from pathlib import Path

from vdd_ros.console import show
from vdd_ros.data.formats.outline import outline, write_outline
from vdd_ros.places import OutputFile

HELP = "describe a data set of another program: keys, names, units, rate"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd demos describe`."""
    parser.add_argument("data", type=Path, metavar="PATH", help="the data set: a folder or a file")
    parser.add_argument(
        "--out", type=OutputFile, metavar="FILE", help="description to write, a .yaml file (default: print it)"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE")


def run(args: argparse.Namespace) -> int:
    """Print the description, or write it."""
    if args.out is None:
        show(outline(args.data).rstrip())
        return 0
    write_outline(args.data, args.out, force=args.force)
    show(f"{args.out}: complete it, then pass it as the demonstrations: --demos {args.out}")
    return 0
