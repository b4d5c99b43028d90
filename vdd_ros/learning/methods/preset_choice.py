"""The preset of a training run: named on the command line, or the default of the task."""

from dataclasses import dataclass
from typing import Any

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.methods.configs import TrainConfig
from vdd_ros.learning.methods.registry import Method
from vdd_ros.tasks.task import NO_PRESET, TEACHERS_PRESET, Task
from vdd_ros.text import printable


@dataclass(frozen=True)
class PresetChoice:
    """A preset, and why it was chosen.

    Attributes:
        settings: Replacements of the method's defaults.
        note: For the user; empty if the command line names the preset, or the task has none.
    """

    settings: dict[str, Any]
    note: str = ""


def choose_preset(method: Method, name: str | None, task: Task | None = None) -> PresetChoice:
    """Return the settings of a preset: of the method, and in their place those of the task's preset of that name.

    Args:
        method: The training method.
        name: The preset; `none` for the method's defaults; None for the default preset of the task, if it has one.
        task: Task of the demonstrations; None if it is not registered.

    Raises:
        ConfigurationError: Neither method nor task has a preset of that name.
    """
    own = [] if task is None else [one for one in task.presets if _is_for(method, one, task)]
    if name == NO_PRESET:
        return PresetChoice({})
    if name is not None:
        known = list(dict.fromkeys([*own, *method.presets]))
        if name not in known:
            raise ConfigurationError(
                f"there is no preset '{printable(name)}' here; there are: {', '.join(known) or 'none'}"
            )
        return PresetChoice(preset_settings(method, name, task))
    if task is None or not own:
        return PresetChoice({})
    whose = f"the task '{printable(task.spec.name)}'"
    if task.default_preset in own:
        note = f"preset {task.default_preset}, the default of {whose}; --preset {NO_PRESET} takes the method's defaults"
        return PresetChoice(preset_settings(method, task.default_preset, task), note)
    return PresetChoice({}, f"{whose} has presets for this: {', '.join(own)}; --preset NAME takes one")


def preset_settings(method: Method, name: str, task: Task | None) -> dict[str, Any]:
    """Return the settings of a preset that method or task has: the method's, replaced by the task's."""
    of_task = {} if task is None else task.presets.get(name, {}).get(key_of(method), {})
    return {**method.presets.get(name, {}), **of_task}


def key_of(method: Method) -> str:
    """Return the name under which a task's preset keeps settings of a method; all teachers share one."""
    return TEACHERS_PRESET if method.config is TrainConfig else method.name


def _is_for(method: Method, name: str, task: Task) -> bool:
    return name in method.presets or key_of(method) in task.presets[name]
