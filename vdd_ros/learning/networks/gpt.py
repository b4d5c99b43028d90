"""A causal GPT over goal and observation tokens, to which the tokens of noisy actions can attend.

States do not attend to actions or noise levels, so that keys and values of a state are computed once and serve any
number of actions, noise levels and sampling steps.
"""

import math

import torch
from torch import Tensor, nn

from vdd_ros.learning.networks.hidden import HiddenLayers
from vdd_ros.learning.networks.mlp import FourierFeatures, NoiseEmbedding

KeysValues = tuple[Tensor, Tensor]
"""Keys and values of T tokens, each (B, heads, T, width / heads)."""


class Block(HiddenLayers):
    """Pre-norm self-attention and a GELU network four times as wide.

    Tokens are rows of a matrix: so every linear layer is one operator of a policy file, bias included.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        """Make a block; `width` is a multiple of `heads`."""
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def project(self, h: Tensor, tokens: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values (B, heads, T, width / heads) of rows (B * T, width), T being `tokens`."""
        projected = self.qkv(self.norm_attention(h))
        split = projected.reshape(-1, tokens, 3 * self.heads, self.merge.in_features // self.heads).transpose(1, 2)
        query, key, value = split.split(self.heads, dim=1)
        return query, key, value

    def finish(self, h: Tensor, attended: Tensor) -> Tensor:
        """Add the output of attention, (N, width), to tokens (N, width), and apply the network."""
        h = h + self._drop(self.merge(attended))
        return h + self._drop(self.narrow(nn.functional.gelu(self.widen(self.norm_mlp(h)))))

    def attend(self, h: Tensor, mask: Tensor) -> tuple[Tensor, KeysValues]:
        """Pass tokens (B * T, width) with a mask (T, T) added to the logits; also return their keys and values."""
        query, key, value = self.project(h, len(mask))
        weights = self.soften(query @ key.transpose(-2, -1), mask)
        return self.finish(h, _rows(weights @ value, self.merge.in_features)), (key, value)

    def attend_last(self, h: Tensor, tokens: int) -> Tensor:
        """Pass tokens (B * T, width), but return only the last one of each sequence, (B, width), which sees all."""
        query, key, value = self.project(h, tokens)
        weights = self.soften(query[:, :, -1:] @ key.transpose(-2, -1))  # (B, heads, 1, T)
        last = h.reshape(-1, tokens, self.merge.in_features)[:, -1]
        return self.finish(last, (weights @ value).reshape(-1, self.merge.in_features))

    def attend_back(self, h: Tensor, state: KeysValues, samples: int, group: int) -> Tensor:
        """Pass S groups of G tokens of each state: each sees the state's tokens and its own group.

        Args:
            h: (B * S * G, width).
            state: Of the T tokens of each state.
            samples: S.
            group: G.
        """
        key, value = state
        query, own_key, own_value = self.project(h, samples * group)  # (B, heads, S * G, width / heads)
        if samples == 1:  # as in a policy file: as few operators as possible
            weights = self.soften(query @ torch.cat([key, own_key], dim=2).transpose(-2, -1))
            attended = weights @ torch.cat([value, own_value], dim=2)
        elif group == 1:
            attended = self._attend_alone(query, own_key, own_value, state)
        else:
            attended = self._attend_in_groups(query, own_key, own_value, state, (samples, group))
        return self.finish(h, _rows(attended, self.merge.in_features))

    def _attend_alone(self, query: Tensor, own_key: Tensor, own_value: Tensor, state: KeysValues) -> Tensor:
        """Attend from S single tokens, each (B, heads, S, width / heads), to the T tokens of their state and itself.

        Weights are laid out (B, heads, T + 1, S): over T + 1 neighbours in memory a softmax is ten times as slow.
        """
        key, value = state
        tokens = key.shape[2]
        own = (query * own_key).sum(-1)[:, :, None]
        weights = self.soften(torch.cat([key @ query.transpose(-2, -1), own], dim=2), dim=2).transpose(-2, -1)
        return weights[..., :tokens] @ value + weights[..., tokens:] * own_value

    def _attend_in_groups(
        self, query: Tensor, own_key: Tensor, own_value: Tensor, state: KeysValues, apart: tuple[int, int]
    ) -> Tensor:
        """Attend from S groups of G tokens, each (B, heads, S * G, width / heads), to T tokens and the own group.

        Weights are laid out (B, heads, T + G, S * G), as in `_attend_alone`.
        """
        key, value = state
        tokens = key.shape[2]
        own_query, own_key, own_value = (part.unflatten(2, apart) for part in (query, own_key, own_value))
        own = (own_key @ own_query.transpose(-2, -1)).transpose(2, 3).flatten(3)  # (B, heads, G, S * G)
        weights = self.soften(torch.cat([key @ query.transpose(-2, -1), own], dim=2), dim=2)
        on_state, on_own = weights.split([tokens, apart[1]], dim=2)
        inside = on_own.unflatten(3, apart).permute(0, 1, 3, 4, 2) @ own_value  # (B, heads, S, G, width / heads)
        return on_state.transpose(-2, -1) @ value + inside.flatten(2, 3)

    def soften(self, logits: Tensor, mask: Tensor | None = None, dim: int = -1) -> Tensor:
        """Turn logits, the keys along `dim`, into weights."""
        logits = logits * (self.qkv.in_features // self.heads) ** -0.5
        return self._drop(torch.softmax(logits if mask is None else logits + mask, dim=dim))

    def _drop(self, h: Tensor) -> Tensor:
        return nn.functional.dropout(h, self.dropout, self.training) if self.dropout else h


def _rows(attended: Tensor, width: int) -> Tensor:
    """Concatenate the output of the heads, (B, heads, T, width / heads), to (B * T, width)."""
    return attended.transpose(1, 2).reshape(-1, width)


class GPT(nn.Module):
    """Blocks over goal tokens and observation tokens, oldest first; both share one embedding, positions are learned."""

    mask: Tensor

    def __init__(self, tokens: int, obs_dim: int, width: int, layers: int, heads: int, octaves: int, dropout: float):
        """Make a stack for at most `tokens` goals and observations of `obs_dim`."""
        super().__init__()
        self.features = FourierFeatures(obs_dim, octaves)
        self.embed = nn.Linear(self.features.size, width)
        self.position = nn.Parameter(nn.init.normal_(torch.empty(tokens, width), std=0.02))
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.register_buffer("mask", torch.full((tokens, tokens), -torch.inf).triu(1), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                init_linear(module)
        for block in self.blocks:
            for name in ("merge", "narrow"):
                getattr(block, name).weight.data /= math.sqrt(2 * layers)

    @property
    def stack(self) -> list[Block]:
        """The blocks, by their type."""
        return list(self.blocks)  # type: ignore[arg-type]

    def tokens(self, observation: Tensor, goal: Tensor | None) -> Tensor:
        """Embed observations (B, history, obs_dim) after goals (B, goal_length, obs_dim): (B * tokens, width)."""
        states = observation if goal is None else torch.cat([goal, observation], dim=1)
        if states.shape[1] != len(self.position):  # a single token would broadcast
            raise ValueError(
                f"{int(states.shape[1])} goals and observations were given, {len(self.position)} are needed"
            )
        embedded = self.embed(self.features(states)) + self.position
        return embedded.reshape(-1, self.embed.out_features)

    def states(self, observation: Tensor, goal: Tensor | None) -> tuple[KeysValues, ...]:
        """Return the keys and values of every block."""
        h = self.tokens(observation, goal)
        *earlier, last = self.stack
        cache = []
        for block in earlier:
            h, pair = block.attend(h, self.mask)
            cache.append(pair)
        _, key, value = last.project(h, len(self.position))
        return (*cache, (key, value))

    def last(self, observation: Tensor, goal: Tensor | None) -> Tensor:
        """Return the last token, (B, width)."""
        h = self.tokens(observation, goal)
        *earlier, last = self.stack
        for block in earlier:
            h, _ = block.attend(h, self.mask)
        return last.attend_last(h, len(self.position))


class GPTTrunk(nn.Module):
    """Features of a window of observations for the heads of a student."""

    def __init__(self, gpt: GPT, width: int) -> None:
        """Read the last token of `gpt`."""
        super().__init__()
        self.gpt = gpt
        self.norm = nn.LayerNorm(width)

    def forward(self, observation: Tensor, goal: Tensor | None) -> Tensor:
        """Return features (B, width)."""
        return self.norm(self.gpt.last(observation, goal))


class GPTDenoiser(nn.Module):
    """Estimates the preconditioning's target for a noisy chunk of actions, with one token per action.

    Tokens of one chunk see one another in both directions: the score of the first action depends on the noisy later
    ones.
    """

    def __init__(self, gpt: GPT, width: int, horizon: int, act_dim: int, conditions: int) -> None:
        """Make a denoiser of chunks (horizon, act_dim) under `conditions` noise levels."""
        super().__init__()
        self.gpt = gpt
        self.chunk = (horizon, act_dim)
        self.embed_noise = NoiseEmbedding(conditions, width)
        self.embed_action = init_linear(nn.Linear(act_dim, width))
        self.position = nn.Parameter(nn.init.normal_(torch.empty(horizon, width), std=0.02))
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, act_dim)
        nn.init.zeros_(self.read.weight)
        nn.init.zeros_(self.read.bias)

    def encode(self, observation: Tensor, goal: Tensor | None) -> tuple[KeysValues, ...]:
        """Return the keys and values that the actions attend to."""
        return self.gpt.states(observation, goal)

    def forward(self, context: tuple[KeysValues, ...], action: Tensor, condition: Tensor) -> Tensor:
        """Map noisy chunks (B, S, D) under conditions (..., conditions), broadcast over (B, S), to (B, S, D)."""
        level = self.embed_noise(condition)[..., None, :]  # (B, S, 1, width)
        samples, (horizon, act_dim) = int(action.shape[1]), self.chunk
        chunk = action.reshape(-1, samples, horizon, act_dim)
        h = self.embed_action(chunk) + (self.position + level)  # (B, S, horizon, width)
        h = h.reshape(-1, self.norm.normalized_shape[0])
        for block, state in zip(self.gpt.stack, context, strict=True):
            h = block.attend_back(h, state, samples, horizon)
        return self.read(self.norm(h)).reshape(-1, samples, horizon * act_dim)


def init_linear(layer: nn.Linear) -> nn.Linear:
    """Start a layer as GPTs do: weights of deviation 0.02, no bias."""
    nn.init.normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer
