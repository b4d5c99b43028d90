"""A convolutional U-Net along the chunk, conditioned by FiLM: the network of Diffusion Policy (Chi et al. 2023).

It descends by strided convolutions, ascends by transposed ones, and joins the two at equal lengths. Every residual
block is shifted, and optionally scaled, by the state and the noise level (Perez et al. 2018). The layer that does so is
linear behind a Mish of each of its inputs, so its part of the state is computed once for all actions and levels.

As in LeRobot, there is one ascending level fewer than descending ones, and the last group norm has 8 groups.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn

OUTPUT_GROUPS = 8
LONGEST_WAVE = 10_000.0

Films: TypeAlias = tuple[Tensor, ...]
"""The state's part of each residual block's shift and scale, (B, 1, features), in the order of its `blocks`."""


@dataclass(frozen=True, kw_only=True)
class UNetShape:
    """Shape of a U-Net.

    Attributes:
        channels: Of each level, from the top.
        kernel: Width of the convolutions, odd.
        groups: Groups of the residual blocks' norms.
        step_features: Features of the embedded noise level, even.
        scales: Whether the condition also scales.
    """

    channels: tuple[int, ...]
    kernel: int = 5
    groups: int = 8
    step_features: int = 128
    scales: bool = True


class StepEmbedding(nn.Module):
    """Sines and cosines of a diffusion step (Vaswani et al. 2017), and a small MLP."""

    frequencies: Tensor

    def __init__(self, features: int) -> None:
        """Make an embedding of `features`, an even number of at least 4."""
        super().__init__()
        half = features // 2
        steps = torch.arange(half, device="cpu") * -(math.log(LONGEST_WAVE) / (half - 1))
        self.register_buffer("frequencies", steps.exp(), persistent=False)
        self.first = nn.Linear(features, 4 * features)
        self.second = nn.Linear(4 * features, features)

    def forward(self, step: Tensor) -> Tensor:
        """Map steps (..., 1) to (..., features)."""
        angle = step * self.frequencies
        waves = torch.cat([angle.sin(), angle.cos()], dim=-1)
        return self.second(nn.functional.mish(self.first(waves)))


class FilmBlock(nn.Module):
    """Two convolutions with group norms; the condition shifts, and optionally scales, the result of the first."""

    def __init__(self, entries: int, channels: int, state_size: int, shape: UNetShape) -> None:
        """Make a block from `entries` to `channels`, conditioned on states of `state_size`."""
        super().__init__()
        self.channels, self.scales = channels, shape.scales
        pad = shape.kernel // 2
        self.first = nn.Conv1d(entries, channels, shape.kernel, padding=pad)
        self.first_norm = nn.GroupNorm(shape.groups, channels)
        self.second = nn.Conv1d(channels, channels, shape.kernel, padding=pad)
        self.second_norm = nn.GroupNorm(shape.groups, channels)
        self.level = nn.Linear(shape.step_features, channels * (1 + shape.scales))
        self.state = nn.Linear(state_size, channels * (1 + shape.scales), bias=False)
        self.skip = nn.Conv1d(entries, channels, 1) if entries != channels else nn.Identity()

    def forward(self, x: Tensor, film: Tensor) -> Tensor:
        """Map (N, entries, length) to (N, channels, length); `film` is (N, features), scales before shifts."""
        mish = nn.functional.mish
        h = mish(self.first_norm(self.first(x)))
        if self.scales:
            h = film[:, : self.channels, None] * h
        h = h + film[:, -self.channels :, None]
        return mish(self.second_norm(self.second(h))) + self.skip(x)


class Descent(nn.Module):
    """Two residual blocks and, except at the bottom, a convolution that halves the length."""

    def __init__(self, entries: int, channels: int, state_size: int, shape: UNetShape, is_last: bool) -> None:
        """Make a level from `entries` to `channels`."""
        super().__init__()
        self.first = FilmBlock(entries, channels, state_size, shape)
        self.second = FilmBlock(channels, channels, state_size, shape)
        self.shorten = nn.Identity() if is_last else nn.Conv1d(channels, channels, 3, stride=2, padding=1)


class Ascent(nn.Module):
    """Two residual blocks and a transposed convolution that doubles the length."""

    def __init__(self, entries: int, channels: int, state_size: int, shape: UNetShape) -> None:
        """Make a level from `entries` to `channels`."""
        super().__init__()
        self.first = FilmBlock(entries, channels, state_size, shape)
        self.second = FilmBlock(channels, channels, state_size, shape)
        self.lengthen = nn.ConvTranspose1d(channels, channels, 4, stride=2, padding=1)


class UNetDenoiser(nn.Module):
    """Estimates the preconditioning's target for a noisy chunk, given observations and the number of a diffusion step.

    It is a `vdd_ros.learning.networks.backbones.Denoiser`, without goals. The chunk is read in the order of time: the
    `past` actions at its end come first.
    """

    def __init__(self, shape: UNetShape, state_size: int, chunk: tuple[int, int], past: int) -> None:
        """Make a network.

        Args:
            shape: Its shape.
            state_size: Numbers of a window of observations.
            chunk: (horizon, act_dim); the horizon is a multiple of 2 for each level but the first.
            past: Actions at the end of a chunk that precede the newest observation.
        """
        super().__init__()
        self.chunk, self.past = chunk, past
        self.embed_step = StepEmbedding(shape.step_features)
        widths = (chunk[1], *shape.channels)
        last = len(shape.channels) - 1
        self.down = nn.ModuleList(
            Descent(n, m, state_size, shape, level == last) for level, (n, m) in enumerate(pairwise(widths))
        )
        bottom = widths[-1]
        self.middle = nn.ModuleList(FilmBlock(bottom, bottom, state_size, shape) for _ in range(2))
        self.up = nn.ModuleList(Ascent(2 * m, n, state_size, shape) for n, m in reversed([*pairwise(widths[1:])]))
        top = widths[1]
        self.last = nn.Conv1d(top, top, shape.kernel, padding=shape.kernel // 2)
        self.last_norm = nn.GroupNorm(OUTPUT_GROUPS, top)
        self.read = nn.Conv1d(top, chunk[1], 1)

    @property
    def blocks(self) -> list[FilmBlock]:
        """Its residual blocks, in the order of computation."""
        return [module for module in self.modules() if isinstance(module, FilmBlock)]

    def encode(self, observation: Tensor, goal: Tensor | None) -> Films:
        """Return the state's part of every block's condition, for observations (B, history, obs_dim)."""
        state = nn.functional.mish(observation.flatten(1))[:, None]
        return tuple(block.state(state) for block in self.blocks)

    def forward(self, context: Films, action: Tensor, condition: Tensor) -> Tensor:
        """Map noisy actions (B, S, D) at steps (..., 1), broadcast over (B, S), to (B, S, D)."""
        samples, (horizon, act_dim), past = int(action.shape[1]), self.chunk, self.past
        level = nn.functional.mish(self.embed_step(condition))
        known = iter(
            [self._film(block, level, state, samples) for block, state in zip(self.blocks, context, strict=True)]
        )
        x = action.reshape(-1, horizon, act_dim)
        if past:
            x = torch.cat([x[:, horizon - past :], x[:, : horizon - past]], dim=1)
        x = x.transpose(1, 2)
        reached = []
        for down in self.down:
            x = down.second(down.first(x, next(known)), next(known))  # type: ignore[operator]
            reached.append(x)
            x = down.shorten(x)  # type: ignore[operator]
        for block in self.middle:
            x = block(x, next(known))
        for up in self.up:
            x = torch.cat([x, reached.pop()], dim=1)
            x = up.lengthen(up.second(up.first(x, next(known)), next(known)))  # type: ignore[operator]
        x = self.read(nn.functional.mish(self.last_norm(self.last(x)))).transpose(1, 2)
        if past:
            x = torch.cat([x[:, past:], x[:, :past]], dim=1)
        return x.reshape(-1, samples, horizon * act_dim)

    @staticmethod
    def _film(block: FilmBlock, level: Tensor, state: Tensor, samples: int) -> Tensor:
        """Return one row of a block's shifts and scales for each action, (B * S, features)."""
        film = block.level(level) + state  # (B, 1 or S, features)
        if film.shape[1] != samples:
            film = film.expand(-1, samples, -1)
        return film.flatten(0, 1)
