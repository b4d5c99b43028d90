"""The network that predicts mixtures: its initial state, its range, and the revival of abandoned experts."""

import math
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import torch
from torch import Tensor, nn

from vdd_ros.learning.configs import Covariance, ExpertStart
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig, expert_places, plan_revival

COVARIANCES = pytest.mark.parametrize("covariance", ["diagonal", "full", "cosine", "principal"])
STARTS = pytest.mark.parametrize("start", ["samples", "kmeans", "grid", "box"])
SHAPE: dict[str, Any] = {
    "backbone": "mlp",
    "width": 16,
    "layers": 2,
    "octaves": 2,
    "history": 2,
    "obs_dim": 3,
    "horizon": 2,
    "act_dim": 2,
    "experts": 5,
}


def student(**settings: Any) -> MixtureStudent:
    torch.manual_seed(0)
    return MixtureStudent(StudentConfig(**{**SHAPE, **settings}))


def predict(network: MixtureStudent, count: int = 7) -> GaussianMixture:
    observation = torch.randn((count, 2, 3), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return network(observation)


def covariances(mixture: GaussianMixture) -> Tensor:
    factor = torch.diag_embed(mixture.factor) if mixture.diagonal else mixture.factor
    factor = factor if mixture.basis is None else mixture.basis @ factor
    return factor @ factor.mT


@COVARIANCES
@pytest.mark.parametrize("backbone", ["mlp", "gpt"])
@pytest.mark.parametrize("head_layers", [0, 2])
def test_a_student_starts_with_unit_deviations_wherever_its_experts_are_put(
    covariance: Covariance, backbone: str, head_layers: int
) -> None:
    network, places = student(covariance=covariance, backbone=backbone, head_layers=head_layers), torch.randn(5, 4)
    network.spread_experts(places)
    mixture = predict(network)
    spread = covariances(mixture).diagonal(dim1=-2, dim2=-1).sqrt()
    assert mixture.mean.shape == (7, 5, 4)
    assert (mixture.mean - places).abs().max() < 0.2
    assert (spread - 1).abs().max() < 0.2
    assert (mixture.log_gating.exp() - 0.2).abs().max() < 0.05


@COVARIANCES
def test_whatever_a_student_predicts_is_a_mixture(covariance: Covariance) -> None:
    network = student(covariance=covariance, floor=0.05)
    for head in (network.gating, network.mean, network.scale):
        nn.init.normal_(head.last.weight, std=30.0)
    mixture = predict(network, 200)
    scale = mixture.factor if mixture.diagonal else mixture.factor.diagonal(dim1=-2, dim2=-1)
    assert float(scale.min()) == pytest.approx(0.05)
    torch.testing.assert_close(mixture.log_gating.exp().sum(1), torch.ones(200))


@pytest.mark.parametrize("act_dim", [1, 3])
def test_a_full_covariance_is_filled_row_by_row(act_dim: int) -> None:
    """L has the softened diagonal first and then, row by row, the raw entries below it."""
    network = student(covariance="full", horizon=1, act_dim=act_dim, experts=2, floor=0.1)
    raw = torch.randn(2, act_dim * (act_dim + 1) // 2)
    nn.init.zeros_(network.scale.last.weight)
    with torch.no_grad():
        network.scale.last.bias.copy_(raw.flatten())
    expected = torch.zeros(2, act_dim, act_dim)
    for expert in range(2):
        below = iter(raw[expert, act_dim:].tolist())
        for row in range(act_dim):
            expected[expert, row, row] = math.log1p(math.exp(raw[expert, row])) + 0.1
            for column in range(row):
                expected[expert, row, column] = next(below)
    torch.testing.assert_close(predict(network, 1).factor[0], expected)


def test_a_uniform_gating_is_uniform_and_learns_nothing() -> None:
    network = student(gating="uniform")
    mixture = network(torch.randn(6, 2, 3))
    torch.testing.assert_close(mixture.log_gating, torch.full((6, 5), -math.log(5)))
    assert not any(name.startswith("gating") for name, _ in network.named_parameters())
    assert not mixture.log_gating.requires_grad


@pytest.mark.parametrize("detached", [False, True])
def test_the_gating_trains_the_backbone_unless_detached(detached: bool) -> None:
    network = student(detach_gating=detached)
    network(torch.randn(6, 2, 3)).log_gating.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.gating.parameters())
    assert all((parameter.grad is None) == detached for parameter in network.trunk.parameters())


@pytest.mark.parametrize("backbone", ["mlp", "gpt"])
def test_goals_enter(backbone: str) -> None:
    network = student(backbone=backbone, goal_length=2)
    observation, goal = torch.randn(1, 2, 3), torch.randn(1, 2, 3, requires_grad=True)
    mixture = network(observation, goal)
    for value in (mixture.log_gating, mixture.mean, mixture.factor):
        (gradient,) = torch.autograd.grad(value.square().sum(), goal, retain_graph=True)
        assert (gradient != 0).all()


@COVARIANCES
@pytest.mark.parametrize("backbone", ["mlp", "gpt"])
def test_mixed_precision_does_not_round_a_mixture(covariance: Covariance, backbone: str) -> None:
    """Means at 3 would move by 1 / 128 if heads or mixture were rounded to 8 bits."""
    network = student(covariance=covariance, backbone=backbone)
    network.spread_experts(torch.full((5, 4), 3.0))
    full = predict(network)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = predict(network)
    assert mixed.mean.dtype == mixed.factor.dtype == mixed.log_gating.dtype == torch.float32
    assert (full.mean - mixed.mean).abs().max() < 1e-3
    assert (full.factor - mixed.factor).abs().max() < 1e-3


def abandoned(covariance: Covariance, head_layers: int = 0) -> MixtureStudent:
    """Return a student with experts 1 and 3 that are never chosen, and expert 0 chosen most."""
    network = student(covariance=covariance, head_layers=head_layers)
    with torch.no_grad():
        network.gating.last.bias.copy_(torch.tensor([1.0, -30.0, 0.0, -30.0, 0.0]))
        for head in (network.gating, network.mean, network.scale):
            head.last.weight.mul_(20)
    return network


def usage(network: MixtureStudent) -> Tensor:
    return predict(network, 500).log_gating.exp().mean(0)


def split(network: MixtureStudent, plan: list[tuple[int, int]]) -> None:
    for source, expert in plan:
        network.split_expert(source, expert)


@COVARIANCES
@pytest.mark.parametrize("head_layers", [0, 1])
def test_revival_keeps_the_density_and_moves_only_abandoned_experts(covariance: Covariance, head_layers: int) -> None:
    network = abandoned(covariance, head_layers)
    before, action = predict(network), torch.randn(7, 20, 4)
    plan = plan_revival(usage(network), 0.02)
    assert [expert for _, expert in plan] == [1, 3]
    split(network, plan)
    after = predict(network)
    torch.testing.assert_close(after.log_prob(action), before.log_prob(action), rtol=1e-4, atol=1e-4)
    kept = torch.tensor([0, 2, 4])
    assert torch.equal(after.mean[:, kept], before.mean[:, kept])
    assert torch.equal(after.factor[:, kept], before.factor[:, kept])
    assert usage(network).min() > 0.02 / 5


def test_a_revived_expert_is_half_of_the_most_used_one_nearby() -> None:
    network = abandoned("diagonal")
    before = predict(network)
    assert int(usage(network).argmax()) == 0
    jitter = torch.randn(network.size)
    source, expert = plan_revival(usage(network), 0.02)[0]
    network.split_expert(source, expert, jitter)
    after = predict(network)
    torch.testing.assert_close(after.factor[:, 1], before.factor[:, 0])
    torch.testing.assert_close(after.mean[:, 1] - before.mean[:, 0], jitter.expand_as(after.mean[:, 1]))
    torch.testing.assert_close(after.log_gating[:, 1], before.log_gating[:, 0] - math.log(2), rtol=1e-4, atol=1e-4)


def test_each_abandoned_expert_takes_half_of_whoever_has_most_then() -> None:
    """0.6 gives half of itself twice, as 0.3 is still more than 0.2."""
    network = student()
    share = torch.tensor([0.6, 0.0, 0.2, 0.0, 0.2]).clamp_min(1e-12)
    for head in (network.gating, network.mean, network.scale):
        nn.init.zeros_(head.last.weight)
    with torch.no_grad():
        network.gating.last.bias.copy_(share.log())
    split(network, plan_revival(usage(network), 0.02))
    expected = torch.tensor([0.15, 0.3, 0.2, 0.15, 0.2])
    torch.testing.assert_close(usage(network).sort().values, expected.sort().values, rtol=1e-4, atol=1e-4)


def test_nobody_is_revived_where_nobody_is_abandoned() -> None:
    assert plan_revival(usage(student()), 0.02) == []


def actions() -> Tensor:
    return torch.randn((400, 2), generator=torch.Generator().manual_seed(2))


@STARTS
@pytest.mark.parametrize("experts", [1, 5, 9])
def test_places_are_as_many_as_experts_and_seeded(start: ExpertStart, experts: int) -> None:
    def places(seed: int) -> Tensor:
        return expert_places(start, experts, actions(), 1.5, torch.Generator().manual_seed(seed))

    assert places(0).shape == (experts, 2)
    assert torch.equal(places(0), places(0))
    if start in ("samples", "box"):
        assert not torch.equal(places(0), places(1))


def test_samples_are_actions() -> None:
    places = expert_places("samples", 50, actions(), 1.0, torch.Generator())
    assert (places[:, None] == actions()).all(-1).any(1).all()
    assert len(places.unique(dim=0)) > 40


def test_a_box_is_filled_evenly() -> None:
    places = expert_places("box", 20_000, actions(), 1.5, torch.Generator())
    assert places.abs().max() <= 1.5
    assert places.mean(0).abs().max() < 0.05
    assert float(places.var()) == pytest.approx(1.5**2 / 3, rel=0.03)


@pytest.mark.parametrize("experts", [4, 7, 9])
def test_a_grid_is_spread_over_the_nodes_of_a_square(experts: int) -> None:
    places = expert_places("grid", experts, actions(), 1.5, torch.Generator())
    ticks = torch.linspace(-1.5, 1.5, math.ceil(math.sqrt(experts)))
    nodes = torch.cartesian_prod(ticks, ticks).flip(1)  # the first entry runs fastest
    distance = torch.cdist(places, nodes)
    assert distance.min(1).values.max() < 1e-6
    assert len(distance.argmin(1).unique()) == experts
    torch.testing.assert_close(places[[0, -1]], nodes[[0, -1]])


def test_the_grid_of_one_is_the_middle() -> None:
    torch.testing.assert_close(expert_places("grid", 1, actions(), 1.5, torch.Generator()), torch.zeros(1, 2))


def test_kmeans_finds_clusters() -> None:
    centres = torch.tensor([[-2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    cloud = (centres[:, None] + 0.1 * torch.randn(3, 300, 2)).flatten(0, 1)
    places = expert_places("kmeans", 3, cloud, 1.0, torch.Generator())
    assert torch.cdist(centres, places).min(1).values.max() < 0.05


@pytest.mark.parametrize("size", [1, 2, 5])
def test_gradients_of_a_factor_come_from_its_places(size: int) -> None:
    """Every entry stands where it is meant to, trained or exported, and its gradient comes from there."""
    shape = StudentConfig(history=1, obs_dim=1, horizon=1, act_dim=size, experts=2, covariance="full", backbone="mlp")
    student = MixtureStudent(shape)
    scale, below = torch.randn(3, 2, size), torch.randn(3, 2, size * (size - 1) // 2)
    expected = torch.diag_embed(scale)
    rows, columns = torch.tril_indices(size, size, offset=-1)
    expected[..., rows, columns] = below
    assert torch.equal(student._cholesky(scale, below), expected)
    scale.requires_grad_()
    below.requires_grad_()
    weight = torch.randn(3, 2, size, size)
    filled = student._cholesky(scale, below)
    assert torch.equal(filled, expected)
    by_scale, by_below = torch.autograd.grad((weight * filled).sum(), (scale, below))
    assert torch.equal(by_scale, weight.diagonal(dim1=-2, dim2=-1))
    assert torch.equal(by_below, weight[..., rows, columns])
