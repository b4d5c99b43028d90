"""Tasks by name, shipped or registered by other packages, each imported on first use."""

from vdd_ros.errors import TaskError
from vdd_ros.registry import Registry
from vdd_ros.tasks.task import Task

SHIPPED_TASK = "avoiding"
"""The task of the shipped models and robot file, and the default of commands."""

PAPER_TASKS = ("kitchen", "block_push", "avoiding", "aligning", "pushing", "stacking")
"""The state-based tasks of VDD's paper, in the order of its table."""

TASKS = Registry(
    "vdd_ros.tasks",
    "task",
    Task,
    TaskError,
    {
        SHIPPED_TASK: "vdd_ros.tasks.avoiding:TASK",
        "aligning": "vdd_ros.tasks.aligning:TASK",
        "block_push": "vdd_ros.tasks.block_push:TASK",
        "example_arm": "vdd_ros.tasks.example_arm:TASK",
        "kitchen": "vdd_ros.tasks.kitchen:TASK",
        "pushing": "vdd_ros.tasks.pushing:TASK",
        "stacking": "vdd_ros.tasks.stacking:TASK",
    },
    own_name=lambda task: task.spec.name,
)


def task_names() -> list[str]:
    """Return the names of all tasks; imports none of them."""
    return TASKS.names()


def get_task(name: str) -> Task:
    """Return a task by name.

    Raises:
        TaskError: No task has that name.
        PluginError: The package that registers it is broken.
    """
    return TASKS.get(name)
