"""The gymnasium environments: the checker's rules, the simulation's numbers, autoreset."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

from vdd_ros.errors import TaskError
from vdd_ros.tasks import get_task, task_names
from vdd_ros.tasks.avoiding.sim import START

gymnasium = pytest.importorskip("gymnasium")

from gymnasium.utils.env_checker import check_env  # noqa: E402
from gymnasium.vector import AutoresetMode  # noqa: E402

from vdd_ros.tasks.gym import TaskEnv, TaskVectorEnv  # noqa: E402
from vdd_ros.tasks.gym_names import environment_id  # noqa: E402

ID = "vdd_ros/Avoiding-v0"
TO_THE_GOAL = np.array([-0.0048, 0.0096])
"""Passes all cylinders on the left."""
INTO_A_CYLINDER = np.array([-0.0015, 0.0096])


@pytest.mark.parametrize("task", task_names())
def test_gymnasiums_checker_has_nothing_but_advice(task: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error")
        warnings.filterwarnings("ignore", message=".*(is -infinity|is infinity|normalized space).*")
        check_env(gymnasium.make(environment_id(task), render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize(("task", "name"), [("avoiding", "Avoiding"), ("block_push", "BlockPush")])
def test_names_are_those_of_gymnasium(task: str, name: str) -> None:
    assert environment_id(task) == f"vdd_ros/{name}-v0"


def test_importing_both_packages_registers_the_tasks() -> None:
    code = "import gymnasium, vdd_ros; print(gymnasium.spec('vdd_ros/Pushing-v0').kwargs)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "{'task': 'pushing'}"


def test_it_is_known_by_its_name() -> None:
    env = gymnasium.make(ID)
    assert isinstance(env.unwrapped, TaskEnv)
    assert env.observation_space.shape == (4,)
    assert env.action_space.shape == (2,)


def test_it_shows_the_numbers_of_the_simulation() -> None:
    env, sim = gymnasium.make(ID), get_task("avoiding").make_sim(1)
    observation, info = env.reset(seed=3)
    assert np.array_equal(observation, sim.reset()[0])
    assert info == {"success": False, "mode": sim.modes()[0]}
    terminated = False
    while not terminated:
        observation, reward, terminated, truncated, info = env.step(TO_THE_GOAL)
        expected = sim.step(TO_THE_GOAL[None])
        assert np.array_equal(observation, expected.observation[0])
        assert (terminated, truncated) == (expected.terminated[0], expected.truncated[0])
        assert reward == float(terminated)
    assert info == {"success": True, "mode": 0}


def test_a_failure_gives_no_reward() -> None:
    env = gymnasium.make(ID)
    env.reset(seed=0)
    terminated = False
    while not terminated:
        _, reward, terminated, _, info = env.step(INTO_A_CYLINDER)
        assert reward == 0
    assert not info["success"]


def test_it_is_truncated_after_250_steps() -> None:
    env = gymnasium.make(ID)
    env.reset(seed=0)
    ends = [env.step(np.zeros(2))[2:4] for _ in range(250)]
    assert ends == [(False, False)] * 249 + [(False, True)]


def test_frames_show_the_path() -> None:
    env = gymnasium.make(ID, render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.shape == (480, 400, 3)
    assert first.dtype == np.uint8
    for _ in range(20):
        env.step(TO_THE_GOAL)
    assert (env.render() != first).any()
    assert TaskEnv("avoiding").render() is None


def test_side_by_side_each_episode_restarts_in_the_step_after_its_end() -> None:
    envs = gymnasium.make_vec(ID, num_envs=3)
    assert isinstance(envs, TaskVectorEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    alone = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make(ID)] * 3, autoreset_mode=AutoresetMode.NEXT_STEP)
    actions = np.stack([TO_THE_GOAL, INTO_A_CYLINDER, np.zeros(2)])
    observation, info = envs.reset(seed=1)
    assert np.array_equal(observation, alone.reset(seed=1)[0])
    assert envs.observation_space.contains(observation) and envs.action_space.contains(actions)
    starts = np.zeros(3, dtype=int)
    for _ in range(300):
        results, expected = envs.step(actions), alone.step(actions)
        for value, wanted in zip(results[:4], expected[:4], strict=True):
            assert np.array_equal(value, wanted)
        info = results[4]
        assert np.array_equal(info["success"], expected[4]["success"])
        assert np.array_equal(info["mode"], expected[4]["mode"])
        assert info["_success"].all() and info["_mode"].all()
        starts += (results[0] == [*START, *START]).all(axis=1) & ~(results[2] | results[3]) & (actions != 0).any(axis=1)
    assert (starts[:2] > 2).all()


def test_a_reset_starts_all_episodes() -> None:
    envs = gymnasium.make_vec(ID, num_envs=2)
    envs.reset(seed=0)
    for _ in range(250):
        *_, truncated, _ = envs.step(np.zeros((2, 2)))
    assert truncated.all()
    envs.reset(seed=0)
    observation, *_ = envs.step(np.full((2, 2), 0.001))
    assert observation[:, :2] == pytest.approx(np.tile(np.array(START) + 0.001, (2, 1)))


def test_an_unknown_task_is_refused() -> None:
    for env in (TaskEnv, TaskVectorEnv):
        with pytest.raises(TaskError, match="unknown task 'juggling'"):
            env("juggling")
    with pytest.raises(TaskError, match="of 0 episodes"):
        TaskVectorEnv("avoiding", num_envs=0)
