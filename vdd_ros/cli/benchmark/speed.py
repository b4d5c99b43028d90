"""`vdd benchmark speed`: how fast training learns, against a straightforward loop or another checkout."""

import argparse
from pathlib import Path

from vdd_ros.cli.numbers import POSITIVE, TRAINING_STEPS, Whole
from vdd_ros.cli.options import BACKBONES
from vdd_ros.console import show
from vdd_ros.documents import write_json
from vdd_ros.errors import ConfigurationError
from vdd_ros.evaluation.compatibility import task_of
from vdd_ros.places import OutputFile, OutputFolder, check_folder
from vdd_ros.tasks import SHIPPED_TASK, task_names

HELP = "measure the speed of learning, against a straightforward loop or another checkout"
STEPS = 1200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd benchmark speed`."""
    parser.add_argument("--task", help=f"{', '.join(task_names())} (default: that of --demos, else {SHIPPED_TASK})")
    parser.add_argument("--backbone", choices=BACKBONES, default="gpt", help="of all networks (default: %(default)s)")
    parser.add_argument(
        "--steps",
        type=TRAINING_STEPS,
        help="of each loop (default: 1200; with --against, those of the presets)",
    )
    parser.add_argument(
        "--rates",
        type=POSITIVE,
        nargs="+",
        metavar="RATE",
        help="learning rates of the straightforward loop (default: the paper's, ours and one in between)",
    )
    parser.add_argument(
        "--teacher-steps",
        type=TRAINING_STEPS,
        metavar="STEPS",
        help="training steps of a missing teacher, for a quick try (default: as usual)",
    )
    parser.add_argument(
        "--demos", type=Path, metavar="PATH", help="demonstrations of the task (default: made as by vdd demos)"
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
        help="folder of the record and the figure (default: results; with --teacher-steps, that of --work; with "
        "--against, none)",
    )
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")
    other = parser.add_argument_group("against another checkout")
    other.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="folder of the other checkout: both learn on the same --demos, whole trainings in one thread each; an "
        "interrupted comparison continues in --work",
    )
    other.add_argument(
        "--busy", type=Whole(0, 1024), default=0, metavar="N", help="also time trainings beside N busy processes"
    )
    other.add_argument(
        "--seeds", type=Whole(most=1000), default=1, help="whole trainings a case (default: %(default)s)"
    )
    other.add_argument("--repeats", type=Whole(most=1000), metavar="N", help="timed ones a case (default: --seeds)")
    other.add_argument("--timed-steps", type=Whole(), default=150, metavar="N", help="of a timed one (default: 150)")
    other.add_argument("--rollouts", type=Whole(), default=480, help="episodes of each policy (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Train the teacher if necessary, compare, print the table."""
    from vdd_ros.benchmark.methods.runner import Runner
    from vdd_ros.benchmark.methods.suite import find_demonstrations
    from vdd_ros.benchmark.speed.command import compare_speed, table
    from vdd_ros.locks import holding
    from vdd_ros.workers import InProcess

    args.task = args.task or task_of(args.demos)
    if args.against is not None:
        return _against(args)
    report = args.report or (args.work if args.teacher_steps else Path("results"))
    check_folder("--report", report)
    with holding(args.work):
        data = find_demonstrations([args.task], args.demos, args.work, InProcess())
        runner = Runner(args.work.resolve(), data, 1, args.teacher_steps, args.device)
        record = compare_speed(runner, args.task, args.backbone, args.steps or STEPS, report, args.rates)
    show(table(record))
    if args.json is not None:
        write_json(args.json, record)
    return 0


def _against(args: argparse.Namespace) -> int:
    """Compare learning in this checkout with that in another, and print the table."""
    from vdd_ros.benchmark.speed.against import compare_checkouts
    from vdd_ros.benchmark.speed.comparison import table
    from vdd_ros.benchmark.speed.comparison_report import keep
    from vdd_ros.locks import holding

    if args.demos is None:
        raise ConfigurationError("--against compares checkouts on the same data; give it: --demos PATH")
    settings = ("task", "backbone", "seeds", "repeats", "rollouts", "steps", "timed_steps", "busy")
    with holding(args.work):
        record = compare_checkouts(
            args.against, args.demos, args.work, **{name: getattr(args, name) for name in settings}
        )
    show(table(record))
    keep(record, args.report, args.json)
    return 0
