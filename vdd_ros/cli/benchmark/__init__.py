"""`vdd benchmark SUITE`: one sub-command for each suite, with only its own options."""

import argparse

from vdd_ros.cli.actions import add_action, run_action

HELP = "benchmark methods, the policy node, the speed of learning, policy files, the reading of bags, or tasks"

SUITES = ("methods", "realtime", "speed", "pass", "data", "tasks")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the suites and their arguments."""
    suites = parser.add_subparsers(title="suites", metavar="SUITE", required=True)
    for name in SUITES:
        add_action(suites, name, f"benchmark.{'pass_times' if name == 'pass' else name}")


run = run_action
