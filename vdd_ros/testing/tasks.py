"""Conformance test of a task."""

import math
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError, ConformanceError
from vdd_ros.learning.methods.configs import TrainConfig
from vdd_ros.learning.methods.preset_choice import preset_settings
from vdd_ros.learning.methods.registry import METHODS, all_methods, teacher_method
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks.base import Floats, Ints, StepResult, TaskSim
from vdd_ros.tasks.registry import TASKS
from vdd_ros.tasks.rollout import replay
from vdd_ros.tasks.task import TEACHERS_PRESET, Task
from vdd_ros.testing.names import check_name
from vdd_ros.text import printable

EPISODES = 4
STEPS = 8
TOLERANCE = 1e-9
"""Relative to the largest number: sums over batched episodes may be computed in another order than for a single one."""


def check_task(task: Task, *, episodes: int = EPISODES, seed: int = 0) -> None:
    """Check a task: description, simulation, contexts, demonstrations, presets, scene, and that its name is free.

    Args:
        task: The object of the entry point.
        episodes: Number of demonstrations to make and replay.
        seed: Seed of contexts, actions and demonstrations.

    Raises:
        ConformanceError: The first violation.
        VddError: The task itself raised it.
    """
    _check_spec(task)
    contexts = _check_contexts(task, seed)
    actions = np.random.default_rng(seed).normal(0.0, 1e-3, (STEPS, len(contexts), len(task.spec.action)))
    _check_steps(task, contexts, actions)
    _check_partial_reset(task, contexts, actions)
    _check_time_limit(task, contexts)
    _check_demonstrations(task, episodes, seed)
    _check_scene(task)
    _check_presets(task)
    if task.robot_file is not None:
        RobotFile.load(task.get_robot_file()).check(task.spec.observation, task.spec.action)
    check_name(TASKS, task.spec.name, task)


def _require(holds: object, what: str) -> None:
    if not holds:
        raise ConformanceError(f"the task {what}")


def _check_spec(task: Task) -> None:
    spec = task.spec
    _require(spec.name and printable(spec.name, 200) == spec.name, f"has the name {printable(spec.name)!r}; print it")
    for what, entries in (("observation", spec.observation), ("action", spec.action), ("context", spec.context)):
        names = [entry.name for entry in entries]
        _require(names or what == "context", f"'{spec.name}' has no entry in its {what}")
        _require(len(set(names)) == len(names), f"'{spec.name}' has an entry twice in its {what}: {', '.join(names)}")
    _require(0 < spec.rate_hz < math.inf, f"'{spec.name}' has the rate_hz {spec.rate_hz}; it must be above 0")
    _require(spec.max_steps >= 1, f"'{spec.name}' has max_steps {spec.max_steps}; it must be at least 1")
    _require(spec.modes >= 1, f"'{spec.name}' has {spec.modes} modes; it must be at least 1")
    _require(task.test_contexts >= 1, f"'{spec.name}' has test_contexts {task.test_contexts}; at least 1")
    for method, published in task.published.items():
        _require(
            published.measure == "return" or 0 <= published.success <= 1,
            f"'{spec.name}' publishes a success of {published.success} for {method}: 0 to 1",
        )


def _check_contexts(task: Task, seed: int) -> Floats:
    """Return contexts of a few episodes, which the seed decides."""
    drawn, again, other = (task.draw_contexts(3, number) for number in (seed, seed, seed + 1))
    _require(np.array_equal(drawn, again), "draws different contexts with the same seed; use the given generator")
    differ = not task.spec.context or not np.array_equal(drawn, other)
    _require(differ, "draws the same contexts for every seed; use the given generator")
    return drawn


