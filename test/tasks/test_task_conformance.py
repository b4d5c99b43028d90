"""check_task: it accepts what ships and a stranger's task, and names each fault of a task that has one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import two_doors

from vdd_ros.errors import ConformanceError
from vdd_ros.tasks import Milestone, Published, Task, get_task
from vdd_ros.tasks.base import Bools, Floats, Ints, StepResult
from vdd_ros.tasks.registry import TASKS
from vdd_ros.testing.tasks import check_task


@pytest.mark.parametrize("name", TASKS.names())
def test_the_tasks_that_ship_conform(name: str) -> None:
    check_task(get_task(name))


def test_a_task_of_another_package_conforms() -> None:
    check_task(two_doors.TASK, episodes=12)


class Noisy(two_doors.Rail):
    def step(self, action: Floats) -> StepResult:
        return super().step(action + np.random.default_rng().normal(size=action.shape))


class Coupled(two_doors.Rail):
    def step(self, action: Floats) -> StepResult:
        return super().step(action + 0.1 * len(action))


class Greedy(two_doors.Rail):
    def reset(self, contexts: Floats | None = None, which: Bools | None = None) -> Floats:
        return super().reset(contexts)


class Endless(two_doors.Rail):
    def step(self, action: Floats) -> StepResult:
        self._steps[:] = 0
        return super().step(action)


class Single(two_doors.Rail):
    def step(self, action: Floats) -> StepResult:
        result = super().step(action)
        return replace(result, observation=result.observation.astype(np.float32))


class TooGood(two_doors.Rail):
    def step(self, action: Floats) -> StepResult:
        return replace(super().step(action), partial=np.full(len(action), 1.5))


class Mirrored(two_doors.Rail):
    def modes(self) -> Ints:
        return 1 - super().modes()


def unseeded(count: int, random: np.random.Generator) -> Floats:
    return np.random.default_rng().uniform(-0.5, 0.5, (count, 1))


def fixed(count: int, random: np.random.Generator) -> Floats:
    return np.zeros((count, 1))


def restless(episodes: int, seed: int, progress: Callable[[], None]) -> Any:
    return two_doors.demonstrate(episodes, int(np.random.default_rng().integers(1 << 30)), progress)


def silent(episodes: int, seed: int, progress: Callable[[], None]) -> Any:
    return two_doors.demonstrate(episodes, seed)


def one_stream(numbers: range, seed: int, progress: Callable[[], None]) -> Any:
    return two_doors.demonstrate(len(numbers), seed)


def slower(episodes: int, seed: int, progress: Callable[[], None]) -> Any:
    found = two_doors.demonstrate(episodes, seed, progress)
    return replace(found, header=replace(found.header, rate_hz=5.0))


def lazy(numbers: range, seed: int, progress: Callable[[], None]) -> Any:
    found = two_doors.demonstrate(len(numbers), seed, progress)
    return replace(found, action=np.zeros_like(found.action))


def never(modes: Ints) -> tuple[Bools, Ints]:
    return np.zeros(len(modes), dtype=bool), modes


def as_it_is(modes: Ints) -> tuple[Bools, Ints]:
    return np.ones(len(modes), dtype=bool), modes


def with_spec(**changes: Any) -> Task:
    return replace(two_doors.TASK, spec=replace(two_doors.SPEC, **changes))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (replace(two_doors.TASK, make_sim=Noisy), "a simulation must not draw random numbers"),
        (replace(two_doors.TASK, make_sim=Coupled), "steps an episode differently when alone"),
        (replace(two_doors.TASK, make_sim=Greedy), "changes episodes outside `which`"),
        (replace(two_doors.TASK, make_sim=Endless), "does not end an episode after its max_steps, 30"),
        (
            replace(two_doors.TASK, make_sim=Single),
            r"returns float32 \(3, 2\) as observation; it must be float64 \(3, 2\)",
        ),
        (replace(two_doors.TASK, make_sim=TooGood), "partial success from 1.5 to 1.5; it must be 0 to 1"),
        (replace(two_doors.TASK, make_sim=Mirrored), "4 of 4 demonstrations that fail or take another mode"),
        (replace(two_doors.TASK, contexts=unseeded), "draws different contexts with the same seed"),
        (replace(two_doors.TASK, contexts=fixed), "draws the same contexts for every seed"),
        (replace(two_doors.TASK, demonstrate=restless), "demonstrates differently with the same seed"),
        (replace(two_doors.TASK, demonstrate_part=one_stream), "demonstrates other episodes in parts"),
        (replace(two_doors.TASK, demonstrate=silent), "calls `progress` 0 times for 4 episodes"),
        (
            replace(two_doors.TASK, demonstrate=slower),
            "contradict its spec: the rate is 5 Hz instead of 10 Hz",
        ),
        (replace(two_doors.TASK, styles={"lazy": lazy}), "4 of 4 demonstrations in the style 'lazy' that fail"),
        (replace(two_doors.TASK, milestones=(Milestone("door", 2, never),)), "its goal without the milestone 'door'"),
        (replace(two_doors.TASK, milestones=(Milestone("door", 1, as_it_is),)), "'door' in a mode outside of 0 to 0"),
        (replace(two_doors.TASK, milestones=(Milestone("door", 2, as_it_is),) * 2), "has a milestone twice: door"),
        (replace(two_doors.TASK, published={"em": Published(95.0)}), "publishes a success of 95.0 for em: 0 to 1"),
        (with_spec(modes=0), "has 0 modes; it must be at least 1"),
        (with_spec(rate_hz=0.0), "has the rate_hz 0.0; it must be above 0"),
        (with_spec(action=()), "has no entry in its action"),
        (with_spec(max_steps=29), "makes a simulation with another spec than its own"),
    ],
)
def test_a_fault_is_named(task: Task, message: str) -> None:
    with pytest.raises(ConformanceError, match=message):
        check_task(task)


def test_a_scene_that_draws_what_is_not_observed_is_named() -> None:
    pytest.importorskip("matplotlib")
    scene = replace(get_task("avoiding").get_scene(), position=("tcp_x", "tcp_z"))
    with pytest.raises(ConformanceError, match="draws the path of tcp_z, which is not observed"):
        check_task(replace(get_task("avoiding"), scene=lambda: scene))


def test_the_name_of_a_task_that_ships_is_not_free() -> None:
    with pytest.raises(ConformanceError, match="task 'example_arm' ships with vdd_ros, so no other package can regi"):
        check_task(replace(get_task("example_arm")))
