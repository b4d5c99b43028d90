"""The gradients of the objectives against quadrature and finite differences, on targets with a known density."""

import math
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor
from toy_targets import Target, exact_teacher, observations, random_mixture

from vdd_ros.learning.configs import Covariance
from vdd_ros.learning.methods.configs import DistilConfig
from vdd_ros.learning.methods.state_pool import StatePool
from vdd_ros.learning.methods.vdd import vdd_loss
from vdd_ros.learning.methods.vdd_objective import (
    ExpertUpdate,
    draw_experts,
    expert_weights,
    gating_loss,
    multi_noise_update,
    paper_update,
)
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig

TARGET = Target.of([0.4, 0.6], [[-1.0], [0.9]], [0.3, 0.4])
LOGITS, MEANS, DEVIATIONS = (0.5, -0.2, 0.0), (-0.7, 0.4, 1.5), (0.5, 0.3, 0.6)
GRID = torch.linspace(-9, 9, 6001, dtype=torch.float64)[:, None]  # (G, 1)
CELL = float(GRID[1] - GRID[0])
COUNT = 40_000
Update = Callable[..., ExpertUpdate]
KINDS = pytest.mark.parametrize("kind", ["ddpm", "beso"])


def mixture_of(mean: Tensor, deviation: Tensor) -> GaussianMixture:
    """Return the one-dimensional student of this file with means and deviations (B, 3)."""
    log_gating = torch.tensor(LOGITS, dtype=mean.dtype).log_softmax(0).expand(len(mean), 3)
    return GaussianMixture(log_gating, mean[..., None], deviation[..., None])


def exact_parameters() -> Tensor:
    """Return the means and deviations, (2, 3) float64."""
    return torch.tensor([MEANS, DEVIATIONS], dtype=torch.float64)


def estimate(
    update: Update, sigma: float, uniform: float, kind: str = "ddpm", draws: int = 1, drawn: int = 0
) -> tuple[Tensor, Tensor]:
    """Return the mean of the stochastic gradients, (2, 3) for means and deviations, and its standard error.

    With `drawn`, so many experts draw in each state, else all.
    """
    teacher = exact_teacher(TARGET, kind)
    mean, deviation = (torch.tensor(values).repeat(COUNT, 1).requires_grad_() for values in (MEANS, DEVIATIONS))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((COUNT, draws, drawn or 3, 1), generator=generator)
    context, student = teacher.encode(observations(COUNT)), mixture_of(mean, deviation)
    experts = draw_experts(expert_weights(student.log_gating, uniform), drawn, generator) if drawn else None
    result = update(student, teacher, context, torch.full((COUNT,), sigma), noise, uniform, experts)
    gradients = COUNT * torch.stack(torch.autograd.grad(result.loss, (mean, deviation)), dim=1)  # (COUNT, 2, 3)
    return gradients.mean(0).double(), (gradients.std(0) / math.sqrt(COUNT)).double()


def finite_differences(value: Callable[[Tensor], float]) -> Tensor:
    """Return the gradient of a function of (2, 3) parameters, by central differences."""
    gradient = torch.zeros(2, 3, dtype=torch.float64)
    for row in range(2):
        for column in range(3):
            step = torch.zeros(2, 3, dtype=torch.float64)
            step[row, column] = 1e-5
            up, down = (value(exact_parameters() + sign * step) for sign in (1, -1))
            gradient[row, column] = (up - down) / 2e-5
    return gradient


def weights(uniform: float) -> Tensor:
    gating = torch.tensor(LOGITS, dtype=torch.float64).softmax(0)
    return (1 - uniform) * gating + uniform / 3


def reverse_kl(student: GaussianMixture, log_target: Tensor) -> float:
    """Return KL(student || target) of one-dimensional densities, by quadrature; `log_target` is (G,)."""
    log_student = student.log_prob(GRID[None])[0]
    return float((log_student.exp() * (log_student - log_target)).sum() * CELL)


