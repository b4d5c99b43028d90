"""Robot files of the simulated tasks: they read what the simulation writes, and allow what is demonstrated."""

import numpy as np
import pytest
from robot_messages import empty_message

from vdd_ros.robot.channels import InputChannel
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks import Task, get_task, task_names

pytest.importorskip("mujoco")

TASKS = [task for task in map(get_task, task_names()) if task.robot_file is not None]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.spec.name)
def test_a_robot_file_reads_the_observation_that_it_is_written_from(task: Task) -> None:
    robot, sim = RobotFile.load(task.get_robot_file()), task.make_sim(1)
    seen = sim.reset(task.draw_contexts(1, 3))[0]
    read = np.full(len(seen), np.nan)
    for source in robot.inputs:
        channel, message = InputChannel(source, task.spec.observation), empty_message(source.type)
        channel.write(seen, message)
        part = np.empty(len(channel.columns))
        channel.read(message, part)
        read[channel.columns] = part
    assert read == pytest.approx(seen)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.spec.name)
def test_a_robot_file_allows_the_demonstrated_commands(task: Task) -> None:
    made, robot = task.demonstrate(4, 0, lambda: None), RobotFile.load(task.get_robot_file())
    names = [entry.name for entry in task.spec.observation]
    for entry, action in zip(robot.command_entries, made.action.T, strict=True):
        origin = made.observation[:, names.index(entry.relative_to)] if entry.relative_to else 0.0
        commands = origin + action
        assert entry.low <= commands.min() < commands.max() <= entry.high
        changes = [np.abs(np.diff(commands[pairs])).max() for pairs in made.episodes()]
        assert max(changes) <= entry.max_step
