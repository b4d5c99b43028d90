"""`vdd bag`: what can be done for a bag."""

import argparse
import sys
from pathlib import Path

HELP = "mend a latency bag whose recorder was killed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd bag`."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    about = "make a whole bag of what a killed recorder left: all but its last second"
    action = actions.add_parser("mend", help=about, description=about)
    action.add_argument("bag", type=Path, help="the folder BAG.partial that was left, or an .mcap file")
    action.add_argument("--out", type=Path, metavar="DIR", help="bag to make (default: BAG)")


def run(args: argparse.Namespace) -> int:
    """Mend and say what there is; return 1 if records are missing."""
    from vdd_ros.nodes.bag_mend import mend

    mended = mend(args.bag, args.out)
    if mended.replaced is not None:
        print(f"{mended.replaced}, which an earlier try left, was replaced", file=sys.stderr)
    print(f"{mended.output}: {mended.messages} messages; {args.bag} is no longer needed")
    if mended.gaps:
        print(mended.gaps, file=sys.stderr)
    return 1 if mended.gaps else 0
