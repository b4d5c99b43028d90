"""Simulated tasks and their scripted demonstrators."""

from vdd_ros.tasks.registry import get_task, task_names
from vdd_ros.tasks.task import Published, Task

__all__ = ["Published", "Task", "get_task", "task_names"]
