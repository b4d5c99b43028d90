"""Orthonormal bases of action chunks, in which covariances of experts are diagonal.

Columns of a basis U are directions in the space of flattened chunks, time first: entry (t, j) of a chunk of `horizon`
actions is number t * act_dim + j. Isotropic noise is isotropic in every such basis.
"""

import numpy as np
import torch
from torch import Tensor

BLOCK = 1 << 16
"""Chunks of actions in double precision at a time."""
MAX_ERROR = 1e-4
"""Largest entry of U^T U - 1 that rounding explains."""


def cosine_waves(horizon: int) -> Tensor:
    """Return the orthonormal discrete cosine transform, type II (Ahmed et al. 1974), (horizon, horizon).

    Column f is the wave of f half periods over the chunk; the first one is constant.
    """
    numbers = np.arange(horizon)
    waves = np.cos(np.pi / horizon * (numbers[:, None] + 0.5) * numbers)
    scale = np.sqrt(np.where(numbers == 0, 1.0, 2.0) / horizon)
    return torch.from_numpy((waves * scale).astype(np.float32))


def cosine_basis(horizon: int, act_dim: int) -> Tensor:
    """Return the cosine transform over time of each entry of the action, (D, D) with D = horizon * act_dim."""
    return torch.from_numpy(np.kron(cosine_waves(horizon).numpy(), np.eye(act_dim, dtype=np.float32)))


def principal_axes(actions: Tensor) -> Tensor:
    """Return the principal axes of chunks of actions (N, D), (D, D): eigenvectors of their covariance, widest first.

    The largest entry of each axis is positive, so that the same actions give the same axes.
    """
    size = actions.shape[1]
    mean = torch.zeros(size, dtype=torch.float64, device=actions.device)
    square = torch.zeros((size, size), dtype=torch.float64, device=actions.device)
    for part in actions.split(BLOCK):
        mean += part.double().sum(0) / len(actions)
    for part in actions.split(BLOCK):
        apart = part.double() - mean
        square += apart.T @ apart / len(actions)
    axes = torch.linalg.eigh(square).eigenvectors.flip(1)
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return (axes * largest.sign()).float()


def is_orthonormal(basis: Tensor) -> bool:
    """Return whether a matrix (D, D) is an orthonormal basis, up to single precision."""
    error = basis.double().T @ basis.double() - torch.eye(len(basis), dtype=torch.float64, device=basis.device)
    return bool(error.abs().max() <= MAX_ERROR)