def _check_steps(task: Task, contexts: Floats, actions: Floats) -> None:
    """Check that episodes are independent and deterministic: equal in a second simulation, and alone."""
    together, second = task.make_sim(len(contexts)), task.make_sim(len(contexts))
    alone = [task.make_sim(1) for _ in contexts]
    _require(together.spec == task.spec, "makes a simulation with another spec than its own")
    first = together.reset(contexts)
    _check_array(first, (len(contexts), len(task.spec.observation)), "observation after reset")
    _require(np.array_equal(first, second.reset(contexts)), "starts differently from the same contexts")
    for number, sim in enumerate(alone):
        _same(first[number], sim.reset(contexts[number : number + 1])[0], "starts an episode differently when alone")
    for action in actions:
        result, repeated = together.step(action), second.step(action)
        _check_result(task, result, len(contexts))
        _require(
            np.array_equal(result.observation, repeated.observation),
            "returns other observations for the same contexts and actions; a simulation must not draw random numbers",
        )
        for number, sim in enumerate(alone):
            own = sim.step(action[number : number + 1])
            _same(result.observation[number], own.observation[0], "steps an episode differently when alone")
    _check_modes(together, len(contexts))


def _check_result(task: Task, result: StepResult, count: int) -> None:
    _check_array(result.observation, (count, len(task.spec.observation)), "observation")
    for name in ("terminated", "truncated", "success"):
        _check_array(getattr(result, name), (count,), name, "bool")
    for name in ("reward", "partial"):
        if (value := getattr(result, name)) is not None:
            _check_array(value, (count,), name)
    if result.partial is not None:
        low, high = result.partial.min(), result.partial.max()
        _require(low >= 0 and high <= 1, f"returns a partial success from {low} to {high}; it must be 0 to 1")
    _require(not (result.terminated & result.truncated).any(), "ends an episode as both terminated and truncated")


def _check_array(value: NDArray[np.generic], shape: tuple[int, ...], what: str, dtype: str = "float64") -> None:
    _require(isinstance(value, np.ndarray), f"returns a {type(value).__name__} as {what}; it must be a numpy array")
    found, wanted = f"{value.dtype} {value.shape}", f"{dtype} {shape}"
    _require(found == wanted, f"returns {found} as {what}; it must be {wanted}")
    _require(dtype == "bool" or np.isfinite(value.astype(np.float64)).all(), f"returns a non-finite {what}")


def _check_modes(sim: TaskSim, count: int) -> None:
    modes = sim.modes()
    found = f"{modes.dtype} {modes.shape}"
    _require(found == f"int64 ({count},)", f"returns {found} as modes; it must be int64 ({count},)")


def _same(one: Floats, other: Floats, what: str) -> None:
    close = np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE * max(float(np.abs(one).max()), 1.0))
    _require(close, f"{what}: episodes must not depend on one another")


def _check_partial_reset(task: Task, contexts: Floats, actions: Floats) -> None:
    """Check that resetting one episode leaves the others unchanged."""
    sim, first = task.make_sim(len(contexts)), np.arange(len(contexts)) == 0
    start = sim.reset(contexts)
    for action in actions:
        before = sim.step(action).observation
    after = sim.reset(contexts, first)
    _require(np.array_equal(after[0], start[0]), "does not reset the episodes in `which`")
    _require(np.array_equal(after[1:], before[1:]), "changes episodes outside `which`")


def _check_time_limit(task: Task, contexts: Floats) -> None:
    """Check that every episode has ended after max_steps, and stays frozen."""
    sim, ended = task.make_sim(len(contexts)), np.zeros(len(contexts), dtype=bool)
    sim.reset(contexts)
    still = np.zeros((len(contexts), len(task.spec.action)))
    for _ in range(task.spec.max_steps):
        result = sim.step(still)
        ended |= result.terminated | result.truncated
    _require(ended.all(), f"does not end an episode after its max_steps, {task.spec.max_steps}")
    frozen = sim.step(np.ones_like(still))
    _require(np.array_equal(frozen.observation, result.observation), "moves an ended episode; freeze it")
    _require(not frozen.truncated.any(), "truncates an ended episode; only the step that ends it may do so")
    _require(np.array_equal(frozen.success, result.success), "changes the success of an ended episode")
    if frozen.partial is not None and result.partial is not None:
        _require(np.array_equal(frozen.partial, result.partial), "changes the partial success of an ended episode")


