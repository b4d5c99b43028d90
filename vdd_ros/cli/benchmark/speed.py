"""`vdd benchmark speed`: how fast distillation learns, against a straightforward training loop."""

import argparse
from pathlib import Path

from vdd_ros.cli.options import BACKBONES
from vdd_ros.console import show
from vdd_ros.documents import write_json
from vdd_ros.errors import ConfigurationError
from vdd_ros.places import OutputFile, OutputFolder, check_folder
from vdd_ros.tasks import task_names

HELP = "how fast distillation learns, against a straightforward training loop"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd benchmark speed`."""
    parser.add_argument(
        "--task", default="avoiding", help=f"one of {', '.join(task_names())}; its BESO teacher is distilled"
    )
    parser.add_argument("--backbone", choices=BACKBONES, default="gpt", help="of all networks (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=1200, help="expert steps of each loop (default: %(default)s)")
    parser.add_argument(
        "--rates",
        type=float,
        nargs="+",
        metavar="RATE",
        help="learning rates of the straightforward loop (default: the paper's, ours and one between them)",
    )
    parser.add_argument(
        "--teacher-steps",
        type=int,
        metavar="STEPS",
        help="training steps of the teacher where it is missing, for a quick try (default: as usual)",
    )
    parser.add_argument(
        "--demos", type=Path, metavar="DIR", help="demonstrations of the task (default: made as by vdd demos)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: %(default)s)")
    parser.add_argument(
        "--work",
        type=OutputFolder,
        default="runs/benchmark",
        metavar="DIR",
        help="where the teacher is kept (default: %(default)s)",
    )
    parser.add_argument(
        "--report",
        type=OutputFolder,
        metavar="DIR",
        help="folder of the record and the figure (default: results; with --teacher-steps, that of --work)",
    )
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Train the teacher if need be, race, print the table."""
    from vdd_ros.benchmark.methods.maker import Maker
    from vdd_ros.benchmark.methods.suite import find_demonstrations
    from vdd_ros.benchmark.speed.command import race, table
    from vdd_ros.files import holding
    from vdd_ros.workers import InProcess

    for name in ("steps", "teacher_steps"):
        if (value := getattr(args, name)) is not None and value < 1:
            raise ConfigurationError(f"--{name.replace('_', '-')} is {value}; it must be at least 1")
    report = args.report or (args.work if args.teacher_steps else Path("results"))
    check_folder("--report", report)
    with holding(args.work):
        data = find_demonstrations([args.task], args.demos, args.work, InProcess())
        maker = Maker(args.work.resolve(), data, 1, args.teacher_steps, args.device)
        record = race(maker, args.task, args.backbone, args.steps, report, args.rates)
    show(table(record))
    if args.json is not None:
        write_json(args.json, record)
    return 0
