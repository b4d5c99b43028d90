"""`vdd import`: imports a teacher that another program trained."""

import argparse

from vdd_ros.cli.actions import add_action, run_action
from vdd_ros.learning.importing.registry import IMPORTERS, SUMMARIES

HELP = "import a diffusion policy that another program trained, as a teacher"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the programs, each with the same arguments."""
    choices = parser.add_subparsers(title="programs", metavar="PROGRAM", required=True)
    for name in IMPORTERS.names():
        add_action(choices, name, "import_teacher", SUMMARIES.get(name, ""), importer=name)


run = run_action