@KINDS
@pytest.mark.parametrize(("sigma", "draws", "drawn"), [(0.1, 1, 0), (0.5, 1, 0), (0.5, 3, 0), (1.5, 1, 0), (0.5, 1, 4)])
def test_multi_noise_update_descends_the_divergence_of_the_noised_densities(
    sigma: float, draws: int, drawn: int, kind: str
) -> None:
    log_target = TARGET.log_prob(GRID, sigma)

    def divergence(parameters: Tensor) -> float:
        noised = mixture_of(*parameters[:, None]).noised(torch.tensor([sigma], dtype=torch.float64))
        return sigma**2 * reverse_kl(noised, log_target)

    expected = finite_differences(divergence)
    for uniform in (0.0, 0.5):
        mean, error = estimate(multi_noise_update, sigma, uniform, kind, draws, drawn)
        share = weights(uniform) / weights(0.0)  # each expert's own gradient, weighed otherwise
        assert ((mean - expected * share).abs() < 5 * error + 1e-5).all()
        assert (error < 0.1 * expected.abs().max()).all(), "the estimate is sharp enough to tell"


def asked_at(sigma: float, kind: str) -> Target:
    """Return the density whose score the paper's update takes: noised, and for DDPM in its own coordinates."""
    keep = 1 / (1 + sigma**2) if kind == "ddpm" else 1.0
    deviations = (keep * (TARGET.deviations**2 + sigma**2)).sqrt()
    return Target(TARGET.weights, math.sqrt(keep) * TARGET.means, deviations)


@KINDS
@pytest.mark.parametrize(("sigma", "drawn"), [(0.1, 0), (0.5, 0), (0.5, 4)])
def test_paper_update_descends_the_upper_bound(sigma: float, drawn: int, kind: str) -> None:
    """Expert z's term is E[-log p(a) - log responsibility(z | a)] - H(N_z), responsibilities of frozen parameters."""
    log_target = asked_at(sigma, kind).log_prob(GRID)
    responsibility = mixture_of(*exact_parameters()[:, None]).log_responsibilities(GRID[None])[0]  # (G, 3)

    for uniform in (0.0, 0.5):

        def bound(parameters: Tensor, uniform: float = uniform) -> float:
            experts = mixture_of(*parameters[:, None])
            density = experts.expert_log_prob(GRID[None])[0].exp()  # (G, 3)
            cross = -(density * (log_target[:, None] + responsibility)).sum(0) * CELL
            return float((weights(uniform) * (cross - experts.entropies()[0])).sum())

        expected = finite_differences(bound)
        mean, error = estimate(paper_update, sigma, uniform, kind, drawn=drawn)
        assert ((mean - expected).abs() < 5 * error + 1e-5).all()
        assert (error < 0.1 * expected.abs().max()).all(), "the estimate is sharp enough to tell"


