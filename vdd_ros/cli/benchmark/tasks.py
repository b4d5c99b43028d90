"""`vdd benchmark tasks`: the speed of simulated tasks."""

import argparse

from vdd_ros.benchmark.markdown_block import check_block
from vdd_ros.benchmark.task_speed import BEGIN, END, EPISODES, ROUNDS, measure_tasks, table, update_page
from vdd_ros.cli.numbers import Whole
from vdd_ros.console import show
from vdd_ros.documents import write_json
from vdd_ros.places import OutputFile
from vdd_ros.tasks import task_names

HELP = "measure the speed of simulated tasks: control steps per second and core"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd benchmark tasks`."""
    names = f"{', '.join(task_names())} (default: all that can be simulated here)"
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help=names)
    parser.add_argument(
        "--episodes", type=Whole(), default=EPISODES, metavar="N", help="simulated together (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=Whole(), default=ROUNDS, metavar="N", help="repetitions of each task (default: %(default)s)"
    )
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")
    parser.add_argument("--figure", type=OutputFile, metavar="PNG", help="draw the speeds and their goals")
    parser.add_argument(
        "--docs", type=OutputFile, metavar="FILE", help="Markdown page whose marked block becomes the table"
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write the requested files; always return 0."""
    if args.docs is not None:
        check_block(args.docs, BEGIN, END)
    found = measure_tasks(args.tasks, args.episodes, args.rounds)
    show(table(found))
    if args.json is not None:
        write_json(args.json, found)
    if args.docs is not None:
        update_page(args.docs, found)
    if args.figure is not None:
        from vdd_ros.benchmark.task_speed_figure import draw

        draw(args.figure, found)
    return 0
