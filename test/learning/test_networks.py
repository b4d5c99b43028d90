"""The building blocks of the MLPs against their formulas in numpy."""

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from vdd_ros.learning.networks.backbones import NetworkConfig, make_denoiser, make_trunk
from vdd_ros.learning.networks.mlp import (
    NOISE_OCTAVES,
    FourierFeatures,
    MLPDenoiser,
    NoiseEmbedding,
    ResidualBlock,
    ResidualMLP,
    StateEncoder,
)


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def scrambled(module: nn.Module, seed: int = 0) -> Any:
    """Give every parameter a random value, so that nothing is hidden by a start at zero."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    return module


def test_a_block_starts_as_the_identity() -> None:
    h = torch.randn(5, 8)
    torch.testing.assert_close(ResidualBlock(8)(h), h)


def test_a_block_is_its_formula() -> None:
    block = scrambled(ResidualBlock(6))
    h = torch.randn(3, 6)
    w1, b1, w2, b2 = (p.detach().numpy().astype(float) for p in block.parameters())
    x = h.numpy().astype(float)
    expected = x + silu(silu(x) @ w1.T + b1) @ w2.T + b2
    np.testing.assert_allclose(block(h).detach(), expected, rtol=1e-4, atol=1e-5)


def test_a_trunk_has_as_many_blocks_as_asked_for() -> None:
    assert len(ResidualMLP(4, 3).blocks) == 3


def test_entries_become_sines_and_cosines_at_octaves() -> None:
    values = torch.randn(4, 6)
    flat = values.numpy().astype(float)
    waves = [wave(0.75 * 2**octave * flat) for wave in (np.sin, np.cos) for octave in range(3)]
    np.testing.assert_allclose(FourierFeatures(6, 3)(values), np.hstack(waves), atol=1e-5)


def test_no_octaves_leave_the_entries_as_they_are() -> None:
    values = torch.randn(4, 6)
    assert FourierFeatures(6, 0)(values) is values


def test_a_state_is_encoded_with_its_goal_first() -> None:
    encoder = StateEncoder(tokens=3, obs_dim=2, width=5, octaves=2)
    observation, goal = torch.randn(4, 2, 2), torch.randn(4, 1, 2)
    flat = torch.cat([goal, observation], dim=1).reshape(4, 6)
    torch.testing.assert_close(encoder(observation, goal), encoder.embed(encoder.features(flat)))


def test_noise_levels_are_distinguished_over_their_whole_range() -> None:
    embedding = NoiseEmbedding(1, 16)
    condition = torch.logspace(-3, 3, 400)[:, None].log() / 4
    waves = embedding.features(condition)
    assert waves.shape == (400, 2 * NOISE_OCTAVES)
    assert torch.pdist(waves).min() > 1e-3
    assert torch.pdist(embedding(condition)).min() > 0


def test_an_mlp_denoiser_is_its_formula() -> None:
    denoiser = MLPDenoiser(StateEncoder(1, 2, 8, 2), 8, size=3, layers=2, conditions=2)
    scrambled(denoiser)
    observation, action, condition = torch.randn(4, 1, 2), torch.randn(4, 6, 3), torch.randn(4, 6, 2)
    together = denoiser(denoiser.encode(observation, None), action, condition)
    for state in range(4):
        for index in range(6):
            h = denoiser.encoder(observation[state : state + 1], None)[0]
            h = h + denoiser.embed_noise(condition[state, index]) + denoiser.embed_action.weight @ action[state, index]
            alone = denoiser.read(denoiser.trunk(h))
            torch.testing.assert_close(together[state, index], alone, rtol=1e-4, atol=1e-5)


BACKBONES = pytest.mark.parametrize("backbone", ["mlp", "gpt"])


def shape(backbone: str, goal_length: int = 2) -> NetworkConfig:
    return NetworkConfig(
        backbone=backbone,  # type: ignore[arg-type]
        width=16,
        layers=2,
        heads=2,
        octaves=2,
        history=3,
        obs_dim=2,
        horizon=2,
        act_dim=2,
        goal_length=goal_length,
    )


@BACKBONES
def test_noise_levels_are_broadcast_over_states_and_actions(backbone: str) -> None:
    denoiser = scrambled(make_denoiser(shape(backbone, 0)))
    context = denoiser.encode(torch.randn(4, 3, 2), None)
    action, condition = torch.randn(4, 5, 4), torch.randn(4, 5, 1)
    for given in (condition[:1, :1], condition[:, :1], condition[:1], condition):
        one = denoiser(context, action, given)
        assert one.shape == (4, 5, 4)
        torch.testing.assert_close(one, denoiser(context, action, given.expand(4, 5, 1)), rtol=1e-4, atol=1e-5)


@BACKBONES
def test_a_denoiser_starts_finite_and_a_trunk_gives_features(backbone: str) -> None:
    observation, goal = 100 * torch.randn(4, 3, 2), torch.randn(4, 2, 2)
    denoiser: Any = make_denoiser(shape(backbone))
    estimate = denoiser(denoiser.encode(observation, goal), torch.randn(4, 5, 4), torch.full((1, 1, 1), -1.0))
    assert estimate.isfinite().all()
    assert make_trunk(shape(backbone))(observation, goal).shape == (4, 16)


@BACKBONES
@pytest.mark.parametrize("conditions", [1, 2])
def test_everything_reported_enters(backbone: str, conditions: int) -> None:
    """Observation, goal, action and each noise level: the estimate depends on every entry of them."""
    denoiser = scrambled(make_denoiser(shape(backbone), conditions))
    told = [torch.randn(1, *size) for size in ((3, 2), (2, 2), (1, 4), (1, conditions))]
    leaves = [each.requires_grad_() for each in told]
    observation, goal, action, condition = leaves
    estimate = denoiser(denoiser.encode(observation, goal), action, condition)
    for output in estimate.flatten():
        for gradient in torch.autograd.grad(output, leaves, retain_graph=True):
            assert (gradient != 0).all()


@BACKBONES
def test_the_same_encoding_serves_any_number_of_actions_and_levels(backbone: str) -> None:
    denoiser = scrambled(make_denoiser(shape(backbone)))
    observation, goal = torch.randn(4, 3, 2), torch.randn(4, 2, 2)
    context = denoiser.encode(observation, goal)
    for samples in (1, 3):
        action, condition = torch.randn(4, samples, 4), torch.randn(4, samples, 1)
        fresh = denoiser(denoiser.encode(observation, goal), action, condition)
        assert torch.equal(denoiser(context, action, condition), fresh)


@BACKBONES
def test_actions_of_one_state_do_not_see_one_another(backbone: str) -> None:
    denoiser = scrambled(make_denoiser(shape(backbone)))
    context = denoiser.encode(torch.randn(4, 3, 2), torch.randn(4, 2, 2))
    action, condition = torch.randn(4, 5, 4), torch.randn(4, 5, 1)
    together = denoiser(context, action, condition)
    for sample in range(5):
        one = slice(sample, sample + 1)
        alone = denoiser(context, action[:, one], condition[:, one])
        torch.testing.assert_close(together[:, one], alone, rtol=1e-4, atol=1e-5)


@BACKBONES
def test_states_of_a_batch_do_not_see_one_another(backbone: str) -> None:
    denoiser = scrambled(make_denoiser(shape(backbone)))
    observation, goal = torch.randn(4, 3, 2), torch.randn(4, 2, 2)
    action, condition = torch.randn(4, 5, 4), torch.randn(4, 5, 1)
    together = denoiser(denoiser.encode(observation, goal), action, condition)
    for state in range(4):
        one = slice(state, state + 1)
        alone = denoiser(denoiser.encode(observation[one], goal[one]), action[one], condition[one])
        torch.testing.assert_close(together[one], alone, rtol=1e-4, atol=1e-5)


@BACKBONES
def test_mixed_precision_stays_near_full_precision(backbone: str) -> None:
    """On positions far out, where rounding to 8 bits would turn the highest octave around."""
    torch.manual_seed(0)
    trunk, observation, goal = make_trunk(shape(backbone)), 30 * torch.randn(50, 3, 2), 30 * torch.randn(50, 2, 2)
    with torch.no_grad():
        full = trunk(observation, goal)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = trunk(observation, goal).float()
    assert (mixed - full).square().mean().sqrt() < 0.02 * full.std() + 0.01 * math.sqrt(float(full.square().mean()))
