"""Distillation: its settings, the states and noise levels that it draws, whom it learns from."""

import dataclasses
import math
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from toy_targets import Target, exact_teacher, small_demonstrations

from vdd_ros.errors import CheckpointError, ConfigurationError
from vdd_ros.training.checkpoint import model_sha256
from vdd_ros.training.dataset import Statistics, Windows
from vdd_ros.training.distil import DistilConfig, NoiseLevels, distil, draw_pool, gating_scalars, load_student
from vdd_ros.training.mixture import GaussianMixture
from vdd_ros.training.schedule import cosine_alpha_bars
from vdd_ros.training.train import TrainConfig, train_teacher

TARGET = Target.of([0.3, 0.7], [[-1.2, 0.5], [0.8, -0.4]], [0.2, 0.3])
TINY = DistilConfig(steps=3, batch=4, experts=3, pool_copies=2, pool_samples=2, width=8, blocks=1, octaves=1)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("update", "magic", "update is 'magic'; allowed: multi-noise, paper"),
        ("gating_on", "hope", "gating_on is 'hope'; allowed: teacher, data"),
        ("covariance", "round", "covariance is 'round'; allowed: diagonal, full"),
        ("steps", 0, "steps is 0; it must be finite and at least 1"),
        ("batch", 0, "batch is 0"),
        ("experts", 0, "experts is 0"),
        ("samples", -1, "samples is -1"),
        ("pool_copies", 0, "pool_copies is 0"),
        ("teacher_steps", 0, "teacher_steps is 0"),
        ("width", 0, "width is 0"),
        ("learning_rate", 0.0, "learning_rate is 0.0; it must be finite and above 0"),
        ("learning_rate", math.nan, "learning_rate is nan"),
        ("floor", 0.0, "floor is 0.0"),
        ("forward_kl", -0.1, "forward_kl is -0.1"),
        ("observation_noise", math.inf, "observation_noise is inf"),
        ("min_noise", 0.0, "noise range is 0.0 to 1.0"),
        ("max_noise", 0.01, "noise range is 0.03 to 0.01"),
        ("max_noise", math.nan, "noise range is 0.03 to nan"),
        ("uniform_weight", 1.5, "uniform_weight is 1.5; it must be between 0 and 1"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        dataclasses.replace(TINY, **{field: value})  # type: ignore[arg-type]


def test_noise_levels_are_log_uniform_in_sigma() -> None:
    """Of the interval between the outermost levels every tenth, in log sigma, gets a tenth of the draws."""
    alpha_bars = cosine_alpha_bars(1_000)
    sigma = ((1 - alpha_bars) / alpha_bars).sqrt()
    count = 50_000
    drawn = NoiseLevels(alpha_bars, 0.03, 1.0).draw(count, torch.Generator().manual_seed(0))
    assert sigma[drawn].min() >= 0.03
    assert sigma[drawn].max() <= 1.0
    shares = torch.histc(sigma[drawn].log(), 10, math.log(0.03), 0.0) / count
    assert (shares - 0.1).abs().max() < 0.02


def test_of_few_noise_levels_none_is_preferred() -> None:
    """Each level has the share of the log sigma that it is nearest to."""
    alpha_bars = cosine_alpha_bars(64)
    log_sigma = ((1 - alpha_bars) / alpha_bars).sqrt().log()
    inside = [level for level in range(1, 65) if math.log(0.03) <= log_sigma[level] <= 0]
    count = 50_000
    drawn = NoiseLevels(alpha_bars, 0.03, 1.0).draw(count, torch.Generator().manual_seed(0))
    ends = [log_sigma[inside[0]], *((log_sigma[a] + log_sigma[a + 1]) / 2 for a in inside[:-1]), log_sigma[inside[-1]]]
    expected = torch.tensor(ends).diff() / (ends[-1] - ends[0])
    shares = torch.bincount(drawn, minlength=65)[inside] / count
    assert (shares - expected).abs().max() < 5 * math.sqrt(0.1 / count)
    assert float(shares.sum()) == pytest.approx(1.0)


def test_a_range_with_one_level_gives_that_level() -> None:
    alpha_bars = cosine_alpha_bars(64)
    drawn = NoiseLevels(alpha_bars, 0.05, 0.07).draw(10, torch.Generator())
    assert drawn.tolist() == [2] * 10


def test_a_range_without_a_level_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"between 0.001 and 0.002; its levels run from 0.03"):
        NoiseLevels(cosine_alpha_bars(64), 0.001, 0.002)


