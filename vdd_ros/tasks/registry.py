"""The tasks by name."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import TaskError
from vdd_ros.tasks.avoiding import demonstrator, sim
from vdd_ros.tasks.base import TaskSim, TaskSpec


@dataclass(frozen=True)
class Task:
    """A task: what it is, how to simulate it, how to demonstrate it.

    Attributes:
        spec: Description.
        make_sim: Builds a simulation of N parallel episodes.
        demonstrate: (episodes, seed, progress) -> demonstrations; `progress` is called after each episode.
        default_demonstrations: Number of episodes of the usual demonstration set.
    """

    spec: TaskSpec
    make_sim: Callable[[int], TaskSim]
    demonstrate: Callable[[int, int, Callable[[], None]], DemonstrationSet]
    default_demonstrations: int


_TASKS = {
    "avoiding": Task(sim.SPEC, sim.AvoidingSim, demonstrator.demonstrate, 96),
}


def task_names() -> list[str]:
    """Return the names of all tasks."""
    return sorted(_TASKS)


def get_task(name: str) -> Task:
    """Return a task by name.

    Raises:
        TaskError: No task has that name.
    """
    if name not in _TASKS:
        close = difflib.get_close_matches(name, _TASKS, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise TaskError(f"unknown task '{name}'; known tasks: {', '.join(task_names())}{hint}")
    return _TASKS[name]
