"""`vdd demos`: scripted demonstrations of a task, each proved by replaying it."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from vdd_ros.console import show
from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
from vdd_ros.documents import write_json
from vdd_ros.errors import DemonstrationError
from vdd_ros.files import holding
from vdd_ros.places import OutputFile, OutputFolder
from vdd_ros.progress import progress
from vdd_ros.tasks import Task, get_task, task_names
from vdd_ros.tasks.rollout import Rollouts, replay

HELP = "make scripted demonstrations of a task"

FIGURE_NAME = "demonstrations.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd demos`."""
    parser.add_argument("task", help=f"name of the task: {', '.join(task_names())}")
    parser.add_argument("--out", type=OutputFolder, required=True, metavar="DIR", help="folder of the demonstrations")
    parser.add_argument("--episodes", type=int, help="number of episodes (default: the task's usual number)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the demonstrator (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace other demonstrations that are in the folder")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Demonstrate, replay, write the set and its figure, print the table."""
    if args.seed < 0:
        raise DemonstrationError(f"--seed is {args.seed}; it must be 0 or more")
    task = get_task(args.task)
    episodes = task.default_demonstrations if args.episodes is None else args.episodes
    with holding(args.out):
        demonstrations = _demonstrate(task, episodes, args.seed)
        replayed = _replay(task, demonstrations)
        file = args.out / FILE_NAME
        if file.exists() and not args.force and _is_same(file, demonstrations):
            show(f"{file} holds these demonstrations already; it stays as it is")
        else:
            demonstrations.save(args.out)
        report = _report(task, demonstrations, replayed)
        show(_format(report, file, task.scene is not None))
        if task.scene is not None:
            _draw(args.out / FIGURE_NAME, task, replayed, args.seed)
    if args.json is not None:
        write_json(args.json, report)
    return 0


def _demonstrate(task: Task, episodes: int, seed: int) -> DemonstrationSet:
    with progress(episodes, "demonstrations", "episode") as bar:
        return task.demonstrate(episodes, seed, bar.update)


def _replay(task: Task, demonstrations: DemonstrationSet) -> Rollouts:
    """Replay the set; raises DemonstrationError if an episode fails or goes another way than it says."""
    replayed = replay(task.make_sim(len(demonstrations.lengths)), demonstrations)
    wrong = np.flatnonzero(~replayed.success | (replayed.modes != demonstrations.modes))
    if wrong.size:
        raise DemonstrationError(
            f"{wrong.size} of {len(replayed.success)} demonstrations fail or take another way when they are replayed, "
            f"first number {wrong[0]}; nothing was written, please report this"
        )
    return replayed


def _is_same(file: Path, demonstrations: DemonstrationSet) -> bool:
    """Return True if a file holds these demonstrations; raises DemonstrationError if it holds anything else."""
    try:
        found = DemonstrationSet.load(file)
    except DemonstrationError as error:
        raise DemonstrationError(f"{error}; --force replaces it") from error
    if found.sha256 == demonstrations.sha256:
        return True
    raise DemonstrationError(
        f"{file} holds other demonstrations: {len(found.lengths)} episodes of '{found.header.task}', seed "
        f"{found.header.seed}; replace them with --force or name another folder"
    )


def _report(task: Task, demonstrations: DemonstrationSet, replayed: Rollouts) -> dict[str, Any]:
    lengths = demonstrations.lengths
    modes, counts = np.unique(demonstrations.modes, return_counts=True)
    return {
        "task": task.spec.name,
        "seed": demonstrations.header.seed,
        "episodes": len(lengths),
        "pairs": int(lengths.sum()),
        "length": {"min": int(lengths.min()), "median": float(np.median(lengths)), "max": int(lengths.max())},
        "replay_successes": int(replayed.success.sum()),
        "modes_of_task": task.spec.modes,
        "contexts": len(np.unique(demonstrations.contexts, axis=0)) if task.spec.context else 0,
        "modes": {str(mode): int(count) for mode, count in zip(modes, counts, strict=True)},
        "sha256": demonstrations.sha256,
    }


def _format(report: dict[str, Any], file: Path, is_drawn: bool) -> str:
    length, counts = report["length"], sorted(set(report["modes"].values()))
    times = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    rows = {
        "episodes": f"{report['episodes']}, of which {report['replay_successes']} succeed when replayed",
        "pairs": f"{report['pairs']}",
        "steps": f"{length['min']} to {length['max']}, median {length['median']:g}",
        **({"contexts": f"{report['contexts']} different ones"} if report["contexts"] else {}),
        "modes": f"{len(report['modes'])} of {report['modes_of_task']}, {times} each",
        "sha256": report["sha256"],
        "file": f"{file}",
        "figure": f"{file.with_name(FIGURE_NAME)}" if is_drawn else "none: the task has no scene",
    }
    return "\n".join(
        [f"{report['task']}, seed {report['seed']}", *(f"  {name:<10}{text}" for name, text in rows.items())]
    )


def _draw(file: Path, task: Task, replayed: Rollouts, seed: int) -> None:
    from vdd_ros.tasks.render import position_columns, save_trajectories

    paths = replayed.paths(position_columns(task.spec))
    modes = [np.full(len(path), mode) for path, mode in zip(paths, replayed.modes, strict=True)]
    title = f"{len(paths)} scripted demonstrations of {task.spec.name}, coloured by mode (seed {seed})"
    save_trajectories(file, task.spec.name, paths, modes, label="mode", title=title)
