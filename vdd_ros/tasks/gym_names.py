"""Names of the tasks in gymnasium, registered by `import gymnasium, vdd_ros` or `import vdd_ros.tasks.gym`."""

from vdd_ros.tasks.registry import task_names


def environment_id(task: str) -> str:
    """Return the name under which gymnasium knows a task."""
    return f"vdd_ros/{task.title().replace('_', '')}-v0"


def register() -> None:
    """Make all tasks known to gymnasium, for `gymnasium.make` and `gymnasium.make_vec`; imports none of them."""
    from gymnasium.envs import registration

    for task in task_names():
        if environment_id(task) not in registration.registry:
            registration.register(
                id=environment_id(task),
                entry_point="vdd_ros.tasks.gym:TaskEnv",
                vector_entry_point="vdd_ros.tasks.gym:TaskVectorEnv",
                kwargs={"task": task},
            )
