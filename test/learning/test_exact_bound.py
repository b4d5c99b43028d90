"""The upper bound that VDD descends, by quadrature: above the divergence, and equal to it at the responsibilities."""

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor
from toy_targets import random_mixture

from vdd_ros.learning.configs import Covariance
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture

LOG_Z = 0.7
COVARIANCES = pytest.mark.parametrize("covariance", ["diagonal", "full"])


def grid(size: int) -> tuple[Tensor, float]:
    """Return (1, G, D) points and the volume of each."""
    axis = torch.linspace(-16, 16, 8001 if size == 1 else 401, dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * size).reshape(1, -1, size), float(axis[1] - axis[0]) ** size


def upper_bound(student: GaussianMixture, log_target: Tensor, log_auxiliary: Tensor) -> float:
    """Return sum_z g_z (E_z[-log p(a) - log auxiliary(z | a)] - H_z + log g_z) for targets (G,), auxiliaries (G, Z)."""
    points, cell = grid(student.mean.shape[-1])
    density = student.expert_log_prob(points)[0].exp()  # (G, Z)
    cross = -(density * (log_target[:, None] + log_auxiliary)).sum(0) * cell
    gating = student.log_gating[0]
    return float((gating.exp() * (cross - student.entropies()[0] + gating)).sum())


def divergence(student: GaussianMixture, log_target: Tensor) -> float:
    points, cell = grid(student.mean.shape[-1])
    log_student = student.log_prob(points)[0]
    return float((log_student.exp() * (log_student - log_target)).sum() * cell)


@COVARIANCES
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [1, 2])
def test_the_bound_is_never_below_the_divergence_and_touches_it(covariance: Covariance, seed: int, size: int) -> None:
    """The target is only known up to its normaliser Z, which moves both by log Z."""
    student = random_mixture(1, 4, size, covariance, seed)
    points, _ = grid(size)
    log_target = random_mixture(1, 3, size, covariance, seed + 100).log_prob(points)[0] + LOG_Z
    exact = divergence(student, log_target)
    assert exact + LOG_Z >= 0
    responsibilities = student.log_responsibilities(points)[0]
    assert upper_bound(student, log_target, responsibilities) == pytest.approx(exact, abs=1e-6)
    for other in range(3):
        auxiliary = random_mixture(1, 4, size, covariance, seed + 200 + other).log_responsibilities(points)[0]
        assert upper_bound(student, log_target, auxiliary) > exact + 1e-3


@COVARIANCES
def test_the_gap_of_the_bound_is_the_divergence_of_the_responsibilities(covariance: Covariance) -> None:
    """U - KL = E_q KL(responsibility || auxiliary)."""
    student = random_mixture(1, 4, 2, covariance)
    points, cell = grid(2)
    log_target = random_mixture(1, 3, 2, covariance, 1).log_prob(points)[0]
    own = student.log_responsibilities(points)[0]
    other = random_mixture(1, 4, 2, covariance, 2).log_responsibilities(points)[0]
    between = (own.exp() * (own - other)).sum(-1)
    expected = float((student.log_prob(points)[0].exp() * between).sum() * cell)
    gap = upper_bound(student, log_target, other) - divergence(student, log_target)
    assert gap == pytest.approx(expected, rel=1e-5)
