"""The two backbones, residual MLP and causal GPT, behind one shape and two constructors."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from vdd_ros.errors import ConfigurationError
from vdd_ros.training.checks import require_choice, require_least
from vdd_ros.training.networks import MLPDenoiser, MLPTrunk, StateEncoder
from vdd_ros.training.transformer import GPT, GPTDenoiser, GPTTrunk

Backbone = Literal["gpt", "mlp"]

Context = Any
"""What `Denoiser.encode` returns: opaque, of one state each, never indexed."""


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """Kind and size of a network.

    Attributes:
        backbone: `gpt` or `mlp`.
        width, layers: Size of the backbone.
        heads: Attention heads of a GPT.
        octaves: Fourier octaves of the observations; 0 for plain ones.
        dropout: Share of a GPT's activations and attention weights dropped while training.
    """

    backbone: Backbone = "gpt"
    width: int = 72
    layers: int = 4
    heads: int = 4
    octaves: int = 4
    dropout: float = 0.0

    def check_backbone(self) -> None:
        """Refuse sizes that cannot be meant.

        Raises:
            ConfigurationError: With the field, its value and what is allowed.
        """
        require_choice(self, "backbone", Backbone)
        require_least(2, self, "width")
        require_least(1, self, "layers", "heads")
        require_least(0, self, "octaves")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigurationError(f"dropout is {self.dropout}; it must be at least 0 and below 1")
        if self.backbone == "gpt" and self.width % self.heads:
            raise ConfigurationError(
                f"width is {self.width} and heads is {self.heads}; the width must be a multiple of the heads"
            )

    def backbone_settings(self) -> dict[str, Any]:
        """Return these fields alone, for a `Shape`."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(BackboneConfig)}


@dataclass(frozen=True, kw_only=True)
class Shape(BackboneConfig):
    """Shape of a network from states to actions; everything needed to build it before its weights are loaded.

    Attributes:
        history, obs_dim: Window of observations.
        goal_length: Future observations that say what to do; 0 for none.
        horizon, act_dim: Chunk of actions.
    """

    history: int
    obs_dim: int
    horizon: int
    act_dim: int
    goal_length: int = 0

    @property
    def size(self) -> int:
        """Entries of a flattened chunk of actions, D."""
        return self.horizon * self.act_dim


class Denoiser(Protocol):
    """What the teachers, CD and CTM need of a network."""

    def encode(self, observation: Tensor, goal: Tensor | None) -> Context:
        """Encode states: observations (B, history, obs_dim) and goals (B, goal_length, obs_dim)."""

    def __call__(self, context: Context, action: Tensor, condition: Tensor) -> Tensor:
        """Map noisy actions (B, S, D) under noise levels (..., conditions), broadcast over (B, S), to (B, S, D)."""


def make_denoiser(shape: Shape, conditions: int = 1) -> nn.Module:
    """Build an untrained `Denoiser` that is told `conditions` noise levels."""
    if shape.backbone == "mlp":
        return MLPDenoiser(_encoder(shape), shape.width, shape.size, shape.layers, conditions)
    return GPTDenoiser(_gpt(shape), shape.width, shape.horizon, shape.act_dim, conditions)


def make_trunk(shape: Shape) -> nn.Module:
    """Build an untrained network from observations and goals to features (B, width)."""
    if shape.backbone == "mlp":
        return MLPTrunk(_encoder(shape), shape.width, shape.layers)
    return GPTTrunk(_gpt(shape), shape.width)


def _encoder(shape: Shape) -> StateEncoder:
    return StateEncoder(shape.goal_length + shape.history, shape.obs_dim, shape.width, shape.octaves)


def _gpt(shape: Shape) -> GPT:
    tokens = shape.goal_length + shape.history
    return GPT(tokens, shape.obs_dim, shape.width, shape.layers, shape.heads, shape.octaves, shape.dropout)
