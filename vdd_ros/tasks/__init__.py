"""Simulated tasks and their scripted demonstrators."""

from vdd_ros.tasks.registry import SHIPPED_TASK, get_task, task_names
from vdd_ros.tasks.task import Milestone, Published, Task

__all__ = ["SHIPPED_TASK", "Milestone", "Published", "Task", "get_task", "task_names"]
