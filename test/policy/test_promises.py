"""`sticky` must not stall a task: experts that announce what does not come let go, others are held."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import policy_files
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_files import MixtureParameters, mixture_spec, write_mixture

from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.promises import STANDSTILL, STANDSTILL_S, Held, Promises
from vdd_ros.policy.spec import PolicySpec, Statistics

RATE_HZ = 50.0
CLOSED, STEP = 0.7, 0.04
SEEDS = range(12)

MakePolicy = Callable[..., OnnxPolicy]


def gripper_spec(**overrides: Any) -> PolicySpec:
    """A gripper that sees its finger and something that flickers, and commands the finger."""
    return mixture_spec(**gripper(**overrides))


def gripper(horizon: int = 1) -> dict[str, Any]:
    return {
        "observation": (Feature("finger", "rad"), Feature("camera", "m")),
        "action": (Feature("finger_target", "rad", -1.0, 2.0),),
        "rate_hz": RATE_HZ,
        "horizon": horizon,
        "experts": 2,
        "task": None,
        "statistics": Statistics((0.0, 0.0), (0.3, 0.1), (0.0,), (0.3,)),
    }


@pytest.fixture
def make_gripper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePolicy:
    """Make the policy of demonstrations in which the operator hesitates before he closes the gripper.

    Expert 0 hesitates, expert 1 closes. While the gripper is open the first has 70 %; once it moves, the second has
    all.
    """

    def make(hesitates: list[float], seed: int) -> OnnxPolicy:
        spec = gripper_spec(horizon=len(hesitates))
        outputs = spec.horizon
        gating_weight = np.zeros((2, 2))
        gating_weight[0] = -20.0, 20.0
        made = MixtureParameters(
            spec,
            gating_weight=gating_weight,
            gating_bias=np.log([0.7, 0.3]),
            mean_weight=np.zeros((2, 2, outputs)),
            mean_bias=np.array([hesitates, [0.8] * outputs]) / 0.3,
            cholesky=np.tile(0.1 * np.eye(outputs), (2, 1, 1)),
        )
        monkeypatch.setattr(policy_files, "mixture_parameters", lambda _, seed: made)
        path = write_mixture(tmp_path / "gripper.onnx", **gripper(horizon=len(hesitates)))
        return OnnxPolicy.load(path, expert="sticky", seed=seed)

    return make


def ticks_to_close(policy: OnnxPolicy, seed: int, *, most: int = 600, steps: int = 1, flicker: float = 0.0) -> float:
    """Run the gripper until it is closed; return the ticks that it took, infinite if it did not close."""
    rng, finger, chunk = np.random.default_rng(seed), 0.0, np.zeros(1, np.float32)
    policy.executes(steps)
    for tick in range(most):
        if tick % steps == 0:
            chunk = policy.act(np.array([[finger, flicker * rng.standard_normal()]])).action[:, 0].copy()
        finger += float(np.clip(chunk[tick % steps] - finger, -STEP, STEP))
        if finger > CLOSED:
            return tick
    return math.inf


def hold_whatever(policy: OnnxPolicy) -> None:
    """Hold experts as a rule without promises does."""
    policy.executes = lambda action_steps: None  # type: ignore[method-assign]
    policy._selector.promises = None


@pytest.mark.parametrize(
    ("hesitates", "steps", "flicker"),
    [
        ([0.0], 1, 0.0),  # it wants to stay where it is
        ([0.0] * 4 + [0.8] * 4, 1, 0.1),  # it is always about to close, in four ticks
        ([0.0] * 4 + [0.8] * 4, 3, 0.1),
    ],
    ids=["stands still", "puts off", "puts off, in chunks"],
)
def test_a_gripper_that_must_close_is_not_held_open_for_ever(
    make_gripper: MakePolicy, hesitates: list[float], steps: int, flicker: float
) -> None:
    held, freed = [], []
    for seed in SEEDS:
        policy = make_gripper(hesitates, seed)
        freed.append(ticks_to_close(policy, seed, steps=steps, flicker=flicker))
        policy = make_gripper(hesitates, seed)
        hold_whatever(policy)
        held.append(ticks_to_close(policy, seed, steps=steps, flicker=flicker))
    assert np.isinf(held).sum() >= 4  # of 12, where 70 % are expected
    assert np.isfinite(freed).all()
    assert np.array_equal(np.array(freed)[np.isfinite(held)], np.array(held)[np.isfinite(held)])


def test_an_expert_that_moves_the_robot_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ways around an obstacle, equally likely: whoever went left goes on to the left."""
    given = gripper() | {"action": (Feature("step", "rad", -0.1, 0.1),)}
    spec = mixture_spec(**given)
    made = MixtureParameters(
        spec,
        gating_weight=np.zeros((2, 2)),
        gating_bias=np.zeros(2),
        mean_weight=np.zeros((2, 2, 1)),
        mean_bias=np.array([[-0.01], [0.01]]) / 0.3,
        cholesky=0.1 * np.ones((2, 1, 1)),
    )
    monkeypatch.setattr(policy_files, "mixture_parameters", lambda _, seed: made)
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", **given), expert="sticky")
    place, experts = 0.0, set()
    for _ in range(400):
        act = policy.act(np.array([[place, 0.0]]))
        experts.add(act.expert)
        place += float(act.action[0, 0])
    assert len(experts) == 1


