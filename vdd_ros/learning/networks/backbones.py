"""The two backbones, residual MLP and causal GPT, behind one shape and two constructors."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import BackboneConfig, WindowShape
from vdd_ros.learning.networks.gpt import GPT, GPTDenoiser, GPTTrunk
from vdd_ros.learning.networks.mlp import MLPDenoiser, MLPTrunk, StateEncoder

Context = Any
"""What `Denoiser.encode` returns: opaque, of one state each, never indexed."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(BackboneConfig, WindowShape):
    """Shape of a network from states to actions; everything needed to build it before its weights are loaded.

    Attributes:
        obs_dim: Entries of an observation.
        act_dim: Entries of an action.
        past: Actions at the end of the chunk that precede the newest observation, oldest first; `horizon` includes
            them. They are estimated, but never executed.
    """

    obs_dim: int
    act_dim: int
    past: int = 0

    def check(self) -> None:
        """Refuse invalid configurations.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        self.check_backbone()
        if not 0 <= self.past < self.horizon:
            raise ConfigurationError(f"past is {self.past}; it must be at least 0 and below the horizon {self.horizon}")

    @property
    def size(self) -> int:
        """Entries of a flattened chunk of actions, D."""
        return self.horizon * self.act_dim

    @property
    def ahead(self) -> int:
        """Actions of the chunk that can be executed, from the instant of the newest observation."""
        return self.horizon - self.past


class Denoiser(Protocol):
    """Interface of a network to the teachers, CD and CTM."""

    def encode(self, observation: Tensor, goal: Tensor | None) -> Context:
        """Encode states: observations (B, history, obs_dim) and goals (B, goal_length, obs_dim)."""

    def __call__(self, context: Context, action: Tensor, condition: Tensor) -> Tensor:
        """Map noisy actions (B, S, D) under noise levels (..., conditions), broadcast over (B, S), to (B, S, D)."""


def make_denoiser(shape: NetworkConfig, conditions: int = 1) -> nn.Module:
    """Build an untrained `Denoiser` conditioned on `conditions` noise levels."""
    if shape.backbone == "mlp":
        return MLPDenoiser(_encoder(shape), shape.width, shape.size, shape.layers, conditions)
    return GPTDenoiser(_gpt(shape), shape.width, shape.horizon, shape.act_dim, conditions)


def make_trunk(shape: NetworkConfig) -> nn.Module:
    """Build an untrained network from observations and goals to features (B, width)."""
    if shape.backbone == "mlp":
        return MLPTrunk(_encoder(shape), shape.width, shape.layers)
    return GPTTrunk(_gpt(shape), shape.width)


def _encoder(shape: NetworkConfig) -> StateEncoder:
    return StateEncoder(shape.goal_length + shape.history, shape.obs_dim, shape.width, shape.octaves)


def _gpt(shape: NetworkConfig) -> GPT:
    tokens = shape.goal_length + shape.history
    return GPT(tokens, shape.obs_dim, shape.width, shape.layers, shape.heads, shape.octaves, shape.dropout)