def test_the_bound_is_tight_at_the_responsibilities_only() -> None:
    student = mixture_of(*exact_parameters()[:, None])
    log_target = TARGET.log_prob(GRID)
    gating = student.log_gating[0]
    density = student.expert_log_prob(GRID[None])[0].exp()

    def bound(log_auxiliary: Tensor) -> float:
        cross = -(density * (log_target[:, None] + log_auxiliary)).sum(0) * CELL
        return float((gating.exp() * (cross - student.entropies()[0] + gating)).sum())

    divergence = reverse_kl(student, log_target)
    own = student.log_responsibilities(GRID[None])[0]
    assert bound(own) == pytest.approx(divergence, abs=1e-9)
    for seed in range(3):
        other = torch.randn(own.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert bound((own + 0.1 * other).log_softmax(-1)) > divergence + 1e-4


@KINDS
@pytest.mark.parametrize("update", [multi_noise_update, paper_update])
def test_the_disagreement_is_the_weighted_squared_difference_of_the_scores(update: Update, kind: str) -> None:
    sigma, teacher = 0.4, exact_teacher(TARGET, kind)
    student, target = mixture_of(*exact_parameters()[:, None]), asked_at(sigma, kind)
    if update is multi_noise_update:
        student, target = student.noised(torch.tensor([sigma], dtype=torch.float64)), asked_at(sigma, "beso")
    at = GRID.clone().requires_grad_()
    (score,) = torch.autograd.grad(target.log_prob(at).sum(), at)
    gap = (student.score(GRID[None])[0] - score).square().squeeze(-1)
    expected = float(sigma**2 * (student.log_prob(GRID[None])[0].exp() * gap).sum() * CELL)

    parameters = exact_parameters().float()[:, None].expand(2, COUNT, 3)
    noise = torch.randn((COUNT, 2, 3, 1), generator=torch.Generator().manual_seed(1))
    context = teacher.encode(observations(COUNT))
    result = update(mixture_of(*parameters), teacher, context, torch.full((COUNT,), sigma), noise, 0.0)
    assert float(result.disagreement) == pytest.approx(expected, rel=0.05)


@KINDS
@pytest.mark.parametrize("sigma", [0.05, 0.5, 3.0])
def test_a_student_that_is_the_target_stays_as_it_is(sigma: float, kind: str) -> None:
    """Not only in the mean: every single gradient vanishes, up to rounding."""
    teacher = exact_teacher(TARGET, kind)
    count = 500
    mean = TARGET.means.float().expand(count, 2, 1).clone().requires_grad_()
    deviation = TARGET.deviations.float()[:, None].expand(count, 2, 1).clone().requires_grad_()
    student = GaussianMixture(TARGET.weights.float().log().expand(count, 2), mean, deviation)
    noise = torch.randn((count, 1, 2, 1), generator=torch.Generator().manual_seed(0))
    context = teacher.encode(observations(count))
    update = multi_noise_update(student, teacher, context, torch.full((count,), sigma), noise, 0.5)
    for gradient in torch.autograd.grad(count * update.loss, (mean, deviation)):
        assert gradient.abs().max() < 2e-5 * max(1.0, sigma**2)
    assert update.disagreement < 1e-8


@pytest.mark.parametrize("update", [multi_noise_update, paper_update])
def test_a_full_covariance_that_is_diagonal_is_no_different(update: Update) -> None:
    teacher, generator = exact_teacher(Target.of([0.5, 0.5], [[-1.0, 0.2], [0.9, 0.0]], [0.3, 0.4])), torch.Generator()
    diagonal = random_mixture(6, 3, 2, "diagonal")
    noise = torch.randn((6, 4, 3, 2), generator=generator.manual_seed(0))
    sigma = torch.tensor([0.05, 0.1, 0.3, 0.5, 1.0, 3.0])

    def gradients(factor_of: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        log_gating, mean, deviation = (value.float() for value in (diagonal.log_gating, diagonal.mean, diagonal.factor))
        leaves = (mean.requires_grad_(), deviation.requires_grad_())
        student = GaussianMixture(log_gating, mean, factor_of(deviation))
        context = teacher.encode(observations(6))
        return torch.autograd.grad(update(student, teacher, context, sigma, noise, 0.5).loss, leaves)

    for one, other in zip(gradients(lambda deviation: deviation), gradients(torch.diag_embed), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("covariance", ["diagonal", "full", "cosine"])
def test_the_gating_descends_the_cross_entropy_against_the_responsibilities(covariance: Covariance) -> None:
    mixture = random_mixture(3, 4, 2, covariance)
    logits = mixture.log_gating.clone().requires_grad_()
    mean, factor = mixture.mean.clone().requires_grad_(), mixture.factor.clone().requires_grad_()
    action = torch.randn((3, 5, 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    student = GaussianMixture(logits.log_softmax(1), mean, factor, mixture.basis)
    gating_loss(student, action, 0.0).backward()

    targets = mixture.log_responsibilities(action).exp()  # (3, 5, 4)
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, (logits.detach().softmax(1) - targets.mean(1)) / 3)
    assert mean.grad is None
    assert factor.grad is None


def test_a_share_of_the_likelihood_reaches_the_experts() -> None:
    mixture = random_mixture(3, 4, 2, "diagonal")
    action = torch.randn((3, 5, 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def gradients(loss: Callable[[GaussianMixture], Tensor]) -> tuple[Tensor, ...]:
        leaves = tuple(value.clone().requires_grad_() for value in (mixture.log_gating, mixture.mean, mixture.factor))
        return torch.autograd.grad(loss(GaussianMixture(*leaves)), leaves)

    shared = gradients(lambda student: gating_loss(student, action, 0.25))
    whole = gradients(lambda student: -student.log_prob(action).mean())
    for found, likelihood, share in zip(shared, whole, (1.0, 0.25, 0.25), strict=True):
        torch.testing.assert_close(found, share * likelihood)


def test_the_weights_of_experts_go_from_gating_to_uniform() -> None:
    log_gating = torch.tensor([[0.7, 0.2, 0.1]]).log().requires_grad_()
    torch.testing.assert_close(expert_weights(log_gating, 0.0), torch.tensor([[0.7, 0.2, 0.1]]))
    torch.testing.assert_close(expert_weights(log_gating, 1.0), torch.full((1, 3), 1 / 3))
    half = expert_weights(log_gating, 0.5)
    torch.testing.assert_close(half, torch.tensor([[0.35, 0.1, 0.05]]) + 1 / 6)
    assert not half.requires_grad


@pytest.mark.parametrize("update", [multi_noise_update, paper_update])
def test_each_state_is_asked_at_its_own_level_in_its_own_context(update: Update) -> None:
    """The loss of a batch is the mean of the losses of its states alone, with targets that differ between states."""

    def target_of(observation: Tensor) -> Target:
        shift = observation.double().reshape(-1, 1, 1, 1)  # (B, 1, K, D)
        return Target(TARGET.weights, TARGET.means + shift, TARGET.deviations)

    teacher, generator = exact_teacher(target_of, size=1), torch.Generator().manual_seed(0)
    student, noise = random_mixture(4, 3, 1, "diagonal"), torch.randn((4, 2, 3, 1), generator=generator)
    student = GaussianMixture(student.log_gating.float(), student.mean.float(), student.factor.float())
    observation, sigma = torch.tensor([-1.0, 0.0, 0.5, 2.0])[:, None, None], torch.tensor([0.1, 0.3, 1.0, 2.0])
    whole = update(student, teacher, teacher.encode(observation), sigma, noise, 0.5)
    alone = []
    for index in range(4):
        one = slice(index, index + 1)
        mixture = GaussianMixture(student.log_gating[one], student.mean[one], student.factor[one])
        alone.append(update(mixture, teacher, teacher.encode(observation[one]), sigma[one], noise[one], 0.5))
    torch.testing.assert_close(whole.loss, torch.stack([each.loss for each in alone]).mean(), rtol=1e-4, atol=1e-5)
    separate = torch.stack([each.disagreement for each in alone]).mean()
    torch.testing.assert_close(whole.disagreement, separate, rtol=1e-4, atol=1e-5)


def test_a_student_finds_all_modes_of_a_ring() -> None:
    """Eight narrow Gaussians on a circle; only their scores and samples are known to the student."""
    target = Target.ring(8, 1.4, 0.08)
    centres, teacher = target.means.float(), exact_teacher(target, "beso")
    config = DistilConfig(batch=64, experts=16, learning_rate=2e-2, steps=300)
    torch.manual_seed(0)
    shape: dict[str, Any] = {"history": 1, "obs_dim": 1, "horizon": 1, "act_dim": 2}
    student = MixtureStudent(StudentConfig(**shape, experts=16, backbone="mlp", width=8, layers=1, octaves=1))
    generator = torch.Generator().manual_seed(0)
    pool = StatePool(observations(1_000), None, target.draw(8_000, generator).reshape(1_000, 8, 2))
    loss_function = vdd_loss(student, teacher, pool, config)
    optimizer = torch.optim.Adam(student.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    for step in range(config.steps):
        loss, _ = loss_function(generator, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        mixture = student(observations(1))
    gating, means = mixture.log_gating[0].exp(), mixture.mean[0]
    nearest = torch.cdist(means, centres)
    mass = torch.zeros(8).index_add(0, nearest.argmin(1), gating)
    used = gating > 0.01
    assert (mass - 1 / 8).abs().max() < 0.05
    assert nearest[used].min(1).values.max() < 0.12
    assert (mixture.factor[0][used] - 0.08).abs().max() < 0.05