def follow(promises: Promises, chunks: list[np.ndarray], seen: list[float], experts: list[int]) -> list[bool]:
    """Return after each decision whether the expert lets go."""
    held: Held | None = None
    free = []
    for chunk, place, expert in zip(chunks, seen, experts, strict=True):
        held = promises.follow(held, np.array([expert]), chunk[None, :, None], np.array([[place, 0.0]]))
        free.append(bool(promises.let_go(held)[0]))
    return free


@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_a_plan_that_is_carried_out_is_kept_whatever_it_is(steps: int, seed: int) -> None:
    """Each chunk is the rest of the last one, and some more."""
    plan = np.random.default_rng(seed).normal(0, 0.3, 8 + 40 * steps)
    chunks = [plan[k * steps : k * steps + 8] for k in range(40)]
    assert not any(follow(Promises(gripper_spec(horizon=8), steps), chunks, list(range(40)), [0] * 40))


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_a_plan_that_is_put_off_is_given_the_length_of_a_chunk(steps: int) -> None:
    chunk = np.array([0.0] * 7 + [0.8])
    free = follow(Promises(gripper_spec(horizon=8), steps), [chunk] * 12, list(range(12)), [0] * 12)
    assert free.index(True) == math.ceil(8 / steps)
    assert all(free[free.index(True) :])


def test_what_changes_too_little_announces_nothing() -> None:
    """Steady motion, and a plan that trembles within a tenth of a standard deviation."""
    spec = gripper_spec(horizon=8)
    tremble = 0.02 * np.sin(np.arange(8.0))
    for chunk in (np.full(8, 0.5), tremble):
        assert not any(follow(Promises(spec), [chunk] * 40, list(range(40)), [0] * 40))


def test_another_expert_owes_nothing_of_what_was_announced_before() -> None:
    chunk = np.array([0.0] * 7 + [0.8])
    experts = [0, 1] * 20
    assert not any(follow(Promises(gripper_spec(horizon=8)), [chunk] * 40, list(range(40)), experts))


def test_random_actions_announce_nothing() -> None:
    chunk = np.array([0.0] * 7 + [0.8])
    promises = Promises(gripper_spec(horizon=8), announced=False)
    assert not any(follow(promises, [chunk] * 40, list(range(40)), [0] * 40))


def test_standstill_is_a_second_within_a_twentieth_of_a_deviation() -> None:
    promises, count = Promises(gripper_spec()), round(STANDSTILL_S * RATE_HZ)
    near, far = 0.99 * STANDSTILL * 0.3, 1.01 * STANDSTILL * 0.3
    chunks, experts = [np.zeros(1)] * (count + 2), [0] * (count + 2)
    free = follow(promises, chunks, [0.0] + [near] * (count + 1), experts)
    assert free == [False] * count + [True] * 2
    free = follow(promises, chunks, [0.0] * count + [far] * 2, experts)
    assert not any(free)
