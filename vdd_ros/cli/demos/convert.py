"""`vdd demos convert`: converts demonstrations from one format to another."""

import argparse
from pathlib import Path

from vdd_ros.console import show
from vdd_ros.data.formats.conversion import Converted, convert
from vdd_ros.places import OutputFolder

HELP = "write demonstrations in another format, such as LeRobot's"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd demos convert`."""
    parser.add_argument("data", type=Path, metavar="PATH", help="demonstrations: a folder or a file of any format")
    parser.add_argument("--to", required=True, metavar="FORMAT", help="format to write, such as lerobot or npz")
    parser.add_argument("--out", type=OutputFolder, required=True, metavar="DIR", help="folder to write into")
    parser.add_argument("--force", action="store_true", help="replace demonstrations of that format in the folder")


def run(args: argparse.Namespace) -> int:
    """Convert, then print a summary of the written set."""
    show(_format(convert(args.data, args.to, args.out, force=args.force)))
    return 0


def _format(done: Converted) -> str:
    found = done.demonstrations
    unknown = [one.name for one in (*found.header.vector, *found.header.action) if one.unit == "unknown"]
    rows = {
        "episodes": f"{len(found.lengths):,}",
        "pairs": f"{found.lengths.sum():,}",
        "observation": f"{len(found.header.vector)} numbers, {len(found.header.arrays)} arrays",
        "action": f"{len(found.header.action)} numbers",
        "rate": f"{found.header.rate_hz:g} Hz",
        "numbers": done.dtype,
        "units": f"unknown for {len(unknown)} numbers; 'vdd demos describe' helps to state them"
        if unknown
        else "known",
    }
    lines = (f"  {name:<13}{text}" for name, text in rows.items())
    return "\n".join([f"{done.place}: {found.header.task}, from {found.header.source}", *lines])
