"""`vdd evaluate`: runs a policy file in many episodes of its task; measures success and diversity."""

import argparse
from hashlib import sha256
from pathlib import Path

from vdd_ros.cli.chunk_options import add_chunk_options, delays_of
from vdd_ros.cli.numbers import POSITIVE, SEED, Whole, count_or_file
from vdd_ros.cli.options import add_worker_options
from vdd_ros.cli.results import add_result_options, check_result_options, keep_result
from vdd_ros.console import show
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.evaluation.contexts import read_contexts
from vdd_ros.evaluation.delay_figure import draw_delays
from vdd_ros.evaluation.delays import delays_record, evaluate_delays, tables
from vdd_ros.evaluation.entrant import Entrant
from vdd_ros.evaluation.rollout_report import RolloutSettings, draw_all
from vdd_ros.places import OutputFile
from vdd_ros.policy.onnx_policy import NOISES
from vdd_ros.policy.selection import SELECTIONS
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.tasks import Task, get_task
from vdd_ros.tasks.encoding import check_video
from vdd_ros.workers import workers

HELP = "run a policy file in its task: success and diversity"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd evaluate`."""
    parser.add_argument("policy", type=Path, help="policy file (.onnx)")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="FILE",
        help="another policy file, such as the teacher: run it from the same contexts with the same seeds, and report "
        "the differences",
    )
    parser.add_argument("--task", help="task (default: the file's own)")
    parser.add_argument("--rollouts", type=Whole(), default=480, help="episodes per seed (default: %(default)s)")
    parser.add_argument(
        "--seeds", type=SEED, nargs="+", default=[0], help="seeds of the random draws, one run each (default: 0)"
    )
    parser.add_argument(
        "--expert", choices=SELECTIONS, default="sample", help="for mixtures: which expert acts (default: %(default)s)"
    )
    parser.add_argument(
        "--noise",
        choices=NOISES,
        default="mean",
        help="for mixtures: execute the expert's mean, or a sample from it (default: %(default)s)",
    )
    add_chunk_options(parser)
    parser.add_argument(
        "--goals",
        type=Path,
        metavar="DIR",
        help="for policies with goals: demonstrations whose last observations are the goals",
    )
    parser.add_argument(
        "--contexts",
        type=count_or_file,
        metavar="N|FILE",
        help="for tasks with contexts: start the episodes from N contexts in turn, or from those of a file: an .npz "
        "archive with an array for each entry, or demonstrations (default: the task's usual number)",
    )
    parser.add_argument("--sheet", type=OutputFile, metavar="PNG", help="draw some episodes of each mode and failures")
    parser.add_argument("--figure", type=OutputFile, metavar="PNG", help="draw the trajectories of the first seed")
    parser.add_argument("--video", type=OutputFile, metavar="MP4", help="film some episodes of each mode and failures")
    parser.add_argument(
        "--video-speed", type=POSITIVE, default=1.0, metavar="X", help="simulated seconds a second (default: real time)"
    )
    add_worker_options(parser)
    add_result_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run the episodes, print the tables, write the requested files."""
    _check_arguments(args)
    entrants = [Entrant.open(path, args.expert, args.noise) for path in (args.policy, args.against) if path is not None]
    task = _task_of(entrants[0].policy.spec, args)
    if any(file is not None for file in (args.figure, args.sheet, args.video)):
        task.get_scene()  # refuses a task without one before the rollouts
    goals = None if args.goals is None else DemonstrationSet.load(args.goals)
    contexts = read_contexts(args.contexts, task.spec) if isinstance(args.contexts, Path) else args.contexts
    starts = sha256(contexts.tobytes()).hexdigest() if isinstance(args.contexts, Path) else None
    goals_sha256 = None if goals is None else goals.sha256
    how = (args.action_steps, args.expert, args.noise, goals_sha256, starts)
    settings = RolloutSettings(args.rollouts, args.seeds, *how, prefix=args.prefix)
    with workers(args.jobs, args.ray) as pool:
        found = evaluate_delays(entrants, task, settings, delays_of(args), goals, contexts, pool)
    show(*tables(found))
    keep_result(args, delays_record(found))
    draw_delays(args.delay_figure, found)
    pictures = {"figure": args.figure, "sheet": args.sheet, "video": args.video}
    draw_all(
        pictures,
        args.policy.name,
        task,
        found[0][0].evaluated.runs[args.seeds[0]],
        args.seeds[0],
        speed=args.video_speed,
    )
    return 0


def _check_arguments(args: argparse.Namespace) -> None:
    if len(set(args.seeds)) < len(args.seeds):
        raise ConfigurationError(f"--seeds are {args.seeds}; they must be different numbers")
    if args.video is not None:
        check_video("--video", args.video)
    check_result_options(args)


def _task_of(policy: PolicySpec, args: argparse.Namespace) -> Task:
    name = args.task or policy.task
    if name is None:
        raise ConfigurationError(f"{args.policy} does not name its task; give it: --task NAME")
    return get_task(name)
