"""`vdd demos TASK`: scripted demonstrations of a task, each verified by a replay."""

import argparse
from pathlib import Path

from vdd_ros.cli.numbers import SEED, Whole
from vdd_ros.cli.options import add_worker_options
from vdd_ros.console import show
from vdd_ros.data.demonstrations import FILE_NAME
from vdd_ros.documents import write_json
from vdd_ros.evaluation.demonstrations import FIGURE_NAME, DemonstrationReport, make_demonstrations
from vdd_ros.places import OutputFile, OutputFolder
from vdd_ros.tasks import get_task
from vdd_ros.workers import workers

HELP = "make scripted demonstrations of this task"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd demos TASK`."""
    parser.add_argument("--out", type=OutputFolder, required=True, metavar="DIR", help="folder of the demonstrations")
    parser.add_argument("--episodes", type=Whole(), help="number of episodes (default: the task's usual number)")
    parser.add_argument("--seed", type=SEED, default=0, help="seed of the demonstrator (default: %(default)s)")
    parser.add_argument("--style", help="another demonstrator of the task, such as 'human' of avoiding")
    parser.add_argument("--force", action="store_true", help="replace other demonstrations in the folder")
    add_worker_options(parser)
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Make the set, print the table."""
    task = get_task(args.task)
    with workers(args.jobs, args.ray) as pool:
        how = {"force": args.force, "pool": pool, "style": args.style}
        report, same = make_demonstrations(task, args.out, args.episodes, args.seed, **how)
    file = args.out / FILE_NAME
    if same:
        show(f"{file} already holds these demonstrations; it is unchanged")
    show(_format(report, file, task.scene is not None))
    if args.json is not None:
        write_json(args.json, report)
    return 0


def _format(report: DemonstrationReport, file: Path, is_drawn: bool) -> str:
    length, counts = report["length"], sorted(set(report["modes"].values()))
    times = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    rows = {
        "episodes": f"{report['episodes']}, {report['replay_successes']} successful in the replay",
        "pairs": f"{report['pairs']}",
        "steps": f"{length['min']} to {length['max']}, median {length['median']:g}",
        **({"contexts": f"{report['contexts']} different"} if report["contexts"] else {}),
        "modes": f"{len(report['modes'])} of {report['modes_of_task']}, {times} each",
        "sha256": report["sha256"],
        "file": f"{file}",
        "figure": f"{file.with_name(FIGURE_NAME)}" if is_drawn else "none: the task has no scene",
    }
    return "\n".join(
        [f"{report['task']}, seed {report['seed']}", *(f"  {name:<10}{text}" for name, text in rows.items())]
    )
