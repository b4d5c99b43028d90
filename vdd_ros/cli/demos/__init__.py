"""`vdd demos`: demonstrations from a task's script, and what can be done with those that exist."""

import argparse
from importlib import import_module

from vdd_ros.tasks import task_names

HELP = "make demonstrations"

ACTIONS = ("from-bags", "info", "split", "describe", "convert")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions and the tasks, each with its own arguments; an action hides a task of its name."""
    choices = parser.add_subparsers(title="tasks and actions", metavar="TASK|ACTION", required=True)
    for name in ACTIONS:
        module = import_module(f"vdd_ros.cli.demos.{name.replace('-', '_')}")
        action = choices.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(action)
        action.set_defaults(run_action=module.run)
    scripted = import_module("vdd_ros.cli.demos.scripted")
    for name in task_names():
        if name not in ACTIONS:
            task = choices.add_parser(name, help=scripted.HELP, description=scripted.HELP)
            scripted.add_arguments(task)
            task.set_defaults(run_action=scripted.run, task=name)


def run(args: argparse.Namespace) -> int:
    """Run the action; return its exit code."""
    code: int = args.run_action(args)
    return code
