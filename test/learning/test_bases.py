"""Bases of chunks against scipy's cosine transform and scikit-learn's principal axes; students keep theirs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import torch
from scipy.fft import dct
from sklearn.decomposition import PCA  # type: ignore[import-untyped]
from toy_targets import Target, exact_teacher, observations, small_demonstrations
from trainings import fit_mixture

from vdd_ros.errors import CheckpointError
from vdd_ros.learning.fit.checkpoint import load_model, save_model
from vdd_ros.learning.fit.windows import Statistics, Windows
from vdd_ros.learning.kinds import MIXTURE
from vdd_ros.learning.methods.configs import EMConfig, IMCConfig
from vdd_ros.learning.methods.vdd_objective import multi_noise_update, paper_update
from vdd_ros.learning.students.bases import cosine_basis, is_orthonormal, principal_axes
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig

SMALL: dict[str, Any] = {"backbone": "mlp", "width": 8, "layers": 1, "octaves": 1, "batch": 8, "history": 2}


@pytest.mark.parametrize(("horizon", "act_dim"), [(1, 3), (5, 1), (8, 2)])
def test_coordinates_in_the_cosine_basis_are_scipys_transform(horizon: int, act_dim: int) -> None:
    chunks = np.random.default_rng(0).normal(size=(20, horizon, act_dim))
    found = chunks.reshape(20, -1) @ cosine_basis(horizon, act_dim).double().numpy()
    np.testing.assert_allclose(found.reshape(chunks.shape), dct(chunks, axis=1, norm="ortho"), atol=1e-6)


def test_principal_axes_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    actions = random.normal(size=(500, 6)) @ random.normal(size=(6, 6)) + 10
    axes = principal_axes(torch.tensor(actions, dtype=torch.float32)).numpy()
    theirs = PCA().fit(actions).components_.T
    np.testing.assert_allclose(np.abs((axes * theirs).sum(0)), 1, atol=1e-5)
    assert is_orthonormal(torch.from_numpy(axes))
    assert (axes[np.abs(axes).argmax(0), np.arange(6)] > 0).all()


def test_axes_of_entries_that_never_change_are_a_basis_too() -> None:
    actions = torch.zeros(30, 4)
    actions[:, 1] = torch.linspace(-1, 1, 30)
    axes = principal_axes(actions)
    torch.testing.assert_close(axes[:, 0], torch.tensor([0.0, 1.0, 0.0, 0.0]))
    assert is_orthonormal(axes)


@pytest.mark.parametrize("config", [EMConfig, IMCConfig])
def test_a_student_keeps_the_axes_of_the_demonstrated_chunks(tmp_path: Path, config: type[EMConfig]) -> None:
    demonstrations = small_demonstrations()
    fit_mixture(demonstrations, tmp_path, config(steps=3, horizon=3, experts=2, covariance="principal", **SMALL))
    student = MIXTURE.load(tmp_path)[0]
    windows = Windows.of(demonstrations, Statistics.of(demonstrations), 2, 3)
    assert isinstance(windows.action, torch.Tensor)
    theirs = PCA().fit(windows.action.numpy()).components_.T
    assert student.basis is not None
    np.testing.assert_allclose(np.abs((student.basis.numpy() * theirs).sum(0)), 1, atol=1e-4)
    assert "basis" in load_model(tmp_path)[1]


def test_a_cosine_basis_is_not_saved(tmp_path: Path) -> None:
    config = EMConfig(steps=1, horizon=3, experts=2, covariance="cosine", **SMALL)
    fit_mixture(small_demonstrations(), tmp_path, config)
    assert "basis" not in load_model(tmp_path)[1]
    basis = MIXTURE.load(tmp_path)[0].basis
    assert basis is not None
    torch.testing.assert_close(basis, cosine_basis(3, 2))


def test_a_saved_basis_that_is_none_is_refused(tmp_path: Path) -> None:
    config = EMConfig(steps=1, horizon=3, experts=2, covariance="principal", **SMALL)
    fit_mixture(small_demonstrations(), tmp_path, config)
    metadata, tensors = load_model(tmp_path)
    save_model(tmp_path, tensors | {"basis": 1.01 * tensors["basis"]}, metadata)
    with pytest.raises(CheckpointError, match="basis is not orthonormal"):
        MIXTURE.load(tmp_path)


@pytest.mark.parametrize("update", [multi_noise_update, paper_update])
def test_a_student_that_equals_its_teacher_in_a_basis_is_left_alone(update: Any) -> None:
    """Isotropic experts are the same in every basis: so are both updates' gradients by means and deviations."""
    target = Target.of([0.3, 0.7], [[-1.0, 0.2, 0.5], [0.9, 0.0, -0.4]], [0.3, 0.4])
    teacher, generator = exact_teacher(target, "beso"), torch.Generator().manual_seed(0)
    log_gating = target.weights.float().log().expand(4, 2)
    deviation = torch.tensor([0.3, 0.4])[:, None].expand(4, 2, 3)
    noise, sigma = torch.randn((4, 5, 2, 3), generator=generator), torch.tensor([0.05, 0.2, 0.5, 1.0])
    basis = torch.linalg.qr(torch.randn((3, 3), generator=generator)).Q

    def gradients(axes: torch.Tensor | None, draws: torch.Tensor, shift: float) -> tuple[torch.Tensor, ...]:
        mean = (target.means.float().expand(4, 2, 3) + shift).requires_grad_()
        student = GaussianMixture(log_gating, mean, deviation, axes)
        context = teacher.encode(observations(4))
        return torch.autograd.grad(update(student, teacher, context, sigma, draws, 0.5).loss, mean)

    for shift in (0.0, 0.3):
        plain = gradients(None, noise, shift)[0]
        turned = gradients(basis, noise @ basis, shift)[0]
        torch.testing.assert_close(turned, plain, rtol=1e-3, atol=1e-4)


def test_multi_noise_finds_the_deviations_of_correlated_chunks() -> None:
    """A Gaussian whose deviations differ along the cosine waves: the student finds them from the scores alone."""
    basis = cosine_basis(4, 1)
    widths = torch.tensor([0.9, 0.5, 0.25, 0.1])
    truth = GaussianMixture(torch.zeros(64, 1), torch.full((64, 1, 4), 0.3), widths.expand(64, 1, 4), basis)
    dense = torch.linalg.cholesky(basis @ torch.diag(widths**2) @ basis.T)
    full = GaussianMixture(torch.zeros(64, 1), torch.full((64, 1, 4), 0.3), dense.expand(64, 1, 4, 4))

    class Exact:
        def score(self, _context: None, action: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return full.noised(sigma[:, 0]).score(action)

    shape = StudentConfig(
        history=1, obs_dim=1, horizon=4, act_dim=1, experts=1, covariance="cosine", backbone="mlp", width=4, layers=1
    )
    torch.manual_seed(0)
    student, generator = MixtureStudent(shape), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(student.parameters(), lr=2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    for _ in range(400):
        sigma = torch.exp(torch.rand(64, generator=generator) * 3 - 3)
        noise = torch.randn((64, 2, 1, 4), generator=generator)
        update = multi_noise_update(student(observations(64)), Exact(), None, sigma, noise, 0.5)  # type: ignore[arg-type]
        optimizer.zero_grad()
        update.loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        found = student(observations(1))
    torch.testing.assert_close(found.factor[0, 0], widths, rtol=0.05, atol=0.01)
    torch.testing.assert_close(found.covariances()[0, 0], truth.covariances()[0, 0], rtol=0.1, atol=0.02)
