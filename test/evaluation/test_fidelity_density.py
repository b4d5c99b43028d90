"""Parameters and densities read out of policy files, against what the files were made from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from policy_files import mixture_parameters, mixture_spec, write_diffusion, write_mixture
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from vdd_ros.errors import ConfigurationError, PolicyFileError
from vdd_ros.evaluation.fidelity.density import MixtureFile
from vdd_ros.evaluation.fidelity.states import Seen
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy


def actions(*limits: tuple[float, float]) -> tuple[Feature, ...]:
    return tuple(Feature(f"a{k}", "m", float(low), float(high)) for k, (low, high) in enumerate(limits))


WIDE = {"action": actions((-1, 1), (-1, 1))}
SHAPES: list[dict[str, Any]] = [
    WIDE,
    WIDE | {"covariance": "full", "experts": 7},
    WIDE | {"covariance": "full", "horizon": 2, "history": 3},
    WIDE | {"covariance": "principal", "horizon": 2},
    WIDE | {"goal_length": 2},
]


def look(shape: dict[str, Any], states: int) -> Seen:
    """Draw what the policy sees at some states."""
    spec, rng = mixture_spec(**shape), np.random.default_rng(1)
    seen = {"observation": rng.normal(0.3, 0.3, (states, spec.history, spec.obs_dim)).astype(np.float32)}
    if spec.goal_length:
        seen["goal"] = rng.normal(0.3, 0.3, (states, spec.goal_length, spec.obs_dim)).astype(np.float32)
    return seen


@pytest.mark.parametrize("shape", SHAPES)
def test_the_mixtures_are_those_of_the_policy(tmp_path: Path, shape: dict[str, Any]) -> None:
    file, seen = write_mixture(tmp_path / "policy.onnx", **shape), look(shape, 5)
    found, policy = MixtureFile(file).read(seen), OnnxPolicy.load(file)
    for state in range(5):
        expected = policy.mixture(*(array[state] for array in seen.values()))
        for name in ("gating", "means", "clipped"):
            assert np.allclose(getattr(found, name)[state], getattr(expected, name), rtol=0, atol=1e-9)
        ours, theirs = (factor @ factor.transpose(0, 2, 1) for factor in (found.factors[state], expected.choleskys))
        assert np.allclose(ours, theirs, rtol=1e-5, atol=1e-11)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_density_is_that_of_the_mixture(tmp_path: Path, shape: dict[str, Any]) -> None:
    spec = mixture_spec(**shape)
    file, seen = write_mixture(tmp_path / "policy.onnx", **shape), look(shape, 3)
    parameters, rng = mixture_parameters(spec), np.random.default_rng(2)
    dim = spec.horizon * spec.act_dim
    wanted = rng.normal(0, 0.003, (3, 4, dim))
    found = MixtureFile(file).log_prob(seen, wanted)
    for state in range(3):
        inputs = [array[state].astype(np.float64) for array in seen.values()]
        joint = [
            np.log(weight) + multivariate_normal(mean, factor @ factor.T).logpdf(wanted[state])
            for weight, mean, factor in zip(
                parameters.gating(*inputs), parameters.means(*inputs), parameters.choleskys(), strict=True
            )
        ]
        assert found[state] == pytest.approx(logsumexp(joint, axis=0), abs=2e-3)


def test_the_density_at_own_actions_is_what_the_file_said(tmp_path: Path) -> None:
    """Also near a limit, at which a good part of the actions lies."""
    shape: dict[str, Any] = {"action": actions((-0.002, 0.01), (-0.01, 0.01))}
    file, seen = write_mixture(tmp_path / "policy.onnx", **shape), look(shape, 6)
    batch = OnnxPolicy.load(file, noise="full").act_batch(np.repeat(seen["observation"], 50, axis=0))
    assert batch.log_prob is not None
    assert (batch.action <= np.float32(-0.002)).mean() > 0.1
    found = MixtureFile(file).log_prob(seen, batch.action.reshape(6, 50, 2).astype(np.float64))
    assert found.ravel() == pytest.approx(batch.log_prob, abs=5e-3)


def test_actions_beyond_the_limits_count_at_the_limits(tmp_path: Path) -> None:
    file, seen = write_mixture(tmp_path / "policy.onnx"), look({}, 1)
    found = MixtureFile(file).log_prob(seen, np.array([[[0.5, 0.0], [0.01, 0.0]]]))
    assert found[0, 0] == pytest.approx(found[0, 1])


def test_where_limits_hide_all_experts_the_density_is_unknown(tmp_path: Path) -> None:
    shape: dict[str, Any] = {"action": actions((0.5, 1.0), (-1, 1))}
    file, seen = write_mixture(tmp_path / "policy.onnx", **shape), look(shape, 2)
    reader = MixtureFile(file)
    assert reader.read(seen).clipped.all()
    assert np.isnan(reader.log_prob(seen, np.full((2, 3, 2), 0.7))).all()


def test_a_policy_without_a_density_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"A diffusion policy \(ddpm\) has no density"):
        MixtureFile(write_diffusion(tmp_path / "policy.onnx"))


def test_a_file_that_does_not_return_the_actions_is_refused(tmp_path: Path) -> None:
    file = write_mixture(tmp_path / "policy.onnx", nan_above=-100.0)
    with pytest.raises(PolicyFileError, match="not affine in the noise"):
        MixtureFile(file).log_prob(look({}, 1), np.zeros((1, 1, 2)))
