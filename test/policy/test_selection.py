"""Expert selection, separately and inside a policy with a known gating."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from policy_files import mixture_parameters, mixture_spec, write_mixture

from vdd_ros.errors import ConfigurationError
from vdd_ros.policy.draws import Draws
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.selection import ExpertSelector

OBSERVATION = np.array([[0.4, 0.1, 0.5, 0.2]])


def acted(selector: ExpertSelector, experts: NDArray[np.int64]) -> None:
    """Let experts act, whatever they did and saw."""
    selector.acted(experts, np.zeros((len(experts), 1, 1)), np.zeros((len(experts), 1)))


def _sticky(tmp_path: Path, **options: Any) -> OnnxPolicy:
    return OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), expert="sticky", **options)


def _experts(policy: OnnxPolicy, observations: NDArray[np.floating]) -> NDArray[np.int64]:
    experts = policy.act_batch(observations).expert
    assert experts is not None
    return experts


def test_each_selection_fills_expert_uniform() -> None:
    draws, out = Draws(0), np.zeros(1000, np.float32)
    ExpertSelector("sample").choose(draws, out)
    assert out.min() >= 0
    assert out.max() < 1
    assert abs(out.mean() - 0.5) < 0.05
    ExpertSelector("greedy").choose(draws, out)
    assert_array_equal(out, -1)
    sticky = ExpertSelector("sticky")
    acted(sticky, np.arange(1000))
    sticky.choose(draws, out)
    assert_array_equal(out, -2 - np.arange(1000))


def test_only_rows_whose_expert_is_too_improbable_are_drawn_again() -> None:
    sticky, draws = ExpertSelector("sticky", switch_ratio=3.0), Draws(0)
    acted(sticky, np.array([0, 0, 1]))
    out = np.zeros(3, np.float32)
    sticky.choose(draws, out)
    assert not sticky.choose_again(np.array([[0.3, 0.7]] * 3, np.float32), draws, out)
    assert sticky.choose_again(np.array([[0.3, 0.7], [0.2, 0.8], [0.2, 0.8]], np.float32), draws, out)
    assert_array_equal(out[[0, 2]], [-2, -3])
    assert 0 <= out[1] < 1


@pytest.mark.parametrize("how", ["sample", "greedy"])
def test_only_sticky_asks_for_a_second_run(how: str) -> None:
    selector, draws, out = ExpertSelector(how), Draws(0), np.zeros(1, np.float32)
    acted(selector, np.array([0]))
    assert not selector.choose_again(np.array([[0.01, 0.99]], np.float32), draws, out)


def test_sticky_keeps_its_expert_until_it_is_too_improbable(tmp_path: Path) -> None:
    """The reference repeats the rule with numpy's gating along a random walk of observations."""
    ratio = 1.5
    policy, parameters = _sticky(tmp_path, switch_ratio=ratio, seed=2), mixture_parameters(mixture_spec())
    rng = np.random.default_rng(0)
    observation = OBSERVATION.copy()
    held = policy.act(observation).expert
    kept = changed = 0
    for _ in range(400):
        observation += rng.normal(0, 0.2, observation.shape) - 0.1 * (observation - OBSERVATION)
        gating, act = parameters.gating(observation), policy.act(observation)
        assert act.expert is not None
        if gating[held] * ratio > gating.max():
            assert act.expert == held
            kept += 1
        changed += act.expert != held
        mean = parameters.means(observation)[act.expert]
        assert_allclose(act.action.ravel(), np.clip(mean, -0.01, 0.01), atol=1e-7)
        held = act.expert
    assert kept > 30
    assert changed > 30


def test_sticky_rows_of_a_batch_hold_experts_of_their_own(tmp_path: Path) -> None:
    policy = _sticky(tmp_path, switch_ratio=1e6)
    observations = np.tile(OBSERVATION, (50, 1, 1))
    first = _experts(policy, observations)
    assert set(first.tolist()) == {0, 1, 2, 3}
    for _ in range(5):
        assert_array_equal(_experts(policy, observations), first)
    policy.reset()
    assert not np.array_equal(_experts(policy, observations), first)


def test_sticky_restarts_with_another_batch_size(tmp_path: Path) -> None:
    policy = _sticky(tmp_path, switch_ratio=1e6)
    _experts(policy, np.tile(OBSERVATION, (50, 1, 1)))
    smaller = _experts(policy, np.tile(OBSERVATION, (40, 1, 1)))
    assert set(smaller.tolist()) == {0, 1, 2, 3}
    assert_array_equal(_experts(policy, np.tile(OBSERVATION, (40, 1, 1))), smaller)


def test_sticky_forgets_its_expert_at_reset(tmp_path: Path) -> None:
    policy = _sticky(tmp_path, switch_ratio=1e6)
    seen = set()
    for _ in range(60):
        policy.reset()
        first = policy.act(OBSERVATION).expert
        assert policy.act(OBSERVATION).expert == first
        seen.add(first)
    assert seen == {0, 1, 2, 3}


def test_unknown_ways_and_ratios_below_one_are_errors() -> None:
    with pytest.raises(ConfigurationError, match="'best' is unknown; use one of sample, greedy, sticky"):
        ExpertSelector("best")
    for ratio in (0.5, float("nan")):
        with pytest.raises(ConfigurationError, match="switch_ratio"):
            ExpertSelector("sticky", switch_ratio=ratio)
