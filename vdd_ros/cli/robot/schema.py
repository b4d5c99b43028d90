"""`vdd robot schema`: the JSON schema of robot files, for editors."""

import argparse

from vdd_ros.console import show
from vdd_ros.files import replacing
from vdd_ros.places import OutputFile

HELP = "print the JSON schema of robot files, by which editors complete and check their keys"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd robot schema`."""
    parser.add_argument("--out", type=OutputFile, metavar="FILE", help="write it there instead (.json)")


def run(args: argparse.Namespace) -> int:
    """Print or write the schema."""
    from vdd_ros.robot.json_schema import robot_file_schema

    if args.out is None:
        show(robot_file_schema().rstrip())
        return 0
    with replacing(args.out) as part:
        part.write_text(robot_file_schema())
    show(f"{args.out}: the schema of robot files; name it to the editor, or in the first line of a robot file:")
    show(f"# yaml-language-server: $schema={args.out}")
    return 0
