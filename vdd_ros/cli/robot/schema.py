"""`vdd robot schema`: the JSON schema of robot files, for editors."""

import argparse

from vdd_ros.console import show
from vdd_ros.files import replacing
from vdd_ros.places import OutputFile

HELP = "print the JSON schema of robot files, which editors use to complete and check keys"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd robot schema`."""
    parser.add_argument("--out", type=OutputFile, metavar="FILE", help="write it to this file instead (.json)")


def run(args: argparse.Namespace) -> int:
    """Print or write the schema."""
    from vdd_ros.robot.json_schema import robot_file_schema

    if args.out is None:
        show(robot_file_schema().rstrip())
        return 0
    with replacing(args.out) as part:
        part.write_text(robot_file_schema())
    show(
        f"{args.out}: the schema of robot files; name it in the editor's settings, or in the first line of a robot "
        f"file:"
    )
    show(f"# yaml-language-server: $schema={args.out}")
    return 0
