"""The GPT with cached states against one masked transformer over the whole sequence, written out in the test."""

from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from vdd_ros.learning.networks.gpt import GPT, Block, GPTDenoiser, GPTTrunk

WIDTH, HEADS, LAYERS = 16, 4, 3
BATCH, SAMPLES = 3, 4
GOALS, HISTORY, OBS_DIM = 2, 4, 3
HORIZON, ACT_DIM = 3, 2
TOKENS = GOALS + HISTORY
CAUSAL = torch.ones(TOKENS, TOKENS).tril().bool()


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def scrambled(module: Any) -> Any:
    """Give every parameter a random value, so that nothing is hidden by a start near zero."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.double()


def gpt(dropout: float = 0.0) -> GPT:
    return GPT(TOKENS, OBS_DIM, WIDTH, LAYERS, HEADS, 2, dropout)


def make_denoiser(dropout: float = 0.0) -> GPTDenoiser:
    return scrambled(GPTDenoiser(gpt(dropout), WIDTH, HORIZON, ACT_DIM, 1))


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def states() -> tuple[Tensor, Tensor]:
    return normal(BATCH, HISTORY, OBS_DIM), normal(BATCH, GOALS, OBS_DIM)


def reference_block(block: Block, h: Tensor, mask: Tensor) -> Tensor:
    """Pass tokens (B, T, width) under a mask (T, T), true where a token may look."""
    normed = nn.functional.layer_norm(h, (WIDTH,), block.norm_attention.weight, block.norm_attention.bias)
    projected = nn.functional.linear(normed, block.qkv.weight, block.qkv.bias)
    split = (part.reshape(*h.shape[:2], HEADS, -1).transpose(1, 2) for part in projected.split(WIDTH, dim=-1))
    query, key, value = split
    attended = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    h = h + block.merge(attended.transpose(1, 2).reshape(h.shape))
    normed = nn.functional.layer_norm(h, (WIDTH,), block.norm_mlp.weight, block.norm_mlp.bias)
    return h + block.narrow(nn.functional.gelu(block.widen(normed)))


def reference_tokens(model: GPT, observation: Tensor, goal: Tensor) -> Tensor:
    return model.embed(model.features(torch.cat([goal, observation], dim=1))) + model.position


def test_a_denoiser_is_a_masked_transformer_over_states_and_one_chunk() -> None:
    denoiser, (observation, goal) = make_denoiser(), states()
    action, condition = normal(BATCH, SAMPLES, HORIZON * ACT_DIM), normal(BATCH, SAMPLES, 1)
    estimate = denoiser(denoiser.encode(observation, goal), action, condition)

    mask = torch.ones(TOKENS + HORIZON, TOKENS + HORIZON).bool()
    mask[:TOKENS, :TOKENS] = CAUSAL
    mask[:TOKENS, TOKENS:] = False
    for sample in range(SAMPLES):
        chunk = action[:, sample].reshape(BATCH, HORIZON, ACT_DIM)
        own = denoiser.embed_action(chunk) + denoiser.position + denoiser.embed_noise(condition[:, sample])[:, None]
        h = torch.cat([reference_tokens(denoiser.gpt, observation, goal), own], dim=1)
        for block in denoiser.gpt.blocks:
            h = reference_block(block, h, mask)  # type: ignore[arg-type]
        expected = denoiser.read(denoiser.norm(h[:, TOKENS:])).reshape(BATCH, HORIZON * ACT_DIM)
        torch.testing.assert_close(estimate[:, sample], expected)


def test_a_trunk_is_the_last_token_of_a_causal_transformer() -> None:
    trunk, (observation, goal) = scrambled(GPTTrunk(gpt(), WIDTH)), states()
    h = reference_tokens(trunk.gpt, observation, goal)
    for block in trunk.gpt.blocks:
        h = reference_block(block, h, CAUSAL)
    torch.testing.assert_close(trunk(observation, goal), trunk.norm(h[:, -1]))


def test_the_last_token_alone_is_the_last_of_all() -> None:
    block, h = scrambled(Block(WIDTH, HEADS, 0.0)), normal(BATCH, TOKENS, WIDTH)
    mask = torch.zeros(TOKENS, TOKENS, dtype=torch.float64).masked_fill(~CAUSAL, -torch.inf)
    rows, _ = block.attend(h.flatten(0, 1), mask)
    whole = rows.unflatten(0, (BATCH, TOKENS))
    torch.testing.assert_close(block.attend_last(h.flatten(0, 1), TOKENS), whole[:, -1])
    torch.testing.assert_close(whole, reference_block(block, h, CAUSAL))


def test_an_earlier_token_does_not_see_a_later_observation() -> None:
    model, (observation, goal) = scrambled(gpt()), states()
    before = model.states(observation, goal)
    for later in range(HISTORY):
        other = observation.clone()
        other[:, later] += 1.0
        for (key, value), (other_key, other_value) in zip(before, model.states(other, goal), strict=True):
            past = slice(0, GOALS + later)
            assert torch.equal(key[:, :, past], other_key[:, :, past])
            assert torch.equal(value[:, :, past], other_value[:, :, past])
            assert (key[:, :, GOALS + later :] != other_key[:, :, GOALS + later :]).any(dim=-1).any()


def test_the_last_token_sees_every_observation_and_every_goal() -> None:
    model, (observation, goal) = scrambled(gpt()), states()
    leaves = [observation.requires_grad_(), goal.requires_grad_()]
    for gradient in torch.autograd.grad(model.last(observation, goal).sum(), leaves):
        assert (gradient != 0).all()


def test_actions_of_a_chunk_see_one_another_in_both_directions() -> None:
    denoiser, (observation, goal) = make_denoiser(), states()
    context = denoiser.encode(observation, goal)

    def estimate(action: Tensor) -> Tensor:
        return denoiser(context, action, normal(1, 1, 1).zero_()).reshape(BATCH, HORIZON, ACT_DIM)

    action = normal(BATCH, 1, HORIZON * ACT_DIM)
    for place in range(HORIZON):
        other = action.clone().reshape(BATCH, 1, HORIZON, ACT_DIM)
        other[:, :, place] += 1.0
        moved = (estimate(action) - estimate(other.reshape(action.shape))).abs()
        assert (moved > 1e-6).all(), "first and last alike"


def test_the_order_of_actions_matters() -> None:
    denoiser, (observation, goal) = make_denoiser(), states()
    action = normal(BATCH, 1, HORIZON, ACT_DIM)
    context, level = denoiser.encode(observation, goal), normal(1, 1, 1)
    forward = denoiser(context, action.flatten(2), level).reshape(BATCH, HORIZON, ACT_DIM)
    backward = denoiser(context, action.flip(2).flatten(2), level).reshape(BATCH, HORIZON, ACT_DIM)
    assert (forward - backward.flip(1)).abs().max() > 1e-3


def test_an_untrained_denoiser_estimates_nothing() -> None:
    denoiser = GPTDenoiser(gpt(), WIDTH, HORIZON, ACT_DIM, 1)
    context = denoiser.encode(torch.randn(2, HISTORY, OBS_DIM), torch.randn(2, GOALS, OBS_DIM))
    assert (denoiser(context, torch.randn(2, 5, HORIZON * ACT_DIM), torch.zeros(1, 1, 1)) == 0).all()


@pytest.mark.parametrize("samples", [1, 5])
def test_dropout_acts_in_training_only(samples: int) -> None:
    denoiser, (observation, goal) = make_denoiser(dropout=0.3), states()
    action, level = normal(BATCH, samples, HORIZON * ACT_DIM), normal(1, 1, 1)

    def estimate() -> Tensor:
        return denoiser(denoiser.encode(observation, goal), action, level)

    assert not torch.equal(estimate(), estimate())
    denoiser.eval()
    one = estimate()
    assert torch.equal(one, estimate())
    plain = make_denoiser()
    plain.load_state_dict(denoiser.state_dict())
    assert torch.equal(one, plain(plain.encode(observation, goal), action, level))


def test_residual_layers_start_smaller_the_deeper_the_stack() -> None:
    """As GPT-2: deviation 0.02, and 0.02 / sqrt(2 layers) where a block adds to the stream."""
    model = GPT(4, 3, 64, 8, 4, 2, 0.0)
    for block in model.blocks:
        for name, deviation in (("qkv", 0.02), ("widen", 0.02), ("merge", 0.005), ("narrow", 0.005)):
            layer = getattr(block, name)
            assert float(layer.weight.detach().std()) == pytest.approx(deviation, rel=0.05)
            assert (layer.bias == 0).all()
