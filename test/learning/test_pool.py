"""The states that students are trained at, and the actions drawn there."""

from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor
from toy_targets import Target, exact_teacher

from vdd_ros.learning.configs import Backbone
from vdd_ros.learning.diffusion.teacher import Teacher, TeacherConfig
from vdd_ros.learning.fit.windows import Windows
from vdd_ros.learning.methods import state_pool as pools
from vdd_ros.learning.methods.state_pool import StatePool, draw_pool

TARGET = Target.of([0.3, 0.7], [[-1.2, 0.5], [0.8, -0.4]], [0.2, 0.3])


def windows(goal_length: int = 0) -> Windows:
    """Return one episode of 30 single pairs."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn((30, 1), generator=generator)
    action = torch.randn((30, 2), generator=generator)
    return Windows(states[:, None], action, states, torch.arange(30), torch.full((30,), 29), goal_length)


def draw(teacher: Teacher | None = None, goal_length: int = 0, **settings: Any) -> StatePool:
    usual = {"copies": 2, "samples": 3, "steps": 4, "observation_noise": 0.1, "seed": 0}
    return draw_pool(teacher or exact_teacher(TARGET), windows(goal_length), **{**usual, **settings})


def test_the_pool_holds_noisy_states_and_the_teachers_actions_there() -> None:
    pool = draw(copies=3, samples=40, steps=16)
    assert len(pool) == 90
    assert pool.action.shape == (90, 40, 2)
    noise = pool.observation - windows().observation[:].repeat(3, 1, 1)
    assert float(noise.std()) == pytest.approx(0.1, rel=0.3)
    assert float((pool.action[..., 0] > 0).float().mean()) == pytest.approx(0.7, abs=0.05)
    assert float(pool.action.flatten(0, 1)[pool.action[..., 0].flatten() > 0].std(0)[0]) == pytest.approx(0.3, rel=0.15)


def test_each_action_belongs_to_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target is a narrow Gaussian at the observation; the pool is drawn in chunks that do not divide it."""
    monkeypatch.setattr(pools, "CHUNK", 7)

    def target_of(observation: Tensor) -> Target:
        mean = observation.double().reshape(-1, 1, 1, 1)
        return Target(torch.ones(1).double(), mean, torch.full((1,), 0.01).double())

    pool = draw(exact_teacher(target_of, "beso", size=1), copies=2, steps=8)
    assert pool.action.shape == (60, 3, 1)
    assert (pool.action - pool.observation).abs().max() < 0.06


def test_the_pool_is_seeded() -> None:
    assert torch.equal(draw().action, draw().action)
    assert not torch.equal(draw().action, draw(seed=1).action)


def test_each_copy_has_a_goal_of_its_own() -> None:
    pool = draw(copies=20, goal_length=1)
    assert pool.goal is not None
    assert pool.goal.shape == (600, 1, 1)
    first = pool.goal.unflatten(0, (20, 30))[:, 0, 0, 0]
    assert len(first.unique()) > 5
    observation, goal = pool.states(torch.tensor([5, 2]))
    assert torch.equal(observation, pool.observation[[5, 2]])
    assert torch.equal(goal, pool.goal[[5, 2]])  # type: ignore[arg-type]
    assert draw().states(torch.tensor([1]))[1] is None


@pytest.mark.parametrize("goal_length", [0, 2])
def test_the_data_can_stand_for_the_teacher(goal_length: int) -> None:
    """Its actions stay, its states are as noisy as those of the teacher's actions: without noise a student is lost."""
    pool = draw(only_data=True, goal_length=goal_length)
    assert torch.equal(pool.action, windows().action[:, None].repeat(2, 1, 1))
    assert torch.equal(pool.observation, draw(goal_length=goal_length).observation)
    assert (pool.goal is None) == (goal_length == 0)
    plain = draw(only_data=True, observation_noise=0.0, goal_length=goal_length)
    assert torch.equal(plain.observation, windows().observation[:].repeat(2, 1, 1))


@pytest.mark.parametrize("backbone", ["gpt", "mlp"])
def test_a_pool_keeps_the_teachers_encodings(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those of the states, over several chunks; where they would be too large, states are encoded again."""
    monkeypatch.setattr("vdd_ros.learning.methods.state_pool.CHUNK", 16)
    shape = TeacherConfig(
        backbone=backbone, width=8, heads=2, layers=2, history=1, obs_dim=1, horizon=1, act_dim=1, goal_length=1
    )
    teacher = Teacher(shape).requires_grad_(False)
    pool, index = draw(teacher, goal_length=1), torch.tensor([50, 3])
    assert pool.context is not None
    action, sigma = torch.randn(2, 4, 1), torch.rand(2, 1) + 0.1
    kept = teacher.denoise(pool.encoded(teacher, index), action, sigma)
    torch.testing.assert_close(kept, teacher.denoise(teacher.encode(*pool.states(index)), action, sigma))
    monkeypatch.setattr("vdd_ros.learning.methods.state_pool.KEPT_CONTEXT", 100)
    again = draw(teacher, goal_length=1)
    assert again.context is None
    torch.testing.assert_close(teacher.denoise(again.encoded(teacher, index), action, sigma), kept)


def test_a_pool_of_a_large_set_holds_some_of_its_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each at most as often as it has copies, with its own action."""
    monkeypatch.setattr(pools, "MOST_STATES", 25)
    pool, again = (draw(copies=2, observation_noise=0.0, only_data=True) for _ in range(2))
    assert len(pool) == 25
    assert torch.equal(pool.observation, again.observation)
    rows = [int((windows().observation[:, 0, 0] == state[0, 0]).nonzero()) for state in pool.observation]
    assert len(set(rows)) > 12
    assert torch.equal(pool.action[:, 0], windows().action[rows])
