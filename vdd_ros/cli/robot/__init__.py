"""`vdd robot ACTION`: one sub-command per action on robot files, with only its own options."""

import argparse

from vdd_ros.cli.actions import add_actions, run_action

HELP = "make a robot file from a bag, check one against a bag or the running robot, or print the schema"

ACTIONS = ("new", "check", "schema")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their arguments."""
    add_actions(parser.add_subparsers(title="actions", metavar="ACTION", required=True), "robot", ACTIONS)


run = run_action
