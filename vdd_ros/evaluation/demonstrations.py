"""Scripted demonstrations of a task, each proved by replaying it."""

from pathlib import Path
from typing import Any

import numpy as np

from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
from vdd_ros.errors import DemonstrationError
from vdd_ros.files import holding
from vdd_ros.progress import progress
from vdd_ros.tasks import Task
from vdd_ros.tasks.rollout import Rollouts, replay

FIGURE_NAME = "demonstrations.png"


def make_demonstrations(
    task: Task, folder: Path, episodes: int | None = None, seed: int = 0, *, force: bool = False
) -> tuple[dict[str, Any], bool]:
    """Demonstrate, replay, write the set and, where the task has a scene, its figure.

    Args:
        task: The task.
        folder: Where the set goes.
        episodes: How many, or None for the task's usual number.
        seed: Of the demonstrator.
        force: Replace other demonstrations that are in the folder.

    Returns:
        The numbers, and whether the folder held this very set before, which then stays as it is.

    Raises:
        DemonstrationError: A demonstration fails when it is replayed, or the folder holds others.
        HeldError: Another process is at the folder.
    """
    if seed < 0:
        raise DemonstrationError(f"--seed is {seed}; it must be 0 or more")
    with holding(folder):
        demonstrations = _demonstrate(task, task.default_demonstrations if episodes is None else episodes, seed)
        replayed = _replay(task, demonstrations)
        file = folder / FILE_NAME
        same = file.exists() and not force and _is_same(file, demonstrations)
        if not same:
            demonstrations.save(folder)
        if task.scene is not None:
            _draw(folder / FIGURE_NAME, task, replayed, seed)
    return _report(task, demonstrations, replayed), same


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


def _draw(file: Path, task: Task, replayed: Rollouts, seed: int) -> None:
    from vdd_ros.tasks.render import position_columns, save_trajectories

    paths = replayed.paths(position_columns(task.spec))
    modes = [np.full(len(path), mode) for path, mode in zip(paths, replayed.modes, strict=True)]
    title = f"{len(paths)} scripted demonstrations of {task.spec.name}, coloured by mode (seed {seed})"
    save_trajectories(file, task.spec.name, paths, modes, label="mode", title=title)
