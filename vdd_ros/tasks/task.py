"""Everything about a task under one name: what a package registers in the entry-point group `vdd_ros.tasks`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import TaskError
from vdd_ros.tasks.base import Bools, Floats, Ints, TaskSim, TaskSpec, check_contexts
from vdd_ros.tasks.rollout import Rollouts
from vdd_ros.tasks.scene import Scene
from vdd_ros.text import printable

TEACHERS_PRESET = "train"
"""Key of the settings of `vdd train` in a preset; those of other methods have the method's name."""
NO_PRESET = "none"
"""Value of `--preset` for a method's defaults; no preset can have this name."""
_CONTEXTS = 0x636F6E74
"""First word of the seed of contexts: keeps their stream apart from others."""


@dataclass(frozen=True)
class Published:
    """A published success rate, or mean return.

    Attributes:
        success: Mean over seeds, 0 to 1 for a success rate.
        deviation: Standard deviation over seeds; None if it was not published.
        measure: What it is a mean of.
    """

    success: float
    deviation: float | None = None
    measure: Literal["success", "return"] = "success"

    def __str__(self) -> str:
        """Return the text for a table."""
        return f"{self.success:.2f}" + (f" ± {self.deviation:.2f}" if self.deviation is not None else "")


@dataclass(frozen=True)
class Milestone:
    """A part of a task's goal, with a success rate and an entropy of its own.

    Attributes:
        name: Name in tables.
        modes: Number of ways to reach it, the base of its entropy.
        judge: (N,) codes of `TaskSim.modes` at the end of N rollouts -> (N,) whether each reached it, (N,) how: 0 to
            `modes` - 1 where it did.
        published: Success rates from the literature by method, as `vdd benchmark` names methods.
        row: Its name in published tables; empty: that of the task and its own.
    """

    name: str
    modes: int
    judge: Callable[[Ints], tuple[Bools, Ints]]
    published: Mapping[str, Published] = field(default_factory=dict)
    row: str = ""


