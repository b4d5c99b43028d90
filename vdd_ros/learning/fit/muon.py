"""Muon (Jordan et al. 2024): steepest descent of weight matrices in the spectral norm, with momentum.

torch's own Muon multiplies in bfloat16 on every device. Processors without instructions for it take some thirty times
as long as in float32 (docs/speed.md), and it takes matrices one by one.
"""

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic polynomial, by Jordan et al.: they take small singular values near 1 in few iterations."""
ITERATIONS = 5
SMALLEST_NORM = 1e-7
RMS_OF_ADAMW = 0.2
"""Typical root mean square of AdamW's updates, in learning rates (Liu et al. 2025)."""


def orthogonalise(matrices: Tensor) -> Tensor:
    """Take the singular values of matrices near 1, between about 0.7 and 1.2, and keep their singular vectors.

    Args:
        matrices: (k, m, n), float32.

    Returns:
        The same shape, float32 on a CPU and bfloat16 on a GPU.
    """
    wide = matrices if matrices.device.type == "cpu" else matrices.bfloat16()
    tall = wide.size(-2) > wide.size(-1)
    if tall:
        wide = wide.mT
    wide = wide / torch.linalg.matrix_norm(wide, keepdim=True).clamp(min=SMALLEST_NORM)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = wide @ wide.mT
        wide = torch.baddbmm(wide, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.mT if tall else wide


class Muon(torch.optim.Optimizer):
    """Optimises matrices; its updates have the root mean square of AdamW's at the same learning rate.

    The learning rate of a group of parameters is `group["lr"]`, as in torch's optimisers.

    Args:
        matrices: Parameters (m, n).
        weight_decay: Share of the weights that a learning rate of 1 would remove per step.
        momentum: Decay of the averaged gradient, which is Nesterov's.
    """

    def __init__(self, matrices: Iterable[nn.Parameter | Tensor], weight_decay: float, momentum: float = 0.95) -> None:
        """Prepare without a state."""
        super().__init__(matrices, {"lr": 0.0, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no closure
        """Update all parameters that have a gradient; matrices of one shape are orthogonalised together."""
        for group in self.param_groups:
            alike: defaultdict[tuple[int, ...], dict[Tensor, Tensor]] = defaultdict(dict)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    direction = self._direction(parameter, parameter.grad, group["momentum"])
                    alike[parameter.shape][parameter] = direction
            for (rows, columns), directions in alike.items():
                updates = orthogonalise(torch.stack(list(directions.values())))
                rate = group["lr"] * RMS_OF_ADAMW * math.sqrt(max(rows, columns))
                for parameter, update in zip(directions, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)

    def _direction(self, parameter: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        """Return the gradient, averaged and looking ahead."""
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["momentum_buffer"], momentum)
