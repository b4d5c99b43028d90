"""The required inputs and outputs of a policy's graph, from its metadata."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vdd_ros.features import DTYPES, FLOAT32
from vdd_ros.policy.spec import PolicySpec

PREFIX, PREFIX_STEPS = PREFIX_INPUTS = ("prefix", "prefix_steps")
"""The first actions of the chunk, and how many of them are known."""
FLOAT, INT = "tensor(float)", "tensor(int64)"
_TYPES = {
    dtype: FLOAT if dtype == FLOAT32 else f"tensor({dtype})" for dtype in DTYPES
}  # numpy's type names to ONNX Runtime's
_NUMPY_TYPES = {name: dtype for dtype, name in _TYPES.items()}


@dataclass(frozen=True)
class Tensor:
    """An input or output of the graph: shape without the batch, and ONNX Runtime's type name."""

    shape: tuple[int, ...]
    type: str = FLOAT


def numpy_type(tensor: Tensor) -> np.dtype[Any]:
    """Return numpy's type name of a tensor."""
    return np.dtype(_NUMPY_TYPES[tensor.type])


def graph_inputs(spec: PolicySpec) -> dict[str, Tensor]:
    """Return the inputs that a graph with this metadata must have."""
    inputs = {"observation": Tensor((spec.history, spec.obs_dim))} if spec.vector else {}
    for feature in spec.arrays:
        inputs[feature.name] = Tensor((spec.history, *feature.shape), _TYPES[feature.dtype])
    if not spec.is_deterministic:
        inputs["noise"] = Tensor(spec.noise_shape)
    if spec.goal_length:
        inputs["goal"] = Tensor((spec.goal_length, spec.obs_dim))
    if spec.is_mixture and not spec.is_deterministic:
        inputs["expert_uniform"] = Tensor(())
    if spec.takes_prefix:
        inputs |= {PREFIX: Tensor((spec.horizon, spec.act_dim)), PREFIX_STEPS: Tensor((), INT)}
    return inputs


def graph_outputs(spec: PolicySpec) -> dict[str, Tensor]:
    """Return the outputs that a graph with this metadata must have."""
    outputs = {"action": Tensor((spec.horizon, spec.act_dim))}
    if spec.experts is not None:
        outputs |= {
            "expert": Tensor((), INT),
            "gating": Tensor((spec.experts,)),
            "log_prob": Tensor(()),
        }
    if spec.novelty is not None:
        outputs["novelty"] = Tensor(())
    return outputs
