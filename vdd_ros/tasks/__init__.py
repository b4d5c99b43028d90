"""Simulated tasks and their scripted demonstrators."""

from vdd_ros.tasks.registry import Task, get_task, task_names

__all__ = ["Task", "get_task", "task_names"]
