"""`vdd demos`: makes scripted demonstrations of a task, and works on existing ones."""

import argparse

from vdd_ros.cli.actions import add_action, add_actions, run_action
from vdd_ros.tasks import task_names

HELP = "make demonstrations from a task's script or from bags; describe, divide and convert them"

ACTIONS = ("from-bags", "info", "split", "describe", "convert")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions and the tasks, each with its own arguments; an action hides a task of the same name."""
    choices = parser.add_subparsers(title="tasks and actions", metavar="TASK|ACTION", required=True)
    add_actions(choices, "demos", ACTIONS)
    for name in task_names():
        if name not in ACTIONS:
            add_action(choices, name, "demos.scripted", task=name)


run = run_action
