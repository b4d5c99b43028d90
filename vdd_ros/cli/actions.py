"""Commands that consist of actions, such as `vdd robot check`: one module each, with only its own options."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import Any

ActionParsers = Any
"""Return type of `ArgumentParser.add_subparsers`; argparse has no public name for it."""


def add_action(actions: ActionParsers, name: str, place: str, summary: str = "", **defaults: str) -> None:
    """Add an action to a command's sub-parsers.

    Args:
        actions: The sub-parsers.
        name: Name of the action.
        place: Its module below `vdd_ros.cli`, with HELP, `add_arguments` and `run`.
        summary: In place of HELP in the list of actions.
        **defaults: Arguments implied by the name.
    """
    module = import_module(f"vdd_ros.cli.{place}")
    parser = actions.add_parser(name, help=summary or module.HELP, description=module.HELP)
    module.add_arguments(parser)
    parser.set_defaults(run_action=module.run, **defaults)


def add_actions(actions: ActionParsers, command: str, names: Sequence[str]) -> None:
    """Add actions whose modules are in the folder of a command, under their names with underscores."""
    for name in names:
        add_action(actions, name, f"{command}.{name.replace('-', '_')}")


def run_action(args: argparse.Namespace) -> int:
    """Run the chosen action; return its exit code."""
    code: int = args.run_action(args)
    return code
