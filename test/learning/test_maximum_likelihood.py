"""EM and IMC: their gradients and weights against the formulas, the mixtures they find against known densities."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from scipy.optimize import minimize
from torch import Tensor
from toy_targets import Target, random_mixture, small_demonstrations
from trainings import fit_mixture

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.errors import CheckpointError, ConfigurationError
from vdd_ros.features import Feature
from vdd_ros.learning.configs import shaped
from vdd_ros.learning.fit.windows import Statistics, Windows
from vdd_ros.learning.kinds import MIXTURE
from vdd_ros.learning.methods.configs import EMConfig, IMCConfig
from vdd_ros.learning.methods.maximum_likelihood import Curriculum, mixture_loss
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig

TINY = EMConfig(
    steps=3, batch=16, experts=3, backbone="mlp", width=8, layers=1, octaves=1, history=2, observation_noise=0.0
)
TOY = EMConfig(
    steps=600, batch=256, learning_rate=5e-3, experts=6, backbone="mlp", width=48, layers=2, octaves=2, history=1,
    ema_decay=0.99, observation_noise=0.0, expert_start="kmeans",
)  # fmt: skip


def imc(config: EMConfig, **changes: object) -> IMCConfig:
    """Return the same settings for IMC."""
    return IMCConfig(**{**dataclasses.asdict(config), **changes})


def demonstrations_of(observation: Tensor, action: Tensor) -> DemonstrationSet:
    """Return one episode of pairs that have nothing to do with one another."""
    header = Header(
        "toy", (Feature("s", "m"),), tuple(Feature(f"a{k}", "m") for k in range(action.shape[1])), 10.0, "drawn"
    )
    lengths = np.array([len(observation)])
    return DemonstrationSet(header, observation.double().numpy(), action.double().numpy(), lengths, np.array([-1]))


def forking_target(state: Tensor) -> Target:
    """Return, for states (B,) in [-1, 1], a mixture that has one mode below 0, two up to .5, then three."""
    modes = 1 + (state > 0).long() + (state > 0.5).long()
    means = torch.stack([torch.sin(3 * state), torch.sin(3 * state) + 1.5, state - 1.5], dim=1)
    weights = (torch.arange(3) < modes[:, None]).double()
    weights = weights / weights.sum(1, keepdim=True)
    return Target(weights.clamp_min(1e-30), means[..., None].double(), torch.full((len(state), 3), 0.15).double())


def forking_pairs(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return states (count, 1) and actions (count, 1) of `forking_target`."""
    generator = torch.Generator().manual_seed(seed)
    state = 2 * torch.rand(count, generator=generator) - 1
    target = forking_target(state)
    which = torch.multinomial(target.weights, 1, generator=generator)
    noise = torch.randn((count, 1), generator=generator, dtype=torch.float64)
    action = target.means[..., 0].gather(1, which) + target.deviations.gather(1, which) * noise
    return state[:, None], action


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("eta", 0.0, "eta is 0.0; it must be finite and above 0"),
        ("eta", math.inf, "eta is inf"),
        ("history", 0, "history is 0"),
        ("horizon", 0, "horizon is 0"),
        ("goal_length", -1, "goal_length is -1"),
        ("steps", 0, "steps is 0"),
        ("experts", 0, "experts is 0"),
        ("floor", 0.0, "floor is 0.0"),
        ("gating", "sometimes", "gating is 'sometimes'; allowed: learned, uniform"),
        ("backbone", "tree", "backbone is 'tree'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        imc(TINY, **{field: value})


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
@pytest.mark.parametrize("gating", ["learned", "uniform"])
def test_a_step_of_em_follows_the_gradient_of_the_negative_log_likelihood(covariance: str, gating: str) -> None:
    torch.manual_seed(0)
    windows = Windows.of(small_demonstrations(), Statistics.of(small_demonstrations()), 2, 1)
    config = dataclasses.replace(TINY, covariance=covariance, gating=gating)  # type: ignore[arg-type]
    student = MixtureStudent(shaped(StudentConfig, config, dict(history=2, obs_dim=4, horizon=1, act_dim=2)))
    loss, _ = mixture_loss(student, windows, config)(torch.Generator().manual_seed(3), 0)
    index = torch.randint(len(windows), (config.batch,), generator=torch.Generator().manual_seed(3))
    likelihood = -student(windows.observation[index]).log_prob(windows.action[index, None]).mean()
    parameters = list(student.parameters())
    found, expected = (torch.autograd.grad(value, parameters, allow_unused=True) for value in (loss, likelihood))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def logits(pairs: int, experts: int) -> tuple[Tensor, Tensor]:
    """Return random rewards and log posteriors, (pairs, experts)."""
    generator = torch.Generator().manual_seed(1)
    draws = torch.randn((2, pairs, experts), generator=generator, dtype=torch.float64)
    return -draws[0].square(), draws[1].log_softmax(1)


@pytest.mark.parametrize("eta", [0.3, 1.0, 5.0])
def test_each_experts_curriculum_maximises_its_objective(eta: float) -> None:
    """Against a general-purpose optimiser of E_p [R + eta log q] + eta H(p) over distributions p(n | z)."""
    reward, log_posterior = logits(5, 2)
    joint = Curriculum.of(reward, log_posterior, eta).joint
    for expert in range(2):
        gain = (reward + eta * log_posterior)[:, expert].numpy()

        def loss(raw: np.ndarray, gain: np.ndarray = gain) -> float:
            log_p = raw - np.logaddexp.reduce(raw)
            return float(-(np.exp(log_p) * (gain - eta * log_p)).sum())

        best = minimize(loss, np.zeros(5), tol=1e-12).x
        curriculum = joint[:, expert] / joint[:, expert].sum()
        np.testing.assert_allclose(curriculum.numpy(), np.exp(best - np.logaddexp.reduce(best)), atol=2e-4)


def bound(joint: Tensor, reward: Tensor, log_posterior: Tensor, eta: float) -> Tensor:
    """Return E_p [R + eta log q] + eta H(p(n, z)), the whole bound, (...), for (..., N, Z)."""
    entropy = -torch.xlogy(joint, joint)
    return (joint * (reward + eta * log_posterior) + eta * entropy).sum((-1, -2))


def test_the_joint_curriculum_maximises_the_bound_which_never_exceeds_the_objective() -> None:
    """No other of many distributions is better; at q = p(z | n) the bound is E R + eta H(p(n))."""
    eta = 0.7
    reward, log_posterior = logits(4, 3)
    curriculum = Curriculum.of(reward, log_posterior, eta)
    best = bound(curriculum.joint, reward, log_posterior, eta)
    noise = torch.randn((5_000, 12), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    others = (curriculum.joint.log().flatten() + noise * torch.logspace(-3, 0.5, 5_000)[:, None]).softmax(1)
    assert bound(others.view(-1, 4, 3), reward, log_posterior, eta).max() <= best
    pairs = curriculum.joint.sum(1)
    objective = (curriculum.joint * reward).sum() - eta * torch.xlogy(pairs, pairs).sum()
    assert best <= objective
    tight = bound(curriculum.joint, reward, curriculum.posterior.log(), eta)
    torch.testing.assert_close(tight, objective)


def test_the_posterior_is_that_of_the_joint_curriculum() -> None:
    curriculum = Curriculum.of(*logits(6, 4), 0.8)
    assert float(curriculum.joint.sum()) == pytest.approx(1.0)
    torch.testing.assert_close(curriculum.posterior, curriculum.joint / curriculum.joint.sum(1, keepdim=True))


def test_a_large_eta_gives_the_responsibilities_and_weighs_all_pairs_alike() -> None:
    mixture = random_mixture(7, 3, 2, "full")
    action = torch.randn((7, 1, 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    log_experts = mixture.expert_log_prob(action)[:, 0]
    responsibility = mixture.log_responsibilities(action)[:, 0]
    for eta, tolerance in ((1e9, 1e-6), (math.inf, 1e-12)):
        curriculum = Curriculum.of(log_experts, responsibility, eta)
        torch.testing.assert_close(curriculum.joint, responsibility.exp() / 7, rtol=tolerance, atol=tolerance)
        assert float(curriculum.pairs_used()) == pytest.approx(1.0, abs=tolerance)


def test_a_small_eta_keeps_the_pair_that_is_explained_best() -> None:
    reward, log_posterior = logits(6, 3)
    curriculum = Curriculum.of(reward, log_posterior, 1e-4)
    assert float(curriculum.joint.flatten()[int(reward.argmax())]) == pytest.approx(1.0)
    assert float(curriculum.pairs_used()) == pytest.approx(1 / 6)


@pytest.mark.parametrize("eta", [None, 1.0, 1e-3])
def test_actions_far_from_every_expert_give_finite_gradients(eta: float | None) -> None:
    torch.manual_seed(0)
    config = TINY if eta is None else imc(TINY, eta=eta)
    windows = Windows.of(small_demonstrations(), Statistics.of(small_demonstrations()), 2, 1)
    windows.action[:][::2] = 1e6  # log densities of about -1e15 at the floor
    student = MixtureStudent(shaped(StudentConfig, config, dict(history=2, obs_dim=4, horizon=1, act_dim=2)))
    torch.nn.init.constant_(student.scale.last.bias, -30.0)
    loss, scalars = mixture_loss(student, windows, config)(torch.Generator().manual_seed(0), 0)
    assert float(scalars["log_likelihood"]) < -1e12
    for gradient in torch.autograd.grad(loss, list(student.parameters())):
        assert gradient.isfinite().all()


def test_em_learns_a_density_whose_number_of_modes_depends_on_the_state(tmp_path: Path) -> None:
    """The divergence from the truth, by quadrature over actions, is small amid the states of one, two and three modes.

    Where the number of modes jumps, no smooth gating can follow.
    """
    demonstrations = demonstrations_of(*forking_pairs(20_000, seed=0))
    metadata = fit_mixture(demonstrations, tmp_path, TOY)
    student, _ = MIXTURE.load(tmp_path)
    statistics = Statistics.from_lists(metadata.statistics)
    action = torch.linspace(-5, 5, 2_001, dtype=torch.float64)
    standard = ((action - statistics.action_mean) / statistics.action_std).float()
    state = torch.tensor([-0.8, -0.5, -0.2, 0.2, 0.3, 0.7, 0.85])
    observation = (state[:, None, None] - statistics.observation_mean) / statistics.observation_std
    with torch.no_grad():
        log_q = student(observation).log_prob(standard[None, :, None].expand(len(state), -1, 1)).double()
    log_q -= statistics.action_std.log()
    step = action[1] - action[0]
    assert ((log_q.exp().sum(1) * step) - 1).abs().max() < 1e-3
    target = forking_target(state)
    log_p = Target(*(values[:, None] for values in vars(target).values())).log_prob(action[None, :, None])
    divergence = (log_p.exp() * (log_p - log_q)).sum(1) * step
    assert divergence.max() < 0.03, divergence.tolist()


def test_imc_leaves_out_what_one_expert_cannot_explain_and_em_does_not(tmp_path: Path) -> None:
    """Of two modes with shares .7 and .3, one expert of EM averages; of IMC it takes the larger one."""
    target = Target.of([0.7, 0.3], [[1.0], [-2.0]], [0.2, 0.2])
    action = target.draw(4_000, torch.Generator().manual_seed(0))
    state = 2 * torch.rand((4_000, 1), generator=torch.Generator().manual_seed(1)) - 1
    demonstrations = demonstrations_of(state, action)

    def mean(eta: float | None) -> float:
        config = dataclasses.replace(TOY, experts=1, steps=300)
        config = config if eta is None else imc(config, eta=eta)
        folder = tmp_path / str(eta)
        metadata = fit_mixture(demonstrations, folder, config)
        student, _ = MIXTURE.load(folder)
        statistics = Statistics.from_lists(metadata.statistics)
        with torch.no_grad():
            middle = student(torch.zeros(1, 1, 1)).mean.flatten()
        return float(middle * statistics.action_std + statistics.action_mean)

    average = float(action.mean())
    assert mean(None) == pytest.approx(average, abs=0.15)
    assert mean(eta=1e6) == pytest.approx(average, abs=0.15)
    assert mean(eta=0.2) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("method", ["em", "imc"])
def test_the_metadata_describe_the_training(tmp_path: Path, method: str) -> None:
    demonstrations = small_demonstrations()
    config = dataclasses.replace(TINY, horizon=2, goal_length=2, revive_every=2)
    config = config if method == "em" else imc(config)
    metadata = fit_mixture(demonstrations, tmp_path, config)
    student, again = MIXTURE.load(tmp_path)
    assert again == metadata
    assert (metadata.method, metadata.steps, metadata.teacher_sha256) == (method, 3, None)
    assert metadata.data_sha256 == demonstrations.sha256
    assert metadata.settings == dataclasses.asdict(config)
    mixture = student(torch.randn(5, 2, 4), torch.randn(5, 2, 4))
    assert mixture.mean.shape == (5, 3, 4)


def test_the_other_demonstrations_do_not_continue_a_run(tmp_path: Path) -> None:
    fit_mixture(small_demonstrations(), tmp_path, TINY)
    with pytest.raises(CheckpointError, match="already holds a run"):
        fit_mixture(small_demonstrations(), tmp_path, TINY)
    with pytest.raises(CheckpointError, match="data_sha256"):
        fit_mixture(small_demonstrations(seed=1), tmp_path, TINY, resume=True)