def windows() -> Windows:
    generator = torch.Generator().manual_seed(0)
    return Windows(torch.randn((30, 1, 1), generator=generator), torch.randn((30, 2), generator=generator))


def test_the_pool_holds_noisy_states_and_the_teachers_actions_there() -> None:
    config = dataclasses.replace(TINY, pool_copies=3, pool_samples=40, observation_noise=0.1, teacher_steps=32)
    pool = draw_pool(exact_teacher(TARGET), windows(), config)
    assert pool.observation.shape == (90, 1, 1)
    assert pool.action.shape == (90, 40, 2)
    noise = pool.observation - windows().observation.repeat(3, 1, 1)
    assert float(noise.std()) == pytest.approx(0.1, rel=0.3)
    assert float((pool.action[..., 0] > 0).float().mean()) == pytest.approx(0.7, abs=0.05)
    assert float(pool.action.flatten(0, 1)[pool.action[..., 0].flatten() > 0].std(0)[0]) == pytest.approx(0.3, rel=0.15)


def test_the_pool_is_seeded() -> None:
    def pool(seed: int) -> torch.Tensor:
        return draw_pool(exact_teacher(TARGET), windows(), dataclasses.replace(TINY, seed=seed)).action

    assert torch.equal(pool(1), pool(1))
    assert not torch.equal(pool(1), pool(2))


def test_the_gating_can_learn_from_the_data_instead() -> None:
    pool = draw_pool(exact_teacher(TARGET), windows(), dataclasses.replace(TINY, gating_on="data"))
    assert torch.equal(pool.observation, windows().observation)
    assert torch.equal(pool.action, windows().action[:, None])


def test_the_gating_scalars() -> None:
    gating = torch.tensor([[0.5, 0.5, 0.0], [0.98, 0.005, 0.015]])
    mixture = GaussianMixture(gating.clamp_min(1e-30).log(), torch.zeros(2, 3, 1), torch.ones(2, 3, 1))
    scalars = gating_scalars(mixture)
    entropies = [-sum(p * math.log(p) for p in row if p > 0) for row in gating.tolist()]
    assert float(scalars["gating_entropy"]) == pytest.approx(sum(entropies) / 2, rel=1e-4)
    assert int(scalars["experts_used"]) == 2


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    config = TrainConfig(steps=3, batch=4, width=8, blocks=1, octaves=1, history=3, horizon=2, seed=4)
    train_teacher(small_demonstrations(), folder, config)
    return folder


@pytest.mark.parametrize("change", [{}, {"update": "paper"}, {"covariance": "full"}, {"gating_on": "data"}])
def test_a_student_takes_over_what_the_teacher_is(tmp_path: Path, teacher: Path, change: dict[str, str]) -> None:
    config = dataclasses.replace(TINY, **change)  # type: ignore[arg-type]
    card = distil(teacher, small_demonstrations(), tmp_path, config)
    student, again = load_student(tmp_path)
    assert again == card
    assert (card.kind, card.steps, card.teacher_sha256) == ("vdd", 3, model_sha256(teacher))
    assert card.statistics == Statistics.of(small_demonstrations()).to_lists()
    assert (student.config.history, student.config.horizon) == (3, 2)
    assert card.settings == dataclasses.asdict(config)
    mixture = student(torch.randn(5, 3, 4))
    assert mixture.mean.shape == (5, 3, 4)
    assert mixture.diagonal == (config.covariance == "diagonal")


def test_other_demonstrations_than_the_teachers_are_refused(tmp_path: Path, teacher: Path) -> None:
    with pytest.raises(CheckpointError, match="was trained on other demonstrations"):
        distil(teacher, small_demonstrations(seed=1), tmp_path / "S", TINY)
    assert not (tmp_path / "S").exists()


def test_a_student_is_no_teacher(tmp_path: Path, teacher: Path) -> None:
    distil(teacher, small_demonstrations(), tmp_path / "S", TINY)
    with pytest.raises(CheckpointError, match="holds a 'vdd' policy, but a 'ddpm' is needed"):
        distil(tmp_path / "S", small_demonstrations(), tmp_path / "S2", TINY)


def test_noise_that_the_teacher_does_not_know_is_refused_before_anything_is_written(
    tmp_path: Path, teacher: Path
) -> None:
    config = dataclasses.replace(TINY, min_noise=1e-4, max_noise=1e-3)
    with pytest.raises(ConfigurationError, match="no noise level"):
        distil(teacher, small_demonstrations(), tmp_path / "S", config)
    assert not (tmp_path / "S").exists()
