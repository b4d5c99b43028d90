"""Triangular systems in operators that ONNX has."""

import torch
from torch import Tensor


def solve_lower(factor: Tensor, diagonal: Tensor, right: Tensor) -> Tensor:
    """Solve L x = right; (B, Z, D, D), its diagonal (B, Z, D) and (B, Z, D) give (B, Z, D).

    L = U diag(L) with ones on U's diagonal. The inverses of U's diagonal blocks yield those of blocks twice as large:
    M - M U' M, where U' is U between the smaller blocks. The number of operators is proportional to log2 D.
    """
    size = int(right.shape[-1])
    unit = factor / diagonal[..., None, :]
    joints = [unit * mask for mask in _block_masks(size)]
    inverse: Tensor | None = None
    for below in joints[:-1]:
        inverse = torch.eye(size) - below if inverse is None else inverse - inverse @ below @ inverse
    solved = _times(inverse, right)
    for below in joints[-1:]:  # the last one meets vectors alone
        solved = solved - _times(inverse, _times(below, solved))
    return solved / diagonal


def _block_masks(size: int) -> list[Tensor]:
    """Return, for blocks of 1, 2, 4 …, masks (D, D) of the entries that join two neighbouring blocks."""
    masks, width = [], 1
    while width < size:
        block = torch.arange(size) // width
        masks.append(((block[:, None] % 2 == 1) & (block[None] == block[:, None] - 1)).to(torch.get_default_dtype()))
        width *= 2
    return masks


def _times(matrix: Tensor | None, vector: Tensor) -> Tensor:
    """Multiply (B, Z, D, D) with (B, Z, D); no matrix is the identity."""
    return vector if matrix is None else (matrix * vector[..., None, :]).sum(-1)