@dataclass(frozen=True)
class Task:
    """A task: its description, simulation, demonstrations and picture.

    Attributes:
        spec: Description.
        make_sim: Builds a simulation of N parallel episodes.
        demonstrate: (episodes, seed, progress) -> demonstrations; `progress` is called after each episode.
        default_demonstrations: Number of episodes of the usual demonstration set.
        scene: Returns the picture of the task, importing matplotlib only then; None: no figures are drawn.
        robot_file: Returns the robot file of the simulated robot; None: it has none.
        contexts: (count, random) -> contexts (count, c) of new episodes; None if the spec has no context.
        test_contexts: Number of contexts that `vdd evaluate` shares its rollouts among.
        demonstrate_part: (numbers, seed, progress) -> the episodes of these consecutive numbers, from 0, bit for bit as
            in a set of `demonstrate`: each draws from its own random stream. Workers then demonstrate side by side.
            None: a set is only made as a whole, in one process.
        published: Success rates from the literature by method, as `vdd benchmark` names methods.
        published_note: How the setting of the published figures differs, as a sentence without a full stop; a footnote
            of tables.
        presets: The task's own presets, by name: method, or `train` for teachers, to the settings that replace defaults
            of the method, and those of the method's preset of that name. A preset without settings names the methods'
            presets that are meant for this task.
        default_preset: The preset that `vdd train` and `vdd distil` use by default; None: the methods' defaults.
        mode_names: Names of the modes for people, in order; empty to use their numbers.
        name_mode: Returns the name of any mode, complete or not, where there are too many for `mode_names`.
        milestones: Parts of the goal that are scored too.
        goal_share: Rollouts of a policy with goals -> (N,) the share, 0 to 1, of what the goal of each asks for that it
            achieved; None: goals are not scored.
        styles: Other demonstrators by name, each as `demonstrate_part`, such as one whose data are messier.

    Raises:
        TaskError: A part is not a function, the default is not a preset, a preset has the name `none`, or there are
            names for another number of modes.
    """

    spec: TaskSpec
    make_sim: Callable[[int], TaskSim]
    demonstrate: Callable[[int, int, Callable[[], None]], DemonstrationSet]
    default_demonstrations: int
    scene: Callable[[], Scene] | None = None
    robot_file: Callable[[], Path] | None = None
    contexts: Callable[[int, np.random.Generator], Floats] | None = None
    test_contexts: int = 1
    demonstrate_part: Callable[[range, int, Callable[[], None]], DemonstrationSet] | None = None
    published: Mapping[str, Published] = field(default_factory=dict)
    published_note: str = ""
    presets: Mapping[str, Mapping[str, Mapping[str, object]]] = field(default_factory=dict)
    default_preset: str | None = None
    mode_names: tuple[str, ...] = ()
    name_mode: Callable[[int], str] | None = None
    milestones: tuple[Milestone, ...] = ()
    goal_share: Callable[[Rollouts], Floats] | None = None
    styles: Mapping[str, Callable[[range, int, Callable[[], None]], DemonstrationSet]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse parts that are not functions, presets that cannot be named, and names of other modes."""
        name = printable(self.spec.name)
        optional = ("scene", "robot_file", "contexts", "demonstrate_part", "name_mode", "goal_share")
        for part in ("make_sim", "demonstrate", *optional):
            if (value := getattr(self, part)) is not None and not callable(value):
                raise TaskError(
                    f"the task '{name}' has the {part} {printable(repr(value), 100)}; give a function that returns it"
                )
        if self.mode_names and len(self.mode_names) != self.spec.modes:
            raise TaskError(
                f"the task '{name}' has {self.spec.modes} modes and names for {len(self.mode_names)}; name all or none"
            )
        for kind, parts in (("style", self.styles), ("milestone", {one.name: one.judge for one in self.milestones})):
            for part, value in parts.items():
                if not callable(value):
                    raise TaskError(
                        f"the task '{name}' has the {kind} '{printable(part)}' {printable(repr(value), 100)}; give a "
                        "function"
                    )
        if NO_PRESET in self.presets:
            raise TaskError(f"the task '{name}' has a preset '{NO_PRESET}', which stands for no preset; rename it")
        if self.default_preset is not None and self.default_preset not in self.presets:
            known = printable(", ".join(self.presets)) or "none"
            raise TaskError(
                f"the task '{name}' has the default preset '{printable(self.default_preset)}', which is none of its "
                f"presets: {known}"
            )

    def draw_contexts(self, count: int, seed: int) -> Floats:
        """Draw the contexts of new episodes, (count, c); the same seed draws the same ones.

        The stream is its own: it repeats no draw of a demonstrator that was given the same seed.

        Raises:
            TaskError: The task's spec has a context, but the task draws none, or ones that contradict its spec.
        """
        drawn = None if self.contexts is None else self.contexts(count, np.random.default_rng([_CONTEXTS, seed]))
        return check_contexts(self.spec, drawn, count)

    def get_scene(self) -> Scene:
        """Return the picture of the task; raises TaskError if it has none."""
        if self.scene is None:
            raise TaskError(f"there is no picture of the task '{printable(self.spec.name)}': its Task has no scene")
        return self.scene()

    def mode_name(self, mode: int) -> str:
        """Return the name of a mode: `mode 3` if the task does not name it, such as an incomplete one."""
        if self.name_mode is not None:
            return self.name_mode(mode)
        return self.mode_names[mode] if 0 <= mode < len(self.mode_names) else f"mode {mode}"

    def get_robot_file(self) -> Path:
        """Return the path of the simulated robot's file; raises TaskError if there is none."""
        if self.robot_file is None:
            raise TaskError(f"the task '{printable(self.spec.name)}' has no robot file; add one to its Task")
        return self.robot_file()
