"""The contexts from which rollouts start: drawn by the task, or given in a file."""

from pathlib import Path

import numpy as np

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import npz
from vdd_ros.data.formats.npz_members import read_arrays
from vdd_ros.errors import ConfigurationError
from vdd_ros.tasks import Task
from vdd_ros.tasks.base import Floats, TaskSpec
from vdd_ros.text import printable

TEST_CONTEXTS_SEED = 0
"""Seed of the contexts, which are the same for every policy and every seed of its draws."""
MOST_BYTES = 64 << 20


def contexts_of_episodes(task: Task, contexts: int | np.integer | Floats | None, rollouts: int) -> Floats:
    """Return the context of each episode, (rollouts, c): episode i starts from context i mod their number.

    Args:
        task: The task.
        contexts: Their number; or contexts, (C, c); None: the task's `test_contexts`.
        rollouts: Number of episodes.

    Raises:
        ConfigurationError: The number is below 1, the contexts have another shape, or there are any for a task whose
            episodes all start alike.
    """
    if contexts is None:
        contexts = task.test_contexts
    elif isinstance(contexts, int | np.integer) and (contexts < 1 or not task.spec.context):
        raise ConfigurationError(
            f"--contexts is {contexts}; {'it must be at least 1' if task.spec.context else _alike(task.spec)}"
        )
    if isinstance(contexts, int | np.integer):
        contexts = task.draw_contexts(int(contexts), TEST_CONTEXTS_SEED)
    elif contexts.ndim != 2 or contexts.shape[1] != len(task.spec.context) or not contexts.size:
        raise ConfigurationError(
            f"contexts of shape {contexts.shape} are given; those of '{task.spec.name}' are (C, "
            f"{len(task.spec.context)}), C at least 1{'' if task.spec.context else ': ' + _alike(task.spec)}"
        )
    return contexts[np.arange(rollouts) % len(contexts)]


def read_contexts(path: Path, task: TaskSpec) -> Floats:
    """Read contexts, (C, c).

    Args:
        path: An .npz archive with an array (C,) for each entry of the task's context, under its name; or demonstrations
            of the task, whose episodes started from contexts.
        task: The task.

    Raises:
        ConfigurationError: The file is missing or damaged, or holds contexts of another task.
        DemonstrationError: The demonstrations cannot be read.
    """
    if not task.context:
        raise ConfigurationError(f"--contexts is {printable(path)}; {_alike(task)}")
    if path.is_dir() or npz.probe(path):
        return _of_demonstrations(DemonstrationSet.load(path), path, task)
    names = [entry.name for entry in task.context]
    try:
        columns = read_arrays(path, MOST_BYTES)
        _check_types(columns)
    except Exception as error:  # zipfile and numpy raise nearly anything for a damaged archive
        raise ConfigurationError(
            f"--contexts {printable(path)} cannot be read ({printable(error)}); give an .npz archive with the arrays "
            f"{', '.join(names)}, or demonstrations of the task"
        ) from error
    if set(columns) != set(names):
        raise ConfigurationError(
            f"--contexts {printable(path)} holds {printable(', '.join(sorted(columns)), 200) or 'nothing'}; contexts "
            f"of '{task.name}' are the arrays {', '.join(names)}"
        )
    shapes = {columns[name].shape for name in names}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1 or 0 in next(iter(shapes)):
        raise ConfigurationError(
            f"--contexts {printable(path)} has arrays of the shapes {', '.join(map(str, sorted(shapes)))}; each must "
            "be (C,), C at least 1"
        )
    return _finite(np.stack([columns[name] for name in names], axis=1).astype(np.float64), path)


def _of_demonstrations(demonstrations: DemonstrationSet, path: Path, task: TaskSpec) -> Floats:
    header = demonstrations.header
    if header.task == task.name and not header.context:
        raise ConfigurationError(
            f"--contexts {printable(path)}: these demonstrations of '{task.name}' hold no contexts; give ones of 'vdd "
            f"demos {task.name}', or an .npz archive with the arrays "
            f"{', '.join(entry.name for entry in task.context)}"
        )
    if header.context != task.context:
        raise ConfigurationError(
            f"--contexts {printable(path)} holds demonstrations of '{printable(header.task)}', whose contexts are not "
            f"those of '{task.name}'; give demonstrations of '{task.name}'"
        )
    return _finite(demonstrations.contexts, path)


def _check_types(columns: dict[str, np.ndarray]) -> None:
    """Raise ValueError if an array does not hold real numbers."""
    for name, values in columns.items():
        if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
            raise ValueError(f"'{printable(name)}' is of the type {values.dtype}, no real number")


def _finite(contexts: Floats, path: Path) -> Floats:
    if not np.isfinite(contexts).all():
        first = int(np.flatnonzero(~np.isfinite(contexts).all(axis=1))[0])
        raise ConfigurationError(f"--contexts {printable(path)}: context {first} is not finite; give numbers")
    return contexts


def _alike(task: TaskSpec) -> str:
    return f"all episodes of '{task.name}' start alike, so omit it"
