"""How entries are scaled: against numpy, entry by entry, and whether a policy file goes back to physical units."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from toy_targets import small_demonstrations
from trainings import fit_mixture

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import WindowConfig, parse_normalisation
from vdd_ros.learning.export.export import export
from vdd_ros.learning.fit.normalisation import statistics_of
from vdd_ros.learning.fit.windows import Statistics, Windows
from vdd_ros.learning.kinds import MIXTURE
from vdd_ros.learning.methods.configs import EMConfig, ExportConfig
from vdd_ros.policy.onnx_policy import OnnxPolicy

SET = small_demonstrations()


def test_mean_and_deviation_are_the_default() -> None:
    found, expected = statistics_of(SET, WindowConfig()), Statistics.of(SET)
    for name, value in vars(expected).items():
        assert torch.equal(getattr(found, name), value)


def test_min_max_brings_every_entry_between_minus_1_and_1() -> None:
    found = statistics_of(SET, WindowConfig(normalisation="min-max"))
    windows = Windows.of(SET, found, 1, 1)
    for values in (windows.states[:], windows.action[:]):
        torch.testing.assert_close(values.amin(0), torch.full_like(values[0], -1.0))
        torch.testing.assert_close(values.amax(0), torch.full_like(values[0], 1.0))
    low, high = found.standard_limits()
    torch.testing.assert_close(low, torch.full((2,), -1.1))
    torch.testing.assert_close(high, torch.full((2,), 1.1))


def test_none_leaves_the_units_and_the_limits() -> None:
    found, usual = statistics_of(SET, WindowConfig(normalisation="none")), Statistics.of(SET)
    np.testing.assert_array_equal(Windows.of(SET, found, 1, 1).states, SET.observation.astype(np.float32))
    assert torch.equal(found.action_low, usual.action_low)
    assert torch.equal(found.standard_limits()[1], usual.action_high)


def test_single_entries_differ_by_name() -> None:
    ways = "mean-std,tcp_x=none, action.delta_desired_y=min-max"
    found, usual = statistics_of(SET, WindowConfig(normalisation=ways)), Statistics.of(SET)
    assert found.observation_mean.tolist()[2] == 0.0
    assert found.observation_std.tolist()[2] == 1.0
    kept = [0, 1, 3]
    assert torch.equal(found.observation_std[kept], usual.observation_std[kept])
    assert float(found.action_std[1]) == pytest.approx(np.ptp(SET.action[:, 1]) / 2)
    assert float(found.action_std[0]) == float(usual.action_std[0])


def test_an_entry_that_hardly_changes_is_not_blown_up() -> None:
    observation = SET.observation.copy()
    observation[:, 0] = 5.0 + 1e-6 * observation[:, 0]
    still = replace(SET, observation=observation)
    found = statistics_of(still, WindowConfig(normalisation="min-max"))
    assert float(found.observation_std[0]) == pytest.approx(1e-3)


@pytest.mark.parametrize("text", ["minmax", "", "mean-std,x", "mean-std,x=", "none,x=half"])
def test_a_normalisation_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="min-max, none, optionally followed by ',NAME=WAY'"):
        parse_normalisation(text)


def test_an_entry_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="names 'gripper', which the demonstrations do not have; they"):
        statistics_of(SET, WindowConfig(normalisation="mean-std,gripper=none"))


@pytest.mark.parametrize("way", ["min-max", "none"])
def test_a_policy_file_takes_and_gives_physical_units(tmp_path: Path, way: str) -> None:
    """Against the model itself, with the scales written out."""
    config = EMConfig(
        **{"steps": 1, "batch": 4, "backbone": "mlp", "width": 8, "layers": 1, "octaves": 1, "history": 1},  # type: ignore[arg-type]
        experts=1,
        normalisation=f"{way},tcp_y=none",
    )
    metadata = fit_mixture(SET, tmp_path / "E", config)
    assert metadata.settings["normalisation"] == f"{way},tcp_y=none"
    export(tmp_path / "E", tmp_path / "e.onnx", ExportConfig(novelty=False))
    (mean, scale), (offset, factor) = (
        ((low + high) / 2, (high - low) / 2) if way == "min-max" else (0 * low, 1 + 0 * low)
        for low, high in ((part.min(0), part.max(0)) for part in (SET.observation, SET.action))
    )
    mean[3], scale[3] = 0.0, 1.0
    standard = torch.tensor((SET.observation[:, None] - mean) / scale, dtype=torch.float32)
    with torch.no_grad():
        expected = MIXTURE.load(tmp_path / "E")[0](standard).mean[:, 0].numpy() * factor + offset
    margin = 0.05 * np.ptp(SET.action, axis=0)
    expected = expected.clip(SET.action.min(0) - margin, SET.action.max(0) + margin)
    found = OnnxPolicy.load(tmp_path / "e.onnx").act_batch(SET.observation[:, None].astype(np.float32)).action[:, 0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * factor.max())
