"""`vdd demo`: a simulated robot, a policy that commands it and one that shadows it, recorded and compared."""

import argparse
from pathlib import Path

from vdd_ros.cli.numbers import POSITIVE, SEED, Whole
from vdd_ros.demo.demo import Demo, policy_files, run_demo
from vdd_ros.documents import write_json
from vdd_ros.places import OutputFile, OutputFolder
from vdd_ros.tasks import SHIPPED_TASK, get_task, task_names

HELP = "run student and teacher beside a simulated robot over ROS 2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd demo`."""
    parser.add_argument("--out", type=OutputFolder, default="demo_out", help="new folder (default: %(default)s)")
    parser.add_argument("--task", default=SHIPPED_TASK, help=f"{', '.join(task_names())} (default: %(default)s)")
    parser.add_argument("--episodes", type=Whole(), default=10, help="episodes (default: %(default)s)")
    parser.add_argument(
        "--policy",
        default="student",
        metavar="student|teacher|FILE",
        help="commanding policy; the teacher shadows it, or the student the teacher (default: %(default)s)",
    )
    parser.add_argument("--student", type=Path, metavar="FILE", help="student's policy file (default: the shipped one)")
    parser.add_argument("--teacher", type=Path, metavar="FILE", help="teacher's policy file (default: the shipped one)")
    parser.add_argument(
        "--shadow",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="another shadow policy file; may be repeated (nodes shadow_1, shadow_2, ...)",
    )
    parser.add_argument(
        "--repeats",
        type=Whole(0),
        default=0,
        help="rounds: every policy first commands alone, then all run together, each run with its own bag; 0: only "
        "together, once (default: %(default)s)",
    )
    parser.add_argument("--seed", type=SEED, default=0, help="seed of policies and simulation (default: %(default)s)")
    parser.add_argument(
        "--speed", type=POSITIVE, default=1.0, help="simulated seconds per second (default: real time, %(default)s)"
    )
    parser.add_argument("--video", action="store_true", help="film the episodes, as episodes.mp4 in --out")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Run the demo; return 0 if more than half of the episodes reached the goal and no record is missing."""
    get_task(args.task)
    files = policy_files(args.policy, args.student, args.teacher, args.shadow, args.task)
    demo = Demo(args.out, files, args.episodes, args.seed, args.speed, args.repeats, args.task, args.video)
    demo.check_files()
    report = run_demo(demo)
    if args.json is not None:
        write_json(args.json, report)
    return 0 if report["status"] == "passed" else 1
