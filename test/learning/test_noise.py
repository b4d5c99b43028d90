"""Noise levels against the formulas of the papers, and the laws of their draws."""

import math
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from scipy.stats import kstest, logistic

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import NoiseScheme, Schedule
from vdd_ros.learning.diffusion.noise_levels import cosine_sigmas, draw_log_logistic, draw_sigmas, sampling_sigmas

SCHEDULES: tuple[Schedule, ...] = ("cosine", "linear", "exponential", "karras")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("levels", [2, 64, 1000])
def test_ddpm_has_the_levels_of_the_cosine_schedule(levels: int) -> None:
    time = np.arange(levels + 1) / levels
    share = np.cos((time + 0.008) / 1.008 * np.pi / 2) ** 2
    alpha_bar = share / share[0]
    alpha_bar[-1] = alpha_bar[-2] * 0.001  # beta would be 1 at the end of the cosine
    expected = np.sqrt((1 - alpha_bar) / alpha_bar)[1:]
    np.testing.assert_allclose(cosine_sigmas(levels).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7, 40])
def test_a_sampler_goes_down_from_the_highest_level(schedule: Schedule, steps: int) -> None:
    sigmas = np.array(sampling_sigmas(schedule, steps, 0.02, 3.0))
    assert len(sigmas) == steps
    assert sigmas[0] == pytest.approx(3.0)
    assert (np.diff(sigmas) < 0).all()
    if schedule != "cosine" and steps > 1:
        assert sigmas[-1] == pytest.approx(0.02)


def even(values: list[float]) -> bool:
    gaps = np.diff(values)
    return bool(np.allclose(gaps, gaps[0]))


def test_each_schedule_is_even_in_its_own_measure() -> None:
    measures: dict[Schedule, Callable[[float], float]] = {
        "linear": lambda sigma: sigma,
        "exponential": math.log,
        "karras": lambda sigma: sigma ** (1 / 7),
        "cosine": math.atan,
    }
    for schedule, measure in measures.items():
        assert even([measure(sigma) for sigma in sampling_sigmas(schedule, 9, 0.02, 3.0)]), schedule
    assert even([math.atan(sigma) for sigma in [*sampling_sigmas("cosine", 9, 0.02, 3.0), 0.0]]), "down to 0"


@pytest.mark.parametrize("steps", [0, -1])
def test_a_sampler_without_steps_is_refused(steps: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{steps} sampling steps are requested; the number must be at least"):
        sampling_sigmas("karras", steps, 0.02, 3.0)


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"schedule is 'quick'; allowed: cosine, linear, exponential, karras"):
        sampling_sigmas("quick", 3, 0.02, 3.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("scheme", "law"), [("log-uniform", np.log), ("uniform", np.asarray)])
def test_random_levels_follow_their_law(scheme: NoiseScheme, law: Callable[..., np.ndarray]) -> None:
    drawn = draw_sigmas(scheme, 20_000, 0.03, 1.0, 0.7, seeded()).double().numpy()
    low, high = law(0.03), law(1.0)
    assert kstest((law(drawn) - low) / (high - low), "uniform").pvalue > 1e-3


def test_a_fixed_level_is_the_lowest() -> None:
    torch.testing.assert_close(draw_sigmas("fixed", 5, 0.1, 0.3, 0.7, seeded()), torch.full((5,), 0.1))


@pytest.mark.parametrize(("progress", "level"), [(0.0, 1.0), (0.5, 0.1), (1.0, 0.01)])
def test_annealing_falls_evenly_in_the_logarithm(progress: float, level: float) -> None:
    torch.testing.assert_close(draw_sigmas("anneal", 4, 0.01, 1.0, progress, seeded()), torch.full((4,), level))


@pytest.mark.parametrize("scheme", ["log-uniform", "uniform", "fixed", "anneal"])
def test_every_scheme_takes_as_much_of_the_generator(scheme: NoiseScheme) -> None:
    generator, other = seeded(), seeded()
    draw_sigmas(scheme, 7, 0.1, 1.0, 0.5, generator)
    torch.rand(7, generator=other)
    assert torch.equal(generator.get_state(), other.get_state())


@pytest.mark.parametrize(("lowest", "highest"), [(0.02, 3.0), (0.4, 0.6), (1e-3, 80.0)])
def test_training_levels_are_truncated_log_logistic(lowest: float, highest: float) -> None:
    drawn = draw_log_logistic((100, 200), lowest, highest, seeded())
    assert lowest <= drawn.min() <= drawn.max() <= highest
    law = logistic(math.log(0.5), 0.5)
    low, high = law.cdf(math.log(lowest)), law.cdf(math.log(highest))

    def below(sigma: np.ndarray) -> np.ndarray:
        return (law.cdf(np.log(sigma)) - low) / (high - low)

    assert kstest(drawn.double().flatten().numpy(), below).pvalue > 1e-3