def _check_demonstrations(task: Task, episodes: int, seed: int) -> None:
    """Check that demonstrations are of this task, depend only on the seed, and succeed in their modes when replayed."""
    told: list[int] = []
    found = task.demonstrate(episodes, seed, lambda: told.append(1))
    spec, header = task.spec, found.header
    _require(header.task == spec.name, f"'{spec.name}' demonstrates the task '{printable(header.task)}'")
    differences = "; ".join(map(str, header.signature.differences(spec.signature)))
    _require(not differences, f"'{spec.name}' has demonstrations that contradict its spec: {differences}")
    _require(len(found.lengths) == episodes, f"demonstrates {len(found.lengths)} episodes instead of {episodes}")
    _require(len(told) == episodes, f"calls `progress` {len(told)} times for {episodes} episodes")
    _require(
        task.demonstrate(episodes, seed, lambda: None).sha256 == found.sha256,
        "demonstrates differently with the same seed",
    )
    if task.demonstrate_part is not None:
        parts = [task.demonstrate_part(range(number, number + 1), seed, lambda: None) for number in range(episodes)]
        _require(
            DemonstrationSet.joined(parts).sha256 == found.sha256,
            "demonstrates other episodes in parts than in a whole set; draw each from its own stream, as from "
            "numpy.random.SeedSequence(seed, spawn_key=(number,))",
        )
    _check_replay(task, found, "")
    inside = (found.modes >= 0) & (found.modes < spec.modes)
    _require(inside.all(), f"demonstrates a mode outside of 0 to {spec.modes - 1}")
    for name, demonstrate in task.styles.items():
        styled = demonstrate(range(episodes), seed, lambda: None)
        _require(styled.header.signature == header.signature, f"demonstrates other entries in the style '{name}'")
        _check_replay(task, styled, f" in the style '{name}'")
    _check_milestones(task, found.modes)


def _check_replay(task: Task, found: DemonstrationSet, where: str) -> None:
    count = len(found.lengths)
    replayed = replay(task.make_sim(count), found)
    wrong = np.flatnonzero(~replayed.success | (replayed.modes != found.modes))
    _require(
        not wrong.size,
        f"has {wrong.size} of {count} demonstrations{where} that fail or take another mode when replayed from their "
        f"contexts, first number {wrong[:1].tolist()}",
    )


def _check_milestones(task: Task, modes: Ints) -> None:
    """Check that whoever reaches the goal reaches every milestone, in one of its modes."""
    names = [milestone.name for milestone in task.milestones]
    _require(len(set(names)) == len(names), f"has a milestone twice: {', '.join(names)}")
    for one in task.milestones:
        reached, how = one.judge(modes)
        _check_array(reached, modes.shape, f"`reached` of the milestone '{one.name}'", "bool")
        _check_array(how, modes.shape, f"`how` of the milestone '{one.name}'", "int64")
        _require(reached.all(), f"reaches its goal without the milestone '{one.name}'")
        inside = (how >= 0) & (how < one.modes)
        _require(inside.all(), f"reaches the milestone '{one.name}' in a mode outside of 0 to {one.modes - 1}")


def _check_presets(task: Task) -> None:
    """Check that every preset belongs to an existing method, which accepts its settings."""
    for name, by_method in task.presets.items():
        _require(printable(name, 200) == name, f"'{task.spec.name}' has the preset {printable(name)!r}; print it")
        for key in by_method:
            what = f"'{task.spec.name}' has the preset '{name}', whose settings of '{printable(key)}'"
            try:
                method = teacher_method(TrainConfig.teacher) if key == TEACHERS_PRESET else METHODS.get(key)
                method.config(**preset_settings(method, name, task))
            except (TypeError, ConfigurationError) as error:
                raise ConformanceError(f"the task {what} are refused: {error}") from error
        meant = by_method or any(name in method.presets for method in (teacher_method("ddpm"), *all_methods()))
        _require(meant, f"'{task.spec.name}' has the preset '{name}' without settings, and no method has one so named")


def _check_scene(task: Task) -> None:
    if task.scene is None or find_spec("matplotlib") is None:
        return
    names, scene = [entry.name for entry in task.spec.observation], task.get_scene()
    drawn = [*scene.position, *(name for thing in scene.objects for name in thing.position)]
    missing = [name for name in drawn if name not in names]
    _require(not missing, f"draws the path of {', '.join(missing)}, which is not observed; it has {', '.join(names)}")
