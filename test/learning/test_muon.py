"""Muon against singular value decompositions, and against torch's Muon, which multiplies in bfloat16."""

import pytest

pytest.importorskip("torch")

import numpy as np
import torch
from torch import Tensor

from vdd_ros.learning.fit.muon import COEFFICIENTS, ITERATIONS, Muon, orthogonalise

SHAPES = [(6, 4), (6, 4), (4, 9), (5, 5), (1, 3)]


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (1, 8, 3), (2, 5, 16), (3, 6, 6)])
def test_singular_values_follow_the_polynomial_and_vectors_stay(shape: tuple[int, ...]) -> None:
    matrices = gaussian(*shape)
    left, values, right = np.linalg.svd(matrices.double().numpy(), full_matrices=False)
    values = values / np.linalg.norm(values, axis=-1, keepdims=True)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        values = a * values + b * values**3 + c * values**5
    np.testing.assert_allclose(orthogonalise(matrices).numpy(), (left * values[..., None, :]) @ right, atol=1e-4)


def test_zeros_stay_zeros() -> None:
    assert torch.equal(orthogonalise(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))


def test_it_computes_in_float32_on_a_cpu() -> None:
    # In bfloat16 a step takes thirty times as long on processors without instructions for it.
    assert orthogonalise(gaussian(1, 4, 4)).dtype == torch.float32


def test_it_follows_torch_within_the_precision_of_bfloat16() -> None:
    ours = [torch.nn.Parameter(gaussian(*shape, seed=i)) for i, shape in enumerate(SHAPES)]
    theirs = [torch.nn.Parameter(parameter.detach().clone()) for parameter in ours]
    start = [parameter.detach().clone() for parameter in ours]
    muon = Muon(ours, weight_decay=0.1)
    muon.param_groups[0]["lr"] = 0.01
    reference = torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for step in range(10):
        for i, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            mine.grad = gaussian(*mine.shape, seed=100 * step + i)
            other.grad = mine.grad.clone()
        muon.step()
        reference.step()
    for before, mine, other in zip(start, ours, theirs, strict=True):
        moved = torch.linalg.matrix_norm(other - before)
        assert torch.linalg.matrix_norm(mine - other) < 0.03 * moved
        torch.testing.assert_close(muon.state[mine]["momentum_buffer"], reference.state[other]["momentum_buffer"])


def test_a_matrix_without_a_gradient_stays_and_has_no_state() -> None:
    moving, resting = torch.nn.Parameter(gaussian(3, 3)), torch.nn.Parameter(gaussian(3, 3))
    muon = Muon([moving, resting], weight_decay=0.1)
    muon.param_groups[0]["lr"] = 0.1
    moving.grad = gaussian(3, 3, seed=1)
    muon.step()
    assert not torch.equal(moving, gaussian(3, 3))
    assert torch.equal(resting, gaussian(3, 3))
    assert resting not in muon.state
