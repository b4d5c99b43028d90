"""The density of the demonstrated observations: compared with scikit-learn's, and the effect of its bound."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from toy_targets import small_demonstrations
from trainings import fit_mixture

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import CheckpointError, DemonstrationError
from vdd_ros.features import Feature
from vdd_ros.learning.export.export import export
from vdd_ros.learning.export.novelty import QUANTILE, Fitted, Novelty, fit_novelty
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.learning.methods.configs import EMConfig, ExportConfig
from vdd_ros.policy.onnx_policy import OnnxPolicy

SMALL = {"backbone": "mlp", "width": 8, "layers": 1, "steps": 2, "batch": 4, "experts": 2}


def circles(episodes: int = 16, length: int = 100, seed: int = 0) -> DemonstrationSet:
    """Return demonstrations that go round a circle, at a radius of 1 with a deviation of 0.05."""
    random = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, length)[None] + random.uniform(0, 2 * np.pi, (episodes, 1))
    radius = 1 + 0.05 * random.normal(size=angle.shape)
    place = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(-1, 2)
    like = small_demonstrations(episodes, length)
    return DemonstrationSet(
        like.header, np.concatenate([place, place], axis=1) + 0.01 * random.normal(size=(episodes * length, 4)),
        like.action, like.lengths, like.modes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    demonstrations = circles()
    return fit_novelty(demonstrations, Statistics.of(demonstrations))


def scores(fitted: Fitted, demonstrations: DemonstrationSet, statistics: Statistics) -> np.ndarray:
    points = (demonstrations.observation - statistics.observation_mean.numpy()) / statistics.observation_std.numpy()
    return Novelty(fitted)(torch.tensor(points, dtype=torch.float32)).numpy()


def test_the_novelty_is_minus_log_p(fitted: Fitted) -> None:
    """Against SciPy, term by term."""
    from scipy.special import logsumexp
    from scipy.stats import multivariate_normal

    points = np.random.default_rng(1).normal(size=(50, 4))
    parts = zip(fitted.weights, fitted.means, fitted.covariances, strict=True)
    joint = [np.log(w) + multivariate_normal(m, c).logpdf(points) for w, m, c in parts]
    found = Novelty(fitted)(torch.tensor(points, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(found, -logsumexp(joint, axis=0), rtol=1e-4, atol=1e-3)


def test_new_episodes_are_known_and_the_middle_of_the_circle_is_not(fitted: Fitted) -> None:
    statistics = Statistics.of(circles())
    beyond = scores(fitted, circles(seed=1), statistics) > fitted.bound
    assert beyond.mean() < 10 * (1 - QUANTILE)
    middle = circles(seed=2)
    middle.observation[:] *= 0.5
    assert (scores(fitted, middle, statistics) > fitted.bound).all()


def test_the_file_carries_it(tmp_path: Path) -> None:
    """Parts of a pair that do not fit each other are novel too: hand and set point on opposite sides."""
    demonstrations = circles()
    fit_mixture(demonstrations, tmp_path / "E", EMConfig(history=2, **SMALL))  # type: ignore[arg-type]
    spec = export(tmp_path / "E", tmp_path / "e.onnx", ExportConfig())
    policy = OnnxPolicy.load(tmp_path / "e.onnx")
    assert spec.novelty is not None
    for place, known in (([1.0, 0, 1, 0], True), ([1.0, 0, -1, 0], False), ([0.0, 0, 0, 0], False)):
        novelty = policy.act(np.array([[5.0, 5, 5, 5], place])).novelty
        assert novelty is not None
        assert (novelty <= spec.novelty.bound) == known
    batch = policy.act_batch(np.array([[[1.0, 0, 1, 0]] * 2, [[0.0, 0, 0, 0]] * 2]))
    assert batch.novelty is not None
    assert batch.novelty[0] < spec.novelty.bound < batch.novelty[1]


def test_a_file_without_it(tmp_path: Path) -> None:
    fit_mixture(small_demonstrations(), tmp_path / "E", EMConfig(**SMALL))  # type: ignore[arg-type]
    bare = export(tmp_path / "E", tmp_path / "e.onnx", ExportConfig(novelty=False))
    assert (bare.novelty, bare.demonstrated_steps) == (None, {})
    assert OnnxPolicy.load(tmp_path / "e.onnx").act(np.zeros((5, 4))).novelty is None


def test_other_demonstrations_are_a_warning_in_the_file(tmp_path: Path) -> None:
    fit_mixture(small_demonstrations(), tmp_path / "E", EMConfig(**SMALL))  # type: ignore[arg-type]
    other = small_demonstrations(seed=1)
    warnings = export(tmp_path / "E", tmp_path / "e.onnx", ExportConfig(), demonstrations=other).warnings
    learned = small_demonstrations().sha256[:12]
    assert warnings == (
        f"the policy learned from other demonstrations (sha256 {learned}); novelty is judged by those with the sha256 "
        f"{other.sha256[:12]}",
    )
    assert OnnxPolicy.load(tmp_path / "e.onnx").spec.warnings == warnings
    assert export(tmp_path / "E", tmp_path / "e.onnx", ExportConfig()).warnings == ()


def in_millimetres(found: DemonstrationSet) -> DemonstrationSet:
    observation = tuple(Feature(one.name, "mm") for one in found.header.observation)
    return replace(found, header=replace(found.header, observation=observation))


def test_demonstrations_that_do_not_do_are_refused(tmp_path: Path) -> None:
    few = small_demonstrations(episodes=1)
    fit_mixture(few, tmp_path / "E", EMConfig(**SMALL))  # type: ignore[arg-type]
    with pytest.raises(DemonstrationError, match=r"needs at least two episodes.* there is one.*--no-novelty"):
        export(tmp_path / "E", tmp_path / "e.onnx", ExportConfig())
    with pytest.raises(CheckpointError, match="the demonstrations cannot be used with the checkpoint"):
        export(tmp_path / "E", tmp_path / "e.onnx", ExportConfig(), demonstrations=in_millimetres(circles()))
    (tmp_path / "E" / "demonstrations.npz").unlink()
    with pytest.raises(DemonstrationError, match=r"are not at .*--demos.*--no-novelty"):
        export(tmp_path / "E", tmp_path / "e.onnx", ExportConfig())
    assert not (tmp_path / "e.onnx").exists()
