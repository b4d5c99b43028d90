"""Scripted demonstrations of a task, each verified by a replay."""

from pathlib import Path
from typing import TypedDict

import numpy as np

from vdd_ros.console import tell
from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
from vdd_ros.errors import DemonstrationError, TaskError
from vdd_ros.locks import holding
from vdd_ros.progress import progress
from vdd_ros.tasks import Task, get_task
from vdd_ros.tasks.rollout import Rollouts, replay
from vdd_ros.text import printable
from vdd_ros.workers import InProcess, Workers, run_all, shares

FIGURE_NAME = "demonstrations.png"
MOST_EPISODES = 1_000_000
EPISODES_A_SHARE = 8
"""Episodes that one worker demonstrates or replays at a time."""


class Lengths(TypedDict):
    """Steps of the episodes."""

    min: int
    median: float
    max: int


class DemonstrationReport(TypedDict):
    """Report of `vdd demos` on a set.

    Keys:
        task, seed: Name of the task, and seed of the demonstrator.
        episodes, pairs: Numbers of episodes and pairs.
        length: Steps of the episodes.
        replay_successes: Episodes that succeed in the replay.
        modes_of_task: Number of the task's modes.
        contexts: Number of different contexts; 0 for a task without.
        modes: Number of episodes by mode.
        sha256: Hash of the set.
    """

    task: str
    seed: int | None
    episodes: int
    pairs: int
    length: Lengths
    replay_successes: int
    modes_of_task: int
    contexts: int
    modes: dict[str, int]
    sha256: str


def make_demonstrations(
    task: Task,
    folder: Path,
    episodes: int | None = None,
    seed: int = 0,
    *,
    force: bool = False,
    pool: Workers | None = None,
    style: str | None = None,
) -> tuple[DemonstrationReport, bool]:
    """Demonstrate, replay, write the set and, if the task has a scene, its figure.

    Args:
        task: The task.
        folder: Folder of the set.
        episodes: Number of episodes, or None for the task's usual number.
        seed: Seed of the demonstrator.
        force: Replace other demonstrations in the folder.
        pool: Workers that demonstrate and replay, in shares of `EPISODES_A_SHARE`; None: this process. The set is the
            same.
        style: Name of another demonstrator of the task; None: the usual one.

    Returns:
        The report, and whether the folder already held this set, which then stays unchanged.

    Raises:
        DemonstrationError: A demonstration fails in the replay, the folder holds others, or there is no such style.
        ProcessError: The demonstrator or the simulation failed.
        HeldError: Another process uses the folder.
    """
    if seed < 0:
        raise DemonstrationError(f"--seed is {seed}; it must be 0 or more")
    if style is not None and style not in task.styles:
        known = f"it has {', '.join(task.styles)}" if task.styles else "it has none; omit it"
        raise DemonstrationError(f"--style is {printable(repr(style))}, no style of '{task.spec.name}'; {known}")
    episodes = task.default_demonstrations if episodes is None else episodes
    pool = InProcess() if pool is None else pool
    with holding(folder):
        demonstrations = _demonstrate(task, episodes, seed, pool, style)
        replayed = _replay(task, demonstrations, pool)
        file = folder / FILE_NAME
        same = file.exists() and not force and _is_same(file, demonstrations)
        if not same:
            demonstrations.save(folder)
        if task.scene is not None:
            _draw(folder / FIGURE_NAME, task, replayed, seed)
    return _report(task, demonstrations, replayed), same


def _demonstrate(task: Task, episodes: int, seed: int, pool: Workers, style: str | None) -> DemonstrationSet:
    """Make the set in shares, or as a whole if the task cannot divide it."""
    if not 1 <= episodes <= MOST_EPISODES:
        raise DemonstrationError(
            f"{episodes} demonstrations are requested; the number must be from 1 to {MOST_EPISODES:,}"
        )
    with progress(episodes, "demonstrations", "episode") as bar:
        if task.demonstrate_part is None and style is None:
            if not isinstance(pool, InProcess):
                tell(
                    f"the demonstrator of '{printable(task.spec.name)}' cannot make parts of a set: one process "
                    "demonstrates"
                )
            return task.demonstrate(episodes, seed, bar.update)
        numbers = _shares(episodes)
        payloads = {name: (task.spec.name, style, share, seed) for name, share in numbers.items()}
        parts = run_all(pool, _demonstrate_share, payloads, lambda name: bar.update(len(numbers[name])))
    return DemonstrationSet.joined(parts)


def _demonstrate_share(payload: tuple[str, str | None, range, int]) -> DemonstrationSet:
    name, style, numbers, seed = payload
    task = get_task(name)
    demonstrate = task.demonstrate_part if style is None else task.styles.get(style)
    if demonstrate is None:
        raise TaskError(
            f"the task '{printable(name)}' differs on this worker; install the same version for all workers"
        )
    return demonstrate(numbers, seed, lambda: None)


def _replay(task: Task, demonstrations: DemonstrationSet, pool: Workers) -> Rollouts:
    """Replay the set; raises DemonstrationError if an episode fails or takes another mode than stated."""
    count = len(demonstrations.lengths)
    numbers = _shares(count)
    payloads = {name: (task.spec.name, demonstrations.part(share)) for name, share in numbers.items()}
    with progress(count, "replays", "episode") as bar:
        parts = run_all(pool, _replay_share, payloads, lambda name: bar.update(len(numbers[name])))
    replayed = Rollouts.joined(parts)
    wrong = np.flatnonzero(~replayed.success | (replayed.modes != demonstrations.modes))
    if wrong.size:
        raise DemonstrationError(
            f"{wrong.size} of {len(replayed.success)} demonstrations fail or take another mode in the replay, first "
            f"number {wrong[0]}; nothing was written, please report this"
        )
    return replayed


def _replay_share(payload: tuple[str, DemonstrationSet]) -> Rollouts:
    name, demonstrations = payload
    return replay(get_task(name).make_sim(len(demonstrations.lengths)), demonstrations)


def _shares(episodes: int) -> dict[str, range]:
    """Return the episode numbers of each share by its name, independent of the number of workers."""
    found = shares(episodes, EPISODES_A_SHARE)
    return {f"episodes {share.start} to {share.stop - 1}": share for share in found}


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


def _report(task: Task, demonstrations: DemonstrationSet, replayed: Rollouts) -> DemonstrationReport:
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
    save_trajectories(file, task.spec.name, paths, modes, label="mode", names=task.mode_names, title=title)
