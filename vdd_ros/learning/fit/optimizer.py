"""The optimiser of all models, and its state in a checkpoint.

Weight matrices of hidden layers follow Muon (Jordan et al. 2024): the momentum of each is orthogonalised before it is
applied. Everything else, which is embeddings, biases, norms and output layers, follows AdamW, and so does everything if
AdamW alone is asked for.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from vdd_ros.errors import CheckpointError
from vdd_ros.learning.configs import Optimizer
from vdd_ros.learning.fit.checkpoint import check_like
from vdd_ros.learning.fit.muon import Muon
from vdd_ros.learning.networks.hidden import hidden_matrices

ADAMW_STATE = ("exp_avg", "exp_avg_sq", "step")
"""AdamW's state of each parameter."""
MUON_STATE = ("momentum_buffer",)
"""Muon's state of each parameter."""
MUON_RATE = 3.0
"""Muon's learning rate over AdamW's, at updates of equal root mean square (docs/speed.md)."""


class ModuleOptimizer:
    """Optimises the parameters of a module; `names` has the parameters that Muon updates."""

    def __init__(self, module: nn.Module, kind: Optimizer, weight_decay: float) -> None:
        """Prepare without a state."""
        hidden = hidden_matrices(module) if kind == "muon" else {}
        self._parameters = dict(module.named_parameters())
        self.names = frozenset(hidden)
        rest = [parameter for name, parameter in self._parameters.items() if name not in hidden]
        self._parts: list[tuple[torch.optim.Optimizer, float]] = []
        if rest:
            self._parts.append((torch.optim.AdamW(rest, weight_decay=weight_decay, fused=True), 1.0))
        if hidden:
            self._parts.append((Muon(hidden.values(), weight_decay), MUON_RATE))

    def clear(self) -> None:
        """Remove all gradients."""
        for part, _ in self._parts:
            part.zero_grad(set_to_none=True)

    def step(self, rate: float) -> None:
        """Update all parameters that have a gradient, at a learning rate."""
        for part, factor in self._parts:
            for group in part.param_groups:
                group["lr"] = rate * factor
            part.step()

    def values(self) -> Iterator[Tensor]:
        """Return the state's tensors."""
        for part, _ in self._parts:
            for state in part.state.values():
                yield from state.values()

    def state(self) -> dict[str, Tensor]:
        """Return the state by `KEY.PARAMETER`; a parameter without a gradient so far has none."""
        return {
            f"{key}.{name}": state[key]
            for name, parameter in self._parameters.items()
            if (state := self._of(name).state.get(parameter))
            for key in self._keys(name)
        }

    def check(self, tensors: dict[str, Tensor], steps: int) -> set[str]:
        """Check the state among a checkpoint's tensors; return the names that may occur.

        Raises:
            CheckpointError: A part is missing, or invalid after this number of steps.
        """
        known = set()
        for name, parameter in self._parameters.items():
            names = [f"{key}.{name}" for key in self._keys(name)]
            known |= set(names)
            found = [tensors[key] for key in names if key in tensors]
            if found and len(found) < len(names):
                raise CheckpointError(f"it lacks a part of the optimiser's state of {name}")
            if found:
                self._check(name, parameter, found, steps)
        return known

    def _check(self, name: str, parameter: Tensor, found: list[Tensor], steps: int) -> None:
        mean, *others = found
        check_like(parameter, mean, f"{self._keys(name)[0]}.{name}")
        if not mean.isfinite().all():
            raise CheckpointError(f"the optimiser's state of {name} is not finite")
        if not others:
            return
        square, step = others
        check_like(parameter, square, f"exp_avg_sq.{name}")
        check_like(torch.zeros(()), step, f"step.{name}")
        if not (square.isfinite().all() and (square >= 0).all()):
            raise CheckpointError(f"the optimiser's state of {name} is not finite, or a square is below 0")
        if not 1 <= float(step) <= steps or float(step) % 1:
            raise CheckpointError(f"step.{name} is {float(step)}; it must be a whole number from 1 to {steps}")

    def take(self, tensors: dict[str, Tensor]) -> None:
        """Continue with a checked state."""
        for name, parameter in self._parameters.items():
            keys = self._keys(name)
            if f"{keys[0]}.{name}" in tensors:
                self._of(name).state[parameter] = {key: tensors[f"{key}.{name}"].to(parameter.device) for key in keys}

    def _of(self, name: str) -> torch.optim.Optimizer:
        return self._parts[-1 if name in self.names else 0][0]

    def _keys(self, name: str) -> tuple[str, ...]:
        return MUON_STATE if name in self.names else ADAMW_STATE
