"""OnnxPolicy against the closed forms of the policies in policy_files.py, and every way a policy file can be wrong."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from policy_files import (
    DIFFUSIONS,
    MIXTURES,
    ONE_STEPS,
    Floats,
    MixtureParameters,
    diffusion_parameters,
    diffusion_spec,
    mixture_parameters,
    mixture_spec,
    write_diffusion,
    write_mixture,
    write_policy,
)

from vdd_ros.errors import ConfigurationError, ObservationError
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.spec import PolicySpec

OBSERVATION = np.array([[0.4, 0.1, 0.5, 0.2]])
WIDE = tuple(Feature(name, "m", -1.0, 1.0) for name in ("delta_desired_x", "delta_desired_y"))
KINDS = (*MIXTURES, *DIFFUSIONS, *ONE_STEPS)
GOAL = np.array([[0.6, 0.3, 0.6, 0.3], [0.7, 0.4, 0.7, 0.4]])
SHAPES = [
    {},
    {"covariance": "full"},
    {"history": 3, "horizon": 2, "covariance": "full"},
    {"horizon": 2, "covariance": "cosine"},
]


def _observation(spec: PolicySpec, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(0, 0.6, (spec.history, spec.obs_dim))


def _log_density(parameters: MixtureParameters, observation: Floats, action: Floats) -> float:
    """The log density of a mixture at an action (D,), written down from its definition."""
    densities = []
    for mean, cholesky in zip(parameters.means(observation), parameters.choleskys(), strict=True):
        covariance = cholesky @ cholesky.T
        difference = action - mean
        square = difference @ np.linalg.solve(covariance, difference)
        densities.append(np.exp(-0.5 * square) / np.sqrt(np.linalg.det(2 * np.pi * covariance)))
    return float(np.log(parameters.gating(observation) @ np.array(densities)))


@pytest.mark.parametrize("shape", SHAPES)
def test_greedy_acts_with_the_mean_of_the_likeliest_expert(tmp_path: Path, shape: dict[str, Any]) -> None:
    spec = mixture_spec(action=WIDE, **shape)
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", action=WIDE, **shape), expert="greedy")
    parameters, observation = mixture_parameters(spec), _observation(spec)
    act = policy.act(observation)
    gating = parameters.gating(observation)
    assert act.expert == gating.argmax()
    assert act.gating is not None
    assert_allclose(act.gating, gating, atol=1e-6)
    assert act.action.shape == (spec.horizon, spec.act_dim)
    assert_allclose(act.action.ravel(), parameters.means(observation)[act.expert], atol=1e-7)


@pytest.mark.parametrize("noise", ["mean", "full"])
@pytest.mark.parametrize("shape", SHAPES)
def test_log_prob_is_the_density_of_the_mixture_at_the_action(
    tmp_path: Path, shape: dict[str, Any], noise: str
) -> None:
    spec = mixture_spec(action=WIDE, **shape)
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", action=WIDE, **shape), noise=noise)
    parameters = mixture_parameters(spec)
    for seed in range(20):
        observation = _observation(spec, seed)
        act = policy.act(observation)
        expected = _log_density(parameters, observation, act.action.ravel().astype(np.float64))
        assert act.log_prob == pytest.approx(expected, abs=1e-3)


def test_the_density_read_out_of_the_graph_integrates_to_one(tmp_path: Path) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", action=WIDE, covariance="full"))
    mixture = policy.mixture(OBSERVATION)
    grid = np.linspace(-0.02, 0.02, 401)
    points = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1)
    density = np.zeros(points.shape[:-1])
    for weight, mean, cholesky in zip(mixture.gating, mixture.means, mixture.choleskys, strict=True):
        white = (points - mean) @ np.linalg.inv(cholesky).T
        density += weight * np.exp(-0.5 * (white**2).sum(-1)) / (2 * np.pi * np.linalg.det(cholesky))
    assert density.sum() * (grid[1] - grid[0]) ** 2 == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_mixture_reads_the_parameters_out_of_the_graph(tmp_path: Path, shape: dict[str, Any]) -> None:
    spec = mixture_spec(action=WIDE, **shape)
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", action=WIDE, **shape))
    parameters, observation = mixture_parameters(spec), _observation(spec)
    mixture = policy.mixture(observation)
    assert_allclose(mixture.gating, parameters.gating(observation), atol=1e-6)
    assert_allclose(mixture.means, parameters.means(observation), atol=1e-7)
    covariances = parameters.choleskys() @ parameters.choleskys().transpose(0, 2, 1)
    assert_allclose(mixture.choleskys, np.linalg.cholesky(covariances), atol=1e-7)
    assert not mixture.clipped.any()


def test_mixture_tells_which_experts_were_clipped(tmp_path: Path) -> None:
    free = mixture_parameters(mixture_spec(action=WIDE)).means(OBSERVATION)
    low = float(np.sort(free[:, 0])[:2].mean())
    action = (Feature("delta_desired_x", "m", low, 1.0), WIDE[1])
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", action=action))
    assert_array_equal(policy.mixture(OBSERVATION).clipped, free[:, 0] < low)


def test_actions_are_clipped_to_the_limits_of_the_metadata(tmp_path: Path) -> None:
    action = (Feature("delta_desired_x", "m", -0.001, 0.0005), Feature("delta_desired_y", "m", 0.5, 0.6))
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", action=action), noise="full")
    actions = policy.act_batch(np.tile(OBSERVATION, (200, 1, 1))).action[:, 0]
    assert_allclose([actions[:, 0].min(), actions[:, 0].max()], [-0.001, 0.0005])
    assert_allclose(actions[:, 1], 0.5)


def test_diffusion_runs_its_whole_sampler_on_the_drawn_noise(tmp_path: Path) -> None:
    spec = diffusion_spec(history=2, horizon=3, action=WIDE)
    policy = OnnxPolicy.load(write_diffusion(tmp_path / "p.onnx", history=2, horizon=3, action=WIDE), seed=7)
    rng = np.random.default_rng(7)
    for seed in range(5):
        observation = _observation(spec, seed)
        act = policy.act(observation)
        noise = rng.standard_normal(spec.noise_shape, dtype=np.float32)
        assert_allclose(act.action, diffusion_parameters(spec).sample(observation, noise), atol=1e-7)
        assert (act.expert, act.log_prob, act.gating) == (None, None, None)


def test_experts_are_drawn_as_often_as_the_gating_says(tmp_path: Path) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), seed=1)
    draws = 4000
    expected = draws * mixture_parameters(mixture_spec()).gating(OBSERVATION)
    singles = Counter(policy.act(OBSERVATION).expert for _ in range(draws))
    batch = policy.act_batch(np.tile(OBSERVATION, (draws, 1, 1))).expert
    assert batch is not None
    for counts in (np.array([singles[k] for k in range(4)]), np.bincount(batch, minlength=4)):
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert chi_square < 16.27  # the .999 quantile with 3 degrees of freedom


def test_full_noise_has_the_covariance_of_the_expert(tmp_path: Path) -> None:
    spec = mixture_spec(action=WIDE, covariance="full", experts=1)
    policy = OnnxPolicy.load(
        write_mixture(tmp_path / "p.onnx", action=WIDE, covariance="full", experts=1), noise="full"
    )
    draws = 20000
    actions = policy.act_batch(np.tile(OBSERVATION, (draws, 1, 1))).action[:, 0].astype(np.float64)
    cholesky = mixture_parameters(spec).choleskys()[0]
    white = np.linalg.solve(cholesky, (actions - mixture_parameters(spec).means(OBSERVATION)[0]).T)
    assert_allclose(white.mean(axis=1), 0, atol=4 / np.sqrt(draws))
    assert_allclose(white @ white.T / draws, np.eye(2), atol=6 / np.sqrt(draws))


@pytest.mark.parametrize(
    "options", [{}, {"noise": "full"}, {"expert": "greedy", "noise": "full"}, {"expert": "sticky", "noise": "full"}]
)
@pytest.mark.parametrize("write", [write_mixture, write_diffusion])
def test_the_same_seed_gives_the_same_actions(tmp_path: Path, write: Any, options: dict[str, Any]) -> None:
    def ten(policy: OnnxPolicy) -> Floats:
        return np.array([policy.act(OBSERVATION).action.copy() for _ in range(10)])

    path = write(tmp_path / "p.onnx")
    policy = OnnxPolicy.load(path, seed=3, **options)
    first = ten(policy)
    policy.warm_up()
    more = ten(policy)
    policy.seed(3)
    policy.reset()
    assert_array_equal(ten(policy), first)
    assert_array_equal(ten(policy), more)
    other = ten(OnnxPolicy.load(path, seed=4, **options))
    assert not np.array_equal(other, first)


@pytest.mark.parametrize("write", [write_mixture, write_diffusion])
def test_a_batch_of_one_acts_like_a_single_observation(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path / "p.onnx")
    single, batched = (OnnxPolicy.load(path, seed=5, noise="full") for _ in range(2))
    for seed in range(10):
        observation = _observation(single.spec, seed)
        one, batch = single.act(observation), batched.act_batch(observation[None])
        assert_array_equal(batch.action[0], one.action)
        if one.expert is not None:
            assert batch.expert is not None
            assert batch.log_prob is not None
            assert (batch.expert[0], batch.log_prob[0]) == (one.expert, pytest.approx(one.log_prob))


def test_a_batch_acts_row_by_row(tmp_path: Path) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), expert="greedy")
    observations = np.stack([_observation(policy.spec, seed) for seed in range(30)])
    batch = policy.act_batch(observations)
    singles = [policy.act(observation) for observation in observations]
    assert batch.expert is not None
    assert batch.log_prob is not None
    assert batch.expert.tolist() == [act.expert for act in singles]
    assert batch.log_prob.tolist() == pytest.approx([act.log_prob for act in singles], rel=1e-5)
    again = [policy.act(observation).action.copy() for observation in observations]
    assert_allclose(batch.action, again, atol=1e-7)


def test_a_batch_lasts_and_single_views_are_overwritten(tmp_path: Path) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), noise="full")
    batch = policy.act_batch(OBSERVATION[None])
    kept = batch.action.copy()
    first = policy.act(OBSERVATION).action
    before = first.copy()
    assert policy.act(OBSERVATION).action is first
    assert not np.array_equal(first, before)
    assert_array_equal(batch.action, kept)


def test_warm_up_times_the_runs_and_leaves_no_trace(tmp_path: Path) -> None:
    path = write_mixture(tmp_path / "p.onnx")
    policy = OnnxPolicy.load(path, expert="sticky", switch_ratio=1e6)
    held = policy.act(OBSERVATION).expert
    times = policy.warm_up(5)
    assert times.first_s > 0
    assert times.median_s > 0
    assert policy.act(OBSERVATION).expert == held
    with pytest.raises(ConfigurationError, match="runs is 1"):
        policy.warm_up(1)


@pytest.mark.parametrize(
    "options", [{"noise": "full"}, {"expert": "sticky", "switch_ratio": 1.5}, {"expert": "sticky", "noise": "full"}]
)
@pytest.mark.parametrize("write", [write_mixture, write_diffusion])
def test_dry_runs_leave_no_trace(tmp_path: Path, write: Any, options: dict[str, Any]) -> None:
    path = write(tmp_path / "p.onnx")
    plain, tried = (OnnxPolicy.load(path, seed=3, **options) for _ in range(2))
    for seed in range(30):
        tried.dry_run(_observation(plain.spec, seed + 100))
        observation = _observation(plain.spec, seed)
        expected, found = plain.act(observation), tried.act(observation)
        assert_array_equal(found.action, expected.action)
        assert found.expert == expected.expert
    with pytest.raises(ObservationError):
        tried.dry_run(np.full_like(observation, np.nan))
    assert_array_equal(tried.act(observation).action, plain.act(observation).action)


@pytest.mark.parametrize("write", [write_mixture, write_diffusion])
def test_a_fault_of_the_graph_comes_out_as_nan_and_passes(tmp_path: Path, write: Any) -> None:
    policy = OnnxPolicy.load(write(tmp_path / "p.onnx", nan_above=0.9, history=2))
    observation = np.full((2, 4), 0.3)
    assert np.isfinite(policy.act(observation).action).all()
    observation[1, 0] = 0.95
    assert np.isnan(policy.act(observation).action).all()
    observation[1, 0], observation[0, 0] = 0.3, 0.95
    assert np.isfinite(policy.act(observation).action).all()


@pytest.mark.parametrize("shape", [(4,), (1, 3), (2, 4), (1, 1, 4)])
def test_an_observation_of_another_shape_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"))
    for call in (policy.act, policy.mixture):
        with pytest.raises(ObservationError, match=r"takes \(1, 4\): history, oldest first, and desired_x, desired_y"):
            call(np.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 4), (3, 2, 4), (0, 1, 4)])
def test_a_batch_of_another_shape_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"))
    with pytest.raises(ObservationError, match=r"takes \('B', 1, 4\)"):
        policy.act_batch(np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_observation_that_is_not_finite_is_refused_and_named(tmp_path: Path, value: float) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"))
    observation = OBSERVATION.copy()
    observation[0, 2] = value
    for call in (policy.act, policy.mixture):
        with pytest.raises(ObservationError, match=f"entry tcp_x is {value}"):
            call(observation)
    with pytest.raises(ObservationError, match=f"entry tcp_x is {value}"):
        policy.act_batch(np.stack([OBSERVATION, observation]))
    assert np.isfinite(policy.act(OBSERVATION).action).all()


def test_a_diffusion_policy_has_no_mixture(tmp_path: Path) -> None:
    policy = OnnxPolicy.load(write_diffusion(tmp_path / "p.onnx"))
    with pytest.raises(ConfigurationError, match=r"A diffusion policy \(ddpm\) has no experts"):
        policy.mixture(OBSERVATION)


def test_the_spec_of_the_file_is_the_one_written(tmp_path: Path) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", experts=7, history=2))
    assert policy.spec == replace(mixture_spec(history=2), experts=7)


@pytest.mark.parametrize("goal", [None, GOAL])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_acts_as_its_closed_form_with_and_without_a_goal(
    tmp_path: Path, kind: str, goal: Floats | None
) -> None:
    length = 0 if goal is None else len(goal)
    path = write_policy(tmp_path / "p.onnx", kind, horizon=3, history=2, goal_length=length, action=WIDE)
    policy = OnnxPolicy.load(path, expert="greedy", seed=7)
    observation, rng = _observation(policy.spec), np.random.default_rng(7)
    if policy.spec.is_mixture:
        parameters = mixture_parameters(policy.spec)
        likeliest = parameters.gating(observation, goal).argmax()
        expected = parameters.means(observation, goal)[likeliest].reshape(3, 2)
        assert policy.act(observation, goal).expert == likeliest
        assert_allclose(policy.mixture(observation, goal).means, parameters.means(observation, goal), atol=1e-7)
    else:
        noise = rng.standard_normal(policy.spec.noise_shape, dtype=np.float32)
        expected = diffusion_parameters(policy.spec).sample(observation, noise, goal)
    assert_allclose(policy.act(observation, goal).action, expected, atol=1e-7)
    policy.seed(7)
    policy.dry_run(observation, goal)
    policy.warm_up(2)
    goals = None if goal is None else goal[None]
    assert_allclose(policy.act_batch(observation[None], goals).action[0], expected, atol=1e-7)


def test_each_row_of_a_batch_has_a_goal_of_its_own(tmp_path: Path) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", goal_length=2, action=WIDE), expert="greedy")
    goals = np.stack([GOAL, GOAL + 0.2, GOAL - 0.3])
    batch = policy.act_batch(np.tile(OBSERVATION, (3, 1, 1)), goals)
    assert_allclose(batch.action, [policy.act(OBSERVATION, goal).action.copy() for goal in goals], atol=1e-7)
    assert not np.allclose(batch.action[0], batch.action[1])
