"""The speed of simulated tasks: control steps per second of one core, replaying demonstrations."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import process_time
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from vdd_ros.benchmark.markdown_block import fill_block
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError, TaskError, VddError
from vdd_ros.host.facts import MachineFacts, RuntimeVersions, machine_facts, runtime_versions
from vdd_ros.progress import each
from vdd_ros.tasks import Task, get_task, task_names
from vdd_ros.text import counted, printable

EPISODES, ROUNDS = 16, 5
DEMONSTRATIONS = 4
"""Demonstrations of each task, which the episodes of a batch replay in turn."""
GOAL = 3000.0
"""Control steps per second and core that a task should reach."""
OWN_GOALS = {"kitchen": 900.0}
"""Goals of tasks that differ."""
BEGIN, END = "<!-- tasks: begin -->", "<!-- tasks: end -->"


@dataclass(frozen=True)
class TaskSpeed:
    """The speed of a task's simulation.

    Attributes:
        task: Name of the task.
        control_steps: Control steps of all episodes in a round.
        rounds: Control steps per second of processor time in each round.
        median, lowest, highest: Of the rounds.
        goal: What the task should reach.
    """

    task: str
    control_steps: int
    rounds: list[float]
    median: float
    lowest: float
    highest: float
    goal: float


class TaskSpeeds(TypedDict):
    """Content of the JSON file of `vdd benchmark tasks`.

    Attributes:
        episodes: Episodes that are simulated together.
        tasks: The speed of each task.
        left_out: Task to the reason why it could not be simulated.
        machine, versions: Machine and packages of the measurement.
        mujoco: Version of MuJoCo; None if it is not installed.
    """

    episodes: int
    tasks: list[TaskSpeed]
    left_out: dict[str, str]
    machine: MachineFacts
    versions: RuntimeVersions
    mujoco: str | None


class Batch:
    """Episodes of a task that replay demonstrations together.

    Args:
        task: The task.
        demonstrations: At least one; they are replayed in turn.
        episodes: Number of episodes.
    """

    def __init__(self, task: Task, demonstrations: DemonstrationSet, episodes: int) -> None:
        pairs, count = demonstrations.episodes(), len(demonstrations.lengths)
        self._sim = task.make_sim(episodes)
        self._contexts = demonstrations.contexts[np.arange(episodes) % count]
        self._script = np.zeros((int(demonstrations.lengths.max()), episodes, len(task.spec.action)))
        for episode in range(episodes):
            actions = demonstrations.action[pairs[episode % count]]
            self._script[: len(actions), episode] = actions

    def run(self) -> tuple[int, float]:
        """Simulate the episodes once; return their control steps and the seconds of processor time.

        An episode that has ended costs hardly anything, and is not counted.
        """
        self._sim.reset(self._contexts)
        steps, running = 0, np.ones(self._script.shape[1], dtype=bool)
        began = process_time()
        for action in self._script:
            steps += int(running.sum())
            result = self._sim.step(action)
            running &= ~(result.terminated | result.truncated)
            if not running.any():
                break
        return steps, process_time() - began


def measure_tasks(names: Sequence[str] | None = None, episodes: int = EPISODES, rounds: int = ROUNDS) -> TaskSpeeds:
    """Measure the speed of tasks, in rounds that are taken by turns over the tasks.

    Args:
        names: Names of tasks; None: all that can be simulated here.
        episodes: Episodes that are simulated together.
        rounds: Replays of each task, after one that warms up.

    Raises:
        ConfigurationError: A task is named twice, or none can be simulated here.
        TaskError: A named task does not exist, or cannot be simulated here.
    """
    if names is not None and len(set(names)) < len(names):
        raise ConfigurationError(f"--tasks {printable(' '.join(names))} names a task twice; name each once")
    tasks, left_out = _simulated(task_names() if names is None else names, refuse=names is not None)
    count = min(episodes, DEMONSTRATIONS)
    made = [task.demonstrate(count, 0, lambda: None) for task in each(tasks, len(tasks), "demonstrations", "task")]
    batches = [Batch(task, one, episodes) for task, one in zip(tasks, made, strict=True)]
    steps = [batch.run()[0] for batch in each(batches, len(batches), "warm-up", "task")]
    speeds = _by_turns(batches, rounds)
    return {
        "episodes": episodes,
        "tasks": [_speed(task, number, row) for task, number, row in zip(tasks, steps, speeds, strict=True)],
        "left_out": left_out,
        "machine": machine_facts(),
        "versions": runtime_versions(),
        "mujoco": _mujoco(),
    }


def _simulated(names: Sequence[str], *, refuse: bool) -> tuple[list[Task], dict[str, str]]:
    """Return the tasks that can be simulated here, and why the others cannot, or raise their errors."""
    tasks, left_out = [], {}
    for name in names:
        try:
            task = get_task(name)
            task.make_sim(1)
        except (VddError, ImportError) as error:
            if refuse:
                raise
            left_out[name] = str(error)
        else:
            tasks.append(task)
    if not tasks:
        raise TaskError(f"no task can be simulated here: {printable('; '.join(left_out.values()), 300)}")
    return tasks, left_out


def _by_turns(batches: list[Batch], rounds: int) -> NDArray[np.float64]:
    """Return the control steps per second of each task in each round, (tasks, rounds)."""
    speeds = np.empty((len(batches), rounds))
    for number in each(range(rounds), rounds, "tasks", "round"):
        for index, batch in enumerate(batches):
            steps, seconds = batch.run()
            speeds[index, number] = steps / seconds
    return speeds


def _speed(task: Task, steps: int, speeds: NDArray[np.float64]) -> TaskSpeed:
    name, middle = task.spec.name, float(np.median(speeds))
    ends = float(speeds.min()), float(speeds.max())
    return TaskSpeed(name, steps, speeds.tolist(), middle, *ends, OWN_GOALS.get(name, GOAL))


def _mujoco() -> str | None:
    try:
        return version("mujoco")
    except PackageNotFoundError:
        return None


def table(found: TaskSpeeds) -> str:
    """Return the speeds as text for a terminal."""
    rows = [f"{'task':<14} {'control steps/s':>15} {'range':>17} {'goal':>6}"]
    for one in found["tasks"]:
        between = f"{one.lowest:,.0f} to {one.highest:,.0f}"
        rows.append(f"{printable(one.task):<14} {one.median:>15,.0f} {between:>17} {one.goal:>6,.0f}")
    rows += [f"{printable(task)}: left out, {printable(why, 300)}" for task, why in found["left_out"].items()]
    return "\n".join(rows)


def render(found: TaskSpeeds) -> str:
    """Return the speeds as Markdown."""
    rows = ["| task | control steps per second, median | range | goal |", "|---|---|---|---|"]
    for one in found["tasks"]:
        rows.append(
            f"| {one.task} | {one.median:,.0f} | {one.lowest:,.0f} to {one.highest:,.0f} | "
            f"{one.goal:,.0f}{'' if one.median >= one.goal else ', missed'} |"
        )
    physics = f", MuJoCo {found['mujoco']}" if found["mujoco"] else ""
    cpu, numpy = found["machine"]["cpu"], found["versions"]["numpy"]
    rounds = counted(len(found["tasks"][0].rounds), "round")
    preface = f"One core of {cpu}, numpy {numpy}{physics}; {rounds} of {counted(found['episodes'], 'episode')}."
    left = [f"Left out: {', '.join(found['left_out'])}."] if found["left_out"] else []
    return "\n\n".join([preface, "\n".join(rows), *left])


def update_page(page: Path, found: TaskSpeeds) -> None:
    """Put the speeds between the marks of a page; raises ConfigurationError if it lacks them."""
    fill_block(page, BEGIN, END, render(found))
