"""Intervals hold what they claim to hold, as often as they claim."""

import math

import numpy as np
import pytest

from vdd_ros.evaluation.latency.intervals import Repeated, mean_interval, median_confidence


@pytest.mark.parametrize("count", [2, 3, 5, 8, 20])
def test_the_interval_of_repeats_holds_the_median_as_often_as_it_says(count: int) -> None:
    samples = np.random.default_rng(0).exponential(size=(20_000, count))
    intervals = np.array([Repeated.of(sample).interval for sample in samples])
    held = np.mean((intervals[:, 0] <= np.log(2)) & (np.log(2) <= intervals[:, 1]))
    assert held == pytest.approx(median_confidence(count), abs=0.012)


def test_the_range_of_three_repeats_is_no_95_percent() -> None:
    assert median_confidence(3) == 0.75
    assert Repeated.of(np.array([3.0, 1.0, 2.0])) == Repeated(2.0, (1.0, 3.0))


def test_one_repeat_gives_no_interval_and_none_gives_nothing() -> None:
    assert median_confidence(1) == 0.0
    assert Repeated.of(np.array([5.0, np.nan])) == Repeated(5.0, None)
    assert math.isnan(Repeated.of(np.array([np.nan])).median)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_the_interval_of_a_mean_allows_for_ticks_that_are_alike(correlation: float) -> None:
    """Of a first-order autoregression with mean 0, at least nine intervals in ten hold it."""
    rng, held = np.random.default_rng(0), []
    for seed in range(200):
        series = np.empty(400)
        value = rng.normal() / math.sqrt(1 - correlation**2)
        for place in range(len(series)):
            series[place] = value
            value = correlation * value + rng.normal()
        low, high = mean_interval(series, seed)
        held.append(low <= 0 <= high)
    assert 0.85 < np.mean(held) <= 0.99


def test_one_value_is_its_own_interval() -> None:
    assert mean_interval(np.array([2.5])) == (2.5, 2.5)
