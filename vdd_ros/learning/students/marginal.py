"""A student of the actions that can be executed, from one of chunks that begin before the newest observation."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from vdd_ros.learning.students.mixture import MixtureStudent


def without_past(student: MixtureStudent) -> MixtureStudent:
    """Return the marginal of a student over the chunk without its past actions; the student itself if it has none.

    They are the last rows of the chunk. The marginal of a Gaussian N(mu, L L^T) over its first entries has their means
    and the upper left block of L, so only rows of the heads' last layers are left out: the result is exact.
    """
    config = student.config
    if not config.past:
        return student
    made = MixtureStudent(replace(config, horizon=config.ahead, past=0))
    kept = torch.arange(made.size)
    if config.covariance == "full":  # diagonals, then the entries below, row by row
        below = made.size * (made.size - 1) // 2
        entries = torch.cat([kept, student.size + torch.arange(below)])
    else:
        entries = kept
    made.trunk = student.trunk
    if config.gating == "learned":
        made.gating = student.gating
    for name, rows in (("mean", kept), ("scale", entries)):
        head, whole = getattr(made, name), getattr(student, name)
        head.hidden = whole.hidden
        _take(head.last, whole.last, config.experts, rows)
    return made.train(student.training).requires_grad_(False)


@torch.no_grad()
def _take(layer: nn.Linear, whole: nn.Linear, experts: int, rows: Tensor) -> None:
    """Copy some rows of each expert."""
    for given, found in ((layer.weight, whole.weight), (layer.bias, whole.bias)):
        given.copy_(found.unflatten(0, (experts, -1))[:, rows].flatten(0, 1))
