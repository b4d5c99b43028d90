"""Chunks with actions before the newest observation: windows, marginals of students, metadata of policy files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from policy_files import diffusion_spec, mixture_spec
from toy_targets import small_demonstrations

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import npz
from vdd_ros.errors import ConfigurationError, PolicyFileError
from vdd_ros.learning.fit.metadata import check_sizes
from vdd_ros.learning.fit.windows import Statistics, Windows
from vdd_ros.learning.students.marginal import without_past
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize(("horizon", "past"), [(5, 2), (3, 2), (4, 1), (4, 0)])
def test_chunks_end_with_the_actions_before_the_observation(
    horizon: int, past: int, mapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = small_demonstrations(episodes=3, length=7)
    if mapped:
        monkeypatch.setattr(npz, "COMPRESSED_BELOW", 1)
        monkeypatch.setattr(npz, "MAPPED_FROM", 1)
        made = DemonstrationSet.load(made.save(tmp_path))
        assert made.is_mapped
    statistics = Statistics.of(made)
    windows = Windows.of(made, statistics, 2, horizon, past=past)
    action = (made.action - statistics.action_mean.numpy()) / statistics.action_std.numpy()
    expected = []
    for first in (0, 7, 14):
        for now in range(first, first + 7 - (horizon - past) + 1):
            places = [*range(now, now + horizon - past), *(max(now - back, first) for back in range(past, 0, -1))]
            expected.append(action[places].reshape(-1))
    found = windows.action[torch.arange(len(windows))].numpy()
    np.testing.assert_allclose(found, np.stack(expected), rtol=0, atol=1e-5)
    assert len(windows.observation) == len(expected)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
@pytest.mark.parametrize("gating", ["learned", "uniform"])
def test_a_student_without_its_past_is_the_marginal(covariance: Any, gating: Any) -> None:
    """Of a Gaussian over (x, y), the marginal of x has the mean and the covariance of x."""
    sizes: dict[str, Any] = {"history": 2, "obs_dim": 3, "act_dim": 2, "horizon": 5, "past": 2}
    small: dict[str, Any] = {"backbone": "mlp", "width": 8, "layers": 1, "head_width": 8, "head_layers": 1}
    torch.manual_seed(0)
    student = MixtureStudent(StudentConfig(**sizes, **small, experts=4, covariance=covariance, gating=gating))
    for parameter in student.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    observation = torch.randn((3, 2, 3))
    made = without_past(student)
    assert (made.config.horizon, made.config.past, made.size) == (3, 0, 6)
    with torch.no_grad():
        whole, part = student(observation), made(observation)
    torch.testing.assert_close(part.log_gating, whole.log_gating)
    torch.testing.assert_close(part.mean, whole.mean[..., :6])
    factors = [mixture.factor.diag_embed() if mixture.diagonal else mixture.factor for mixture in (whole, part)]
    total, marginal = (factor @ factor.transpose(-1, -2) for factor in factors)
    torch.testing.assert_close(marginal, total[..., :6, :6])


@pytest.mark.parametrize("covariance", ["cosine", "principal"])
def test_a_basis_of_a_chunk_with_past_actions_is_refused(covariance: Any) -> None:
    shape = StudentConfig(history=2, horizon=4, past=1, obs_dim=3, act_dim=2, covariance=covariance)
    with pytest.raises(ConfigurationError, match="choose diagonal or full"):
        check_sizes(shape)


def test_a_student_of_the_future_alone_stays() -> None:
    student = MixtureStudent(
        StudentConfig(history=1, obs_dim=1, act_dim=1, horizon=2, backbone="mlp", width=4, layers=1, experts=2)
    )
    assert without_past(student) is student


def test_a_policy_file_takes_noise_for_past_actions() -> None:
    spec = diffusion_spec()
    steps, horizon, act_dim = spec.noise_shape
    wider = diffusion_spec(settings={**spec.settings, "past_actions": 3})
    assert wider.noise_shape == (steps, horizon + 3, act_dim)
    assert wider.horizon == spec.horizon


@pytest.mark.parametrize("value", [-1, 1.5, "1", True])
def test_past_actions_are_counted(value: object) -> None:
    with pytest.raises(PolicyFileError, match=r"settings\.past_actions"):
        diffusion_spec(settings={"past_actions": value})


def test_a_mixture_has_no_past_actions() -> None:
    with pytest.raises(PolicyFileError, match=r"settings.past_actions.*0 or missing for a mixture"):
        mixture_spec(settings={"past_actions": 1})
