"""Residual MLPs: the denoiser of the teacher and the backbone of the student."""

import math

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """h + W2 silu(W1 silu(h))."""

    def __init__(self, width: int) -> None:
        """Make a block of two square layers; the second starts at zero, so that the block starts as the identity."""
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, h: Tensor) -> Tensor:
        """Map (..., width) to (..., width)."""
        silu = nn.functional.silu
        return h + self.second(silu(self.first(silu(h))))


class ResidualMLP(nn.Module):
    """A stack of residual blocks between whatever embeds the input and whatever reads the output."""

    def __init__(self, width: int, blocks: int) -> None:
        """Make `blocks` blocks of `width`."""
        super().__init__()
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))

    def forward(self, h: Tensor) -> Tensor:
        """Map (..., width) to (..., width)."""
        return nn.functional.silu(self.blocks(h))


class LevelEmbedding(nn.Module):
    """Sinusoidal embedding of the integer noise level, mixed by a small MLP."""

    def __init__(self, width: int, levels: int) -> None:
        """Make an embedding of levels 0 to `levels`."""
        super().__init__()
        half = width // 2
        frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half) / half)
        angles = torch.arange(levels + 1)[:, None] * frequencies * (100.0 / levels)  # (levels + 1, half)
        self.table: Tensor
        self.register_buffer("table", torch.cat([angles.sin(), angles.cos()], dim=1), persistent=False)
        self.mix = nn.Sequential(nn.Linear(2 * half, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, level: Tensor) -> Tensor:
        """Embed levels (...,) as (..., width)."""
        return self.mix(self.table[level])


class ObservationEncoder(nn.Module):
    """Sines and cosines of a window of observations at octave frequencies (Tancik et al. 2020), and a linear layer.

    Positions matter to the millimetre in a space of half a metre; a plain MLP on standardised positions learns such
    detail last.
    """

    def __init__(self, history: int, obs_dim: int, width: int, octaves: int) -> None:
        """Make an encoder of windows (history, obs_dim)."""
        super().__init__()
        size = history * obs_dim
        scales = 0.75 * 2.0 ** torch.arange(octaves)
        frequencies = torch.kron(scales[:, None], torch.eye(size)).repeat(2, 1)  # (2 * octaves * size, size)
        phases = torch.tensor([0.0, math.pi / 2]).repeat_interleave(octaves * size)
        self.frequencies: Tensor
        self.phases: Tensor
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.register_buffer("phases", phases, persistent=False)
        self.embed = nn.Linear(len(phases), width)

    def forward(self, observation: Tensor) -> Tensor:
        """Embed (B, history, obs_dim) as (B, width)."""
        angles = nn.functional.linear(observation.flatten(1), self.frequencies, self.phases)
        return self.embed(angles.sin())


class Denoiser(nn.Module):
    """Predicts the noise in an action, given the observations and the noise level.

    The observations enter once, through `encode`, so that one state can serve many actions and sampling steps.
    """

    def __init__(self, encoder: ObservationEncoder, width: int, size: int, levels: int, blocks: int):
        """Make a denoiser of action vectors of `size`."""
        super().__init__()
        self.encode = encoder
        self.embed_action = nn.Linear(size, width, bias=False)
        self.embed_level: nn.Module = LevelEmbedding(width, levels)
        self.trunk = ResidualMLP(width, blocks)
        self.read = nn.Linear(width, size)

    def forward(self, features: Tensor, action: Tensor, level: Tensor) -> Tensor:
        """Predict the noise.

        Args:
            features: (..., width) from `encode`; broadcast over the actions.
            action: (..., size) noisy, standardised.
            level: (...,) integers, broadcast likewise.

        Returns:
            (..., size).
        """
        h = features + self.embed_level(level) + self.embed_action(action)
        return self.read(self.trunk(h))
