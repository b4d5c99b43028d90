"""The building blocks against their formulas in numpy."""

import math

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from vdd_ros.training.networks import Denoiser, LevelEmbedding, ObservationEncoder, ResidualBlock, ResidualMLP


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def test_a_block_starts_as_the_identity() -> None:
    h = torch.randn(5, 8)
    torch.testing.assert_close(ResidualBlock(8)(h), h)


def test_a_block_is_its_formula() -> None:
    block = ResidualBlock(6)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter)
    h = torch.randn(3, 6)
    w1, b1, w2, b2 = (p.detach().numpy().astype(float) for p in block.parameters())
    x = h.numpy().astype(float)
    expected = x + silu(silu(x) @ w1.T + b1) @ w2.T + b2
    np.testing.assert_allclose(block(h).detach(), expected, rtol=1e-4, atol=1e-5)


def test_a_trunk_has_as_many_blocks_as_asked_for() -> None:
    assert len(ResidualMLP(4, 3).blocks) == 3


def test_every_level_is_embedded_differently() -> None:
    embedding = LevelEmbedding(8, levels=64)
    levels = torch.arange(65)
    frequencies = 10_000.0 ** -(np.arange(4) / 4)
    angles = 100 / 64 * np.arange(65)[:, None] * frequencies
    np.testing.assert_allclose(embedding.table, np.hstack([np.sin(angles), np.cos(angles)]), atol=1e-4)
    assert torch.pdist(embedding(levels)).min() > 0


def test_observations_are_encoded_by_sines_at_octaves() -> None:
    encoder = ObservationEncoder(history=2, obs_dim=3, width=5, octaves=3)
    window = torch.randn(4, 2, 3)
    flat = window.numpy().reshape(4, 6).astype(float)
    waves = [wave(0.75 * 2**octave * flat) for wave in (np.sin, np.cos) for octave in range(3)]
    weight, bias = encoder.embed.weight.detach().numpy(), encoder.embed.bias.detach().numpy()
    np.testing.assert_allclose(encoder(window).detach(), np.hstack(waves) @ weight.T + bias, atol=1e-5)


def test_a_state_is_encoded_once_for_many_actions() -> None:
    denoiser = Denoiser(ObservationEncoder(1, 2, 8, 2), 8, size=3, levels=10, blocks=2)
    for parameter in denoiser.parameters():
        torch.nn.init.normal_(parameter, std=1 / math.sqrt(8))
    features = denoiser.encode(torch.randn(4, 1, 2))
    actions, level = torch.randn(4, 6, 3), torch.tensor([1, 5, 9, 10])
    together = denoiser(features[:, None], actions, level[:, None])
    for state in range(4):
        for index in range(6):
            alone = denoiser(features[state], actions[state, index], level[state])
            torch.testing.assert_close(together[state, index], alone, rtol=1e-4, atol=1e-5)
