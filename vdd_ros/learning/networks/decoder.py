"""A transformer over the chunk that attends to state and noise level, as that of Diffusion Policy (Chi et al. 2023).

The tokens of the state are those of the diffusion step and of each observation, passed through a small MLP each or
through transformer layers among themselves. Every layer of the chunk's tokens attends to these tokens, then to them.
With the MLP, keys and values of the observations are computed once for all actions and levels.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from vdd_ros.learning.networks.unet import LONGEST_WAVE

KeysValues: TypeAlias = tuple[Tensor, Tensor]
States: TypeAlias = tuple[KeysValues, ...] | Tensor
"""Keys and values of the observations for each layer, (B, 1, heads, history, width / heads), or their tokens (B, 1,
history, width) where these attend to the noise level."""


@dataclass(frozen=True, kw_only=True)
class DecoderShape:
    """Shape of a transformer.

    Attributes:
        width: Features of a token, a multiple of the heads, even.
        layers: Layers of the chunk's tokens.
        heads: Attention heads.
        state_layers: Layers of the state's tokens; 0: an MLP of each token.
        causal: Whether an action's token only sees earlier ones, and observations that are not later.
    """

    width: int
    layers: int
    heads: int
    state_layers: int = 0
    causal: bool = True


class Attention(nn.Module):
    """Attention of some tokens to others."""

    def __init__(self, width: int, heads: int) -> None:
        """Make one of `heads`, of which `width` is a multiple."""
        super().__init__()
        self.heads, self.part = heads, width // heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.merge = nn.Linear(width, width)

    def keys_values(self, tokens: Tensor) -> KeysValues:
        """Return keys and values (B, S, heads, T, width / heads) of tokens (B, S, T, width)."""
        key, value = self.key_value(tokens).chunk(2, dim=-1)
        return self._split(key), self._split(value)

    def forward(self, tokens: Tensor, seen: KeysValues, mask: Tensor | None) -> Tensor:
        """Return (B, S, T, width): what tokens (B, S, T, width) see, with a mask (T, tokens seen) added to logits."""
        key, value = seen
        logits = self._split(self.query(tokens)) @ key.transpose(-2, -1) / math.sqrt(self.part)
        if mask is not None:
            logits = logits + mask
        seen_by_heads = logits.softmax(-1) @ value
        return self.merge(seen_by_heads.transpose(-3, -2).flatten(-2))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, self.part)).transpose(-3, -2)


class Layer(nn.Module):
    """Pre-norm attention among tokens, optionally to the state's, and a GELU network four times as wide."""

    def __init__(self, width: int, heads: int, sees_state: bool) -> None:
        """Make a layer."""
        super().__init__()
        self.norm_own = nn.LayerNorm(width)
        self.own = Attention(width, heads)
        self.norm_state = nn.LayerNorm(width) if sees_state else nn.Identity()
        self.state = Attention(width, heads) if sees_state else nn.Identity()
        self.norm_mlp = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(
        self, h: Tensor, mask: Tensor | None, seen: KeysValues | None = None, state_mask: Tensor | None = None
    ) -> Tensor:
        """Pass tokens (B, S, T, width), with keys and values of the state's tokens if the layer sees them."""
        own = self.norm_own(h)
        h = h + self.own(own, self.own.keys_values(own), mask)
        if seen is not None:
            h = h + self.state(self.norm_state(h), seen, state_mask)
        return h + self.narrow(nn.functional.gelu(self.widen(self.norm_mlp(h))))


