"""`log_prob` of a policy file by numerical integration over actions in physical units."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import onnxruntime
import torch
from numpy.typing import NDArray

from vdd_ros.features import Feature
from vdd_ros.learning.configs import Covariance
from vdd_ros.learning.export.export import export
from vdd_ros.learning.fit.checkpoint import CheckpointMetadata, save_model
from vdd_ros.learning.methods.configs import ExportConfig
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig

Array = NDArray[np.float64]

EXPERTS = 3
STD, MEAN = (0.02, 5.0), (0.3, -40.0)
"""Of the two action entries: units that differ by orders of magnitude."""


def metadata(student: MixtureStudent, size: int) -> CheckpointMetadata:
    shape = vars(student.config)
    statistics = {
        "observation_mean": [1.0, 2.0],
        "observation_std": [0.5, 3.0],
        "action_mean": list(MEAN[:size]),
        "action_std": list(STD[:size]),
        "action_low": [mean - 1e3 * std for mean, std in zip(MEAN[:size], STD[:size], strict=True)],
        "action_high": [mean + 1e3 * std for mean, std in zip(MEAN[:size], STD[:size], strict=True)],
    }
    names: Any = (Feature("x", "m"), Feature("force", "N"))
    return CheckpointMetadata(
        "mixture", "vdd", "toy", names, names[:size], 10.0, statistics, shape, {}, 0, "0" * 64, None, {}
    )


def policy_file(size: int, covariance: Covariance, folder: Path) -> Path:
    """Export a student with random weights, whose experts differ in gating, place and shape."""
    torch.manual_seed(3)
    shape: dict[str, Any] = {"backbone": "mlp", "width": 16, "layers": 1, "history": 1, "obs_dim": 2, "horizon": 1}
    student = MixtureStudent(StudentConfig(**shape, act_dim=size, experts=EXPERTS, covariance=covariance))
    for head in (student.gating, student.mean, student.scale):
        torch.nn.init.normal_(head.last.weight, std=0.3)
    save_model(folder, student.state_dict(), metadata(student, size))
    export(folder, folder / "policy.onnx", ExportConfig(novelty=False))
    return folder / "policy.onnx"


def act(file: Path, noise: Array, uniform: float) -> tuple[Array, Array, Array]:
    """Return actions (N, D), their log densities (N,) and the gating (Z,) at one observation, for noise (N, D)."""
    count = len(noise)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    inputs = {
        "observation": np.tile(np.array([1.3, 0.5], np.float32), (count, 1, 1)),
        "noise": noise[:, None].astype(np.float32),
        "expert_uniform": np.full(count, uniform, np.float32),
    }
    action, log_prob, gating = session.run(["action", "log_prob", "gating"], inputs)
    return action[:, 0].astype(np.float64), log_prob.astype(np.float64), gating[0].astype(np.float64)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("expert", range(EXPERTS))
def test_the_density_integrates_to_one_whichever_expert_sweeps_the_actions(
    covariance: Covariance, size: int, expert: int, tmp_path: Path
) -> None:
    """An expert maps a grid of noise to a grid of actions; its cell is read off the actions themselves."""
    points = 401
    axis = np.linspace(-20, 20, points)
    noise = np.stack(np.meshgrid(*[axis] * size, indexing="ij"), axis=-1).reshape(-1, size)
    action, log_prob, _ = act(policy_file(size, covariance, tmp_path), noise, -(2.0 + expert))
    grid = action.reshape(*[points] * size, size)
    edges = np.stack([(np.take(grid, -1, n) - np.take(grid, 0, n)).reshape(-1, size)[0] for n in range(size)])
    cell = abs(np.linalg.det(edges / (points - 1)))
    assert np.exp(log_prob).sum() * cell == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_the_density_is_that_of_the_actions_drawn(covariance: Covariance, tmp_path: Path) -> None:
    """E[log q] by draws through the file agrees with the integral of q log q over a grid."""
    file = policy_file(1, covariance, tmp_path)
    grid, log_grid, gating = act(file, np.linspace(-20, 20, 20_001)[:, None], -2.0)
    expected = (np.exp(log_grid) * log_grid).sum() * abs(float(grid[1, 0] - grid[0, 0]))
    random = np.random.default_rng(0)
    drawn = np.concatenate(
        [
            act(file, random.standard_normal((round(20_000 * share), 1)), -(2.0 + expert))[1]
            for expert, share in enumerate(gating)
        ]
    )
    assert drawn.mean() == pytest.approx(expected, abs=5 * drawn.std() / len(drawn) ** 0.5)
