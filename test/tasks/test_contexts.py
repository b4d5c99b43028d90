"""Contexts from end to end: demonstrated, kept, replayed from, evaluated from."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import two_doors
from plugins import installed

from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError, DemonstrationError, TaskError
from vdd_ros.evaluation.rollouts import contexts_of_episodes
from vdd_ros.features import Feature
from vdd_ros.tasks import Task, get_task
from vdd_ros.tasks.registry import TASKS
from vdd_ros.tasks.rollout import replay


@pytest.fixture
def task(tmp_path: Path) -> Iterator[Task]:
    source = Path(two_doors.__file__).read_text()
    with installed(TASKS, tmp_path / "site", "two-doors", source, "TASK"):
        yield get_task("two-doors")


def test_demonstrations_are_replayed_from_their_contexts(task: Task, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert main(["demos", "two-doors", "--out", str(tmp_path / "D"), "--json", str(report)]) == 0
    assert json.loads(report.read_text())["contexts"] == 12
    found = DemonstrationSet.load(tmp_path / "D")
    assert found.contexts.shape == (12, 1)
    assert found.header.context == (Feature("start", "m"),)
    replayed = replay(task.make_sim(12), found)
    assert replayed.success.all()
    assert (replayed.observations[:, 0, 0] == found.contexts[:, 0]).all()


def test_from_other_contexts_the_replay_is_another_one(task: Task) -> None:
    found = task.demonstrate(12, 0, lambda: None)
    moved = replace(found, contexts=np.zeros_like(found.contexts))
    assert not replay(task.make_sim(12), moved).success.all()


def test_contexts_count_in_the_digest(task: Task) -> None:
    found = task.demonstrate(4, 0, lambda: None)
    moved = found.contexts.copy()
    moved[2, 0] = np.nextafter(moved[2, 0], 1.0)
    assert replace(found, contexts=moved).sha256 != found.sha256


def test_contexts_that_do_not_fit_the_header_are_refused(task: Task) -> None:
    found = task.demonstrate(4, 0, lambda: None)
    with pytest.raises(DemonstrationError, match=r"'contexts' has shape \(3, 1\)"):
        replace(found, contexts=found.contexts[:3])
    with pytest.raises(DemonstrationError, match="'contexts' is not finite in 1 episodes, first in episode 0"):
        replace(found, contexts=np.where(np.arange(4)[:, None] == 0, np.nan, found.contexts))


def test_contexts_are_drawn_by_the_seed_and_apart_from_the_demonstrated_ones(task: Task) -> None:
    assert (task.draw_contexts(5, 3) == task.draw_contexts(5, 3)).all()
    assert not np.isin(task.draw_contexts(12, 0), task.demonstrate(12, 0, lambda: None).contexts).any()


def test_a_task_that_says_contexts_and_draws_none_is_reported(task: Task) -> None:
    with pytest.raises(TaskError, match="start from contexts of 1 numbers, and none were given"):
        replace(task, contexts=None).draw_contexts(2, 0)


def test_rollouts_share_the_contexts(task: Task) -> None:
    starts = contexts_of_episodes(task, None, 10)
    assert len(np.unique(starts)) == task.test_contexts == 4
    assert (starts[4:8] == starts[:4]).all()
    assert len(np.unique(contexts_of_episodes(task, 3, 10))) == 3


def test_numbers_of_contexts_that_cannot_be_are_refused(task: Task) -> None:
    with pytest.raises(ConfigurationError, match="--contexts is 0; it must be at least 1"):
        contexts_of_episodes(task, 0, 10)
    with pytest.raises(ConfigurationError, match="--contexts is 2; all episodes of 'avoiding' start alike"):
        contexts_of_episodes(get_task("avoiding"), 2, 10)


def test_a_gymnasium_environment_starts_from_a_given_context_or_draws_one(task: Task) -> None:
    pytest.importorskip("gymnasium")
    from vdd_ros.tasks.gym import TaskEnv, TaskVectorEnv

    env = TaskEnv("two-doors")
    assert env.reset(seed=0, options={"context": [0.25]})[0].tolist() == [0.25, two_doors.HEIGHT]
    assert (env.reset(seed=1)[0] == env.reset(seed=1)[0]).all()
    assert (env.reset(seed=1)[0] != env.reset(seed=2)[0]).any()
    assert env.step(np.array([0.1]))[1] == -1.0, "the reward is the task's"
    envs = TaskVectorEnv("two-doors", 3)
    assert len(np.unique(envs.reset(seed=0)[0][:, 0])) == 3
    ended = envs.step(np.array([[5.0], [0.0], [0.0]]))[2]
    observation, reward, *_ = envs.step(np.zeros((3, 1)))
    assert ended.tolist() == [True, False, False]
    assert abs(observation[0, 0]) <= 0.5
    assert reward.tolist() == [0.0, -1.0, -1.0], "none for the step that starts anew"
