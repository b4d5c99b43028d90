"""The optimiser: what Muon updates, its update against a singular value decomposition, and its state."""

import pytest

pytest.importorskip("torch")

import numpy as np
import torch
from torch import Tensor, nn

from vdd_ros.errors import CheckpointError
from vdd_ros.learning.configs import Backbone
from vdd_ros.learning.fit.optimizer import MUON_RATE, ModuleOptimizer
from vdd_ros.learning.networks.backbones import NetworkConfig, make_denoiser
from vdd_ros.learning.networks.hidden import HiddenLayers, hidden_matrices

RATE = 0.01


class Layers(HiddenLayers):
    """One hidden layer and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 4)
        self.norm = nn.LayerNorm(4)

    def forward(self, h: Tensor) -> Tensor:
        return self.norm(self.linear(h))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 6), Layers(), nn.Linear(4, 2))


def learn(module: nn.Module, optimizer: ModuleOptimizer, seed: int = 0) -> None:
    optimizer.clear()
    module(torch.randn((8, 3), generator=torch.Generator().manual_seed(seed))).square().sum().backward()
    optimizer.step(RATE)


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def test_hidden_matrices_are_those_of_hidden_layers_alone() -> None:
    assert list(hidden_matrices(network())) == ["1.linear.weight"]
    assert list(hidden_matrices(Layers())) == ["linear.weight"]
    assert hidden_matrices(nn.Linear(3, 2)) == {}


@pytest.mark.parametrize(
    ("backbone", "layers"), [("mlp", {"first", "second"}), ("gpt", {"qkv", "merge", "widen", "narrow"})]
)
def test_the_blocks_of_a_backbone_are_hidden(backbone: Backbone, layers: set[str]) -> None:
    shape = NetworkConfig(
        obs_dim=4, act_dim=2, history=2, goal_length=0, horizon=1, backbone=backbone, width=8, layers=3, heads=2
    )
    found = hidden_matrices(make_denoiser(shape))
    assert len(found) == 3 * len(layers)
    assert {name.split(".")[-2] for name in found} == layers


def test_muon_moves_a_hidden_matrix_equally_along_all_singular_directions() -> None:
    module = network()
    before = weights(module)
    learn(module, ModuleOptimizer(module, "muon", 0.0))
    linear = module.get_submodule("1.linear")
    assert isinstance(linear, nn.Linear) and linear.weight.grad is not None
    left, _, right = np.linalg.svd(linear.weight.grad.numpy(), full_matrices=False)
    moved = (before["1.linear.weight"] - linear.weight.detach()).numpy()
    seen = left.T @ moved @ right.T / (RATE * MUON_RATE * 0.2 * np.sqrt(6))
    # Through the norm a gradient has one direction less. The quintic iteration leaves singular values about 1.
    assert np.all((np.diag(seen)[:3] > 0.5) & (np.diag(seen)[:3] < 1.3))
    np.testing.assert_allclose(seen - np.diag(np.diag(seen)), 0, atol=1e-3)


def test_everything_else_follows_adamw() -> None:
    muon, adamw = network(), network()
    learn(muon, ModuleOptimizer(muon, "muon", 0.01))
    learn(adamw, ModuleOptimizer(adamw, "adamw", 0.01))
    reference = network()
    plain = torch.optim.AdamW(reference.parameters(), lr=RATE, weight_decay=0.01)
    reference(torch.randn((8, 3), generator=torch.Generator().manual_seed(0))).square().sum().backward()
    plain.step()
    for name, value in weights(reference).items():
        torch.testing.assert_close(weights(adamw)[name], value)
        if name == "1.linear.weight":
            assert not torch.allclose(weights(muon)[name], value)
        else:
            torch.testing.assert_close(weights(muon)[name], value)


def test_a_state_that_is_taken_continues_exactly() -> None:
    whole = network()
    optimizer = ModuleOptimizer(whole, "muon", 0.01)
    for seed in range(3):
        learn(whole, optimizer, seed)
    state = {name: value.clone() for name, value in optimizer.state().items()}
    resumed = network()
    resumed.load_state_dict(whole.state_dict())
    again = ModuleOptimizer(resumed, "muon", 0.01)
    assert again.check(state, 3) == state.keys()
    again.take(state)
    for seed in range(3, 6):
        learn(whole, optimizer, seed)
        learn(resumed, again, seed)
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(whole).items())


def test_a_parameter_without_a_gradient_has_no_state() -> None:
    module = network()
    optimizer = ModuleOptimizer(module, "muon", 0.0)
    module[1](torch.randn(8, 6)).sum().backward()
    optimizer.step(RATE)
    assert {name.partition(".")[2] for name in optimizer.state()} == {
        "1.linear.weight",
        "1.linear.bias",
        "1.norm.weight",
        "1.norm.bias",
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(4, 5), r"momentum_buffer\.1\.linear\.weight has the shape \[4, 5\]"),
        (torch.zeros(4, 6).double(), r"momentum_buffer\.1\.linear\.weight is float64"),
        (torch.full((4, 6), torch.nan), r"the optimiser's state of 1\.linear\.weight is not finite"),
    ],
)
def test_an_invalid_momentum_is_refused(value: Tensor, message: str) -> None:
    module = network()
    optimizer = ModuleOptimizer(module, "muon", 0.0)
    learn(module, optimizer)
    with pytest.raises(CheckpointError, match=message):
        optimizer.check(optimizer.state() | {"momentum_buffer.1.linear.weight": value}, 1)
