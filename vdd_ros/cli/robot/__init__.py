"""`vdd robot ACTION`: one sub-command for each thing to do with a robot file, with only its own options."""

import argparse
from importlib import import_module

HELP = "make a robot file from a bag, check one against a bag or the running robot, or print the schema of all"

ACTIONS = ("new", "check", "schema")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name in ACTIONS:
        module = import_module(f"vdd_ros.cli.robot.{name}")
        action = actions.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(action)
        action.set_defaults(run_action=module.run)


def run(args: argparse.Namespace) -> int:
    """Do it; return the exit code."""
    code: int = args.run_action(args)
    return code
