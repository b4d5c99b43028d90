"""`vdd fidelity`: compares a student's actions with its teacher's, policy file against policy file."""

import argparse
from pathlib import Path

from vdd_ros.cli.numbers import SEED, Whole
from vdd_ros.cli.results import add_result_options, check_result_options, keep_result
from vdd_ros.cli.threads import add_thread_option, settle_numpy_threads
from vdd_ros.console import show
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.places import OutputFile
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.progress import progress
from vdd_ros.tasks import get_task

HELP = "compare a student's actions with its teacher's at the same states"

DEMONSTRATOR_SEED = 1_000_003


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd fidelity`."""
    parser.add_argument("teacher", type=Path, help="policy file of the teacher (.onnx), of any kind")
    parser.add_argument("student", type=Path, help="policy file of the student (.onnx), of any kind")
    parser.add_argument(
        "--demos",
        type=Path,
        metavar="PATH",
        help="held-out demonstrations (default: new ones from the task's demonstrator)",
    )
    parser.add_argument(
        "--states", type=Whole(most=None), default=200, help="states of the demonstrations (default: %(default)s)"
    )
    parser.add_argument(
        "--samples", type=Whole(most=None), default=256, help="actions of each policy per state (default: %(default)s)"
    )
    parser.add_argument("--seed", type=SEED, default=0, help="seed of the random draws (default: %(default)s)")
    parser.add_argument("--figure", type=OutputFile, metavar="PNG", help="draw the results")
    parser.add_argument("--stamp", action="store_true", help="write the main figures into the student's policy file")
    add_result_options(parser)
    add_thread_option(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write the requested files."""
    from vdd_ros.evaluation.fidelity.record import fidelity_record, main_figures
    from vdd_ros.evaluation.fidelity.report import PHASES, FidelityConfig, measure
    from vdd_ros.evaluation.fidelity.table import fidelity_table

    check_result_options(args)
    chosen = settle_numpy_threads(args)
    config = FidelityConfig(states=args.states, samples=args.samples, seed=args.seed)
    teacher_file, student_file = PolicyFile.read(args.teacher), PolicyFile.read(args.student)
    teacher, student = (OnnxPolicy.load(file).spec for file in (teacher_file, student_file))
    demonstrations = _demonstrations(args.demos, student)
    with progress(PHASES * config.states, "states", "state") as bar:
        report, evidence = measure(teacher_file, student_file, demonstrations, config, bar.update)
    names = args.teacher.name, args.student.name
    show(fidelity_table(names, config, (teacher, student), demonstrations, report))
    show(f"  threads: {chosen.threads}, {chosen.reason}")
    if args.stamp:
        from vdd_ros.evaluation.fidelity.stamp import stamp

        student_file = stamp(student_file, main_figures(teacher_file, config, demonstrations, report))
    policies = ((teacher_file, teacher), (student_file, student))
    keep_result(args, fidelity_record(policies, config, demonstrations, report, chosen))
    if args.figure is not None:
        from vdd_ros.evaluation.fidelity.figure import save_figure

        title = f"{args.student.name} ({student.method}) against {args.teacher.name} ({teacher.method})"
        save_figure(args.figure, report, evidence, student, title)
    return 0


def _demonstrations(folder: Path | None, student: PolicySpec) -> DemonstrationSet:
    if folder is not None:
        return DemonstrationSet.load(folder)
    if student.task is None:
        raise ConfigurationError("the student does not name its task; give demonstrations: --demos PATH")
    task = get_task(student.task)
    with progress(task.default_demonstrations, "demonstrations", "episode") as bar:
        return task.demonstrate(task.default_demonstrations, DEMONSTRATOR_SEED, bar.update)