class TransformerDenoiser(nn.Module):
    """Estimates the preconditioning's target for a noisy chunk, given observations and the number of a diffusion step.

    It is a `vdd_ros.learning.networks.backbones.Denoiser`, without goals. The chunk is read in the order of time: the
    `past` actions at its end come first.
    """

    frequencies: Tensor
    mask: Tensor
    state_mask: Tensor

    def __init__(self, shape: DecoderShape, state: tuple[int, int], chunk: tuple[int, int], past: int) -> None:
        """Make a network.

        Args:
            shape: Its shape.
            state: (history, obs_dim).
            chunk: (horizon, act_dim).
            past: Actions at the end of a chunk that precede the newest observation.
        """
        super().__init__()
        self.shape, self.state, self.chunk, self.past = shape, state, chunk, past
        width, half = shape.width, shape.width // 2
        self.read_action = nn.Linear(chunk[1], width)
        self.place = nn.Parameter(torch.zeros(1, chunk[0], width))
        self.read_state = nn.Linear(state[1], width)
        self.state_place = nn.Parameter(torch.zeros(1, 1 + state[0], width))
        self.widen_state = nn.Identity() if shape.state_layers else nn.Linear(width, 4 * width)
        self.narrow_state = nn.Identity() if shape.state_layers else nn.Linear(4 * width, width)
        self.state_layers = nn.ModuleList(Layer(width, shape.heads, False) for _ in range(shape.state_layers))
        self.layers = nn.ModuleList(Layer(width, shape.heads, True) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, chunk[1])
        steps = torch.arange(half, device="cpu") * -(math.log(LONGEST_WAVE) / (half - 1))
        self.register_buffer("frequencies", steps.exp(), persistent=False)
        action, seen = (torch.arange(count, device="cpu") for count in (chunk[0], 1 + state[0]))
        hidden = {"mask": action[:, None] < action, "state_mask": action[:, None] < seen - 1}  # the step comes first
        for name, where in hidden.items():
            self.register_buffer(name, torch.zeros(where.shape, device="cpu").masked_fill(where, -torch.inf), False)

    def encode(self, observation: Tensor, goal: Tensor | None) -> States:
        """Return what the noise level does not change, for observations (B, history, obs_dim)."""
        tokens = (self.read_state(observation) + self.state_place[:, 1:])[:, None]
        if self.shape.state_layers:
            return tokens
        tokens = self._passed(tokens)
        return tuple(layer.state.keys_values(tokens) for layer in self.layers)  # type: ignore[operator,union-attr]

    def _passed(self, tokens: Tensor) -> Tensor:
        """Pass tokens of the state through the MLP."""
        return self.narrow_state(nn.functional.mish(self.widen_state(tokens)))

    def forward(self, context: States, action: Tensor, condition: Tensor) -> Tensor:
        """Map noisy actions (B, S, D) at steps (..., 1), broadcast over (B, S), to (B, S, D)."""
        samples, (horizon, act_dim), past = int(action.shape[1]), self.chunk, self.past
        x = action.reshape(-1, samples, horizon, act_dim)
        if past:
            x = torch.cat([x[:, :, horizon - past :], x[:, :, : horizon - past]], dim=2)
        angle = condition[..., None, :] * self.frequencies  # (B or 1, S or 1, 1, width / 2)
        step = torch.cat([angle.sin(), angle.cos()], dim=-1) + self.state_place[:, :1]
        mask, state_mask = (self.mask, self.state_mask) if self.shape.causal else (None, None)
        h = self.read_action(x) + self.place
        for layer, seen in zip(self.layers, self._seen(context, step, x), strict=True):
            h = layer(h, mask, seen, state_mask)
        x = self.read(self.norm(h))
        if past:
            x = torch.cat([x[:, :, past:], x[:, :, :past]], dim=2)
        return x.reshape(-1, samples, horizon * act_dim)

    def _seen(self, context: States, step: Tensor, x: Tensor) -> list[KeysValues]:
        """Return keys and values of the state's tokens for each layer, the step's first."""
        if isinstance(context, Tensor):
            like = torch.zeros_like(x[:, :, :1, :1])  # (B, S, 1, 1): the steps may be broadcast
            tokens = torch.cat([step + like, context + like], dim=2)
            for layer in self.state_layers:
                tokens = layer(tokens, None)
            return [layer.state.keys_values(tokens) for layer in self.layers]  # type: ignore[operator,union-attr]
        first = self._passed(step)
        like = torch.zeros_like(x[:, :, None, :1, :1])
        found = []
        for layer, known in zip(self.layers, context, strict=True):
            own = layer.state.keys_values(first)  # type: ignore[operator,union-attr]
            key, value = (torch.cat([a + like, b + like], dim=3) for a, b in zip(own, known, strict=True))
            found.append((key, value))
        return found
