"""`vdd benchmark SUITE`: one sub-command for each suite, with only its own options."""

import argparse
from importlib import import_module

HELP = "benchmark methods, the policy node, the speed of learning, policy files, or the reading of bags"

SUITES = ("methods", "realtime", "speed", "pass", "data")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the suites and their arguments."""
    suites = parser.add_subparsers(title="suites", metavar="SUITE", required=True)
    for name in SUITES:
        module = import_module(f"vdd_ros.cli.benchmark.{'pass_times' if name == 'pass' else name}")
        suite = suites.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(suite)
        suite.set_defaults(run_suite=module.run)


def run(args: argparse.Namespace) -> int:
    """Run the suite; return its exit code."""
    code: int = args.run_suite(args)
    return code
