"""Names of what a benchmark learns from: TASK, or TASK:STYLE for the demonstrations of another style of the task."""

import re
from collections.abc import Iterable
from pathlib import Path

from vdd_ros.errors import ConfigurationError
from vdd_ros.tasks import get_task, task_names
from vdd_ros.tasks.registry import PAPER_TASKS
from vdd_ros.text import printable

STATE = "state"
"""Stands for all of `PAPER_TASKS` that are registered."""

_NAME = re.compile(r"[\w.-]{1,200}")


def is_name(value: object) -> bool:
    """Return whether a value is a text that can be part of a record and of a file's name."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None and ".." not in value


def split_name(name: str) -> tuple[str, str | None]:
    """Return the task and the style of TASK:STYLE; the style of TASK is None."""
    task, colon, style = name.partition(":")
    return task, style if colon else None


def join_name(task: str, style: str | None) -> str:
    """Return TASK:STYLE, or TASK for the usual demonstrations."""
    return task if style is None else f"{task}:{style}"


def file_name(task: str, style: str | None) -> str:
    """Return the part of names of files and folders that stands for a task and a style."""
    return task if style is None else f"{task}.{style}"


def title(task: str, style: str | None = None) -> str:
    """Return a task and a style for people, such as `Block Push` or `Avoiding (human)`."""
    words = " ".join(word[:1].upper() + word[1:] for word in task.split("_"))
    return words if style is None else f"{words} ({style})"


def place(task: str) -> tuple[int, str]:
    """Return a key that sorts tasks: the paper's in its order, then others by name."""
    return (PAPER_TASKS.index(task) if task in PAPER_TASKS else len(PAPER_TASKS), task)


def expand_names(names: Iterable[str], demonstrations: Path | None = None) -> list[str]:
    """Return the names without repetitions, with the paper's tasks in place of `state`.

    Args:
        names: TASK, TASK:STYLE or `state` each.
        demonstrations: Folder of given demonstrations, which are those of a single task; None without.

    Raises:
        ConfigurationError: A task lacks a style, a name cannot be recorded, or more than a task is named beside given
            demonstrations.
        TaskError: A task is unknown.
        PluginError: The package that registers a task is broken.
    """
    known = task_names()
    found = dict.fromkeys(
        one for name in names for one in ([task for task in PAPER_TASKS if task in known] if name == STATE else [name])
    )
    if demonstrations is not None and (len(found) > 1 or any(split_name(name)[1] is not None for name in found)):
        raise ConfigurationError("--demos holds the demonstrations of one task; give one task with it, without a style")
    for name in found:
        _check(name, *split_name(name))
    return list(found)


def _check(name: str, task: str, style: str | None) -> None:
    styles = get_task(task).styles
    if style is not None and style not in styles:
        known = f"it has {printable(', '.join(styles))}" if styles else f"it has none: give --tasks {printable(task)}"
        raise ConfigurationError(
            f"--tasks {printable(name)}: {printable(style)!r} is no style of '{printable(task)}'; {known}"
        )
    if not is_name(file_name(task, style)):
        raise ConfigurationError(
            f"--tasks {printable(name)} cannot be part of a file's name; use letters, digits, '_', '-' and '.' in names"
        )
