"""Residual MLPs, and the embeddings that they share with the transformer."""

import math

import torch
from torch import Tensor, nn

from vdd_ros.learning.networks.hidden import HiddenLayers

NOISE_OCTAVES = 6


class FourierFeatures(nn.Module):
    """Sines and cosines of every entry at octave frequencies (Tancik et al. 2020); the entries themselves if none.

    Positions matter to the millimetre in a space of half a metre; a plain network on standardised positions learns
    such detail last.
    """

    frequencies: Tensor
    phases: Tensor

    def __init__(self, entries: int, octaves: int) -> None:
        """Make the features of vectors of `entries`."""
        super().__init__()
        self.size = 2 * octaves * entries if octaves else entries
        if octaves:  # on the CPU also where models are built without memory: torch would load its compiler to do it
            scales = torch.tensor([0.75 * 2.0**octave for octave in range(octaves)], device="cpu")
            eye = torch.eye(entries, device="cpu")
            frequencies = torch.kron(scales[:, None], eye).repeat(2, 1)  # (size, entries)
            phases = torch.tensor([0.0, math.pi / 2], device="cpu").repeat_interleave(octaves * entries)
            self.register_buffer("frequencies", frequencies, persistent=False)
            self.register_buffer("phases", phases, persistent=False)
        self.octaves = octaves

    def forward(self, values: Tensor) -> Tensor:
        """Map (..., entries) to (..., size)."""
        if not self.octaves:
            return values
        with torch.autocast(values.device.type, enabled=False):  # 8 bits would not hold the phase of a high octave
            return nn.functional.linear(values, self.frequencies, self.phases).sin()


class NoiseEmbedding(nn.Module):
    """Embeds noise levels, given as log(sigma) / 4 (Karras et al. 2022, table 1), by sines, cosines and a small MLP."""

    def __init__(self, conditions: int, width: int) -> None:
        """Make an embedding of `conditions` levels at once."""
        super().__init__()
        self.features = FourierFeatures(conditions, NOISE_OCTAVES)
        self.mix = nn.Sequential(nn.Linear(self.features.size, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, condition: Tensor) -> Tensor:
        """Map (..., conditions) to (..., width)."""
        return self.mix(self.features(condition))


class ResidualBlock(HiddenLayers):
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
    """A stack of residual blocks, without input and output layers."""

    def __init__(self, width: int, layers: int) -> None:
        """Make `layers` blocks of `width`."""
        super().__init__()
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(layers)))

    def forward(self, h: Tensor) -> Tensor:
        """Map (..., width) to (..., width)."""
        return nn.functional.silu(self.blocks(h))


class StateEncoder(nn.Module):
    """Features of goals and observations together, and a linear layer."""

    def __init__(self, tokens: int, obs_dim: int, width: int, octaves: int) -> None:
        """Make an encoder of `tokens` goals and observations of `obs_dim`."""
        super().__init__()
        self.features = FourierFeatures(tokens * obs_dim, octaves)
        self.embed = nn.Linear(self.features.size, width)

    def forward(self, observation: Tensor, goal: Tensor | None) -> Tensor:
        """Embed (B, history, obs_dim) and (B, goal_length, obs_dim) as (B, width)."""
        states = observation if goal is None else torch.cat([goal, observation], dim=1)
        return self.embed(self.features(states.flatten(1)))


class MLPTrunk(nn.Module):
    """Features of a window of observations for the heads of a student."""

    def __init__(self, encoder: StateEncoder, width: int, layers: int) -> None:
        """Stack `layers` blocks on an encoder."""
        super().__init__()
        self.encoder = encoder
        self.trunk = ResidualMLP(width, layers)

    def forward(self, observation: Tensor, goal: Tensor | None) -> Tensor:
        """Return features (B, width)."""
        return self.trunk(self.encoder(observation, goal))


class MLPDenoiser(nn.Module):
    """Estimates the preconditioning's target for a noisy action, given the state and the noise level.

    The state enters once, through `encode`, so that it can serve many actions and sampling steps.
    """

    def __init__(self, encoder: StateEncoder, width: int, size: int, layers: int, conditions: int) -> None:
        """Make a denoiser of action vectors of `size` under `conditions` noise levels."""
        super().__init__()
        self.encoder = encoder
        self.embed_noise = NoiseEmbedding(conditions, width)
        self.embed_action = nn.Linear(size, width, bias=False)
        self.trunk = ResidualMLP(width, layers)
        self.read = nn.Linear(width, size)

    def encode(self, observation: Tensor, goal: Tensor | None) -> Tensor:
        """Return features (B, 1, width)."""
        return self.encoder(observation, goal)[:, None]

    def forward(self, context: Tensor, action: Tensor, condition: Tensor) -> Tensor:
        """Map noisy actions (B, S, D) under conditions (..., conditions), broadcast over (B, S), to (B, S, D)."""
        return self.read(self.trunk(context + self.embed_noise(condition) + self.embed_action(action)))
