"""The noise schedule against its formula; which levels a sampler visits."""

import numpy as np
import pytest

pytest.importorskip("torch")

from vdd_ros.errors import ConfigurationError
from vdd_ros.training.schedule import cosine_alpha_bars, sampling_levels


@pytest.mark.parametrize("levels", [2, 64, 1000])
def test_it_is_the_cosine_schedule(levels: int) -> None:
    time = np.arange(levels + 1) / levels
    share = np.cos((time + 0.008) / 1.008 * np.pi / 2) ** 2
    expected = share / share[0]
    expected[-1] = expected[-2] * 0.001  # beta would be 1 at the end of the cosine
    np.testing.assert_allclose(cosine_alpha_bars(levels).numpy(), expected, rtol=1e-5)


def test_the_signal_only_shrinks() -> None:
    alpha_bars = cosine_alpha_bars(64)
    assert alpha_bars[0] == 1.0
    assert (alpha_bars.diff() < 0).all()
    assert alpha_bars[-1] > 0


@pytest.mark.parametrize("steps", [1, 2, 5, 8, 16, 60, 61])
def test_the_visited_levels_are_spread_evenly_below_the_last(steps: int) -> None:
    levels = sampling_levels(64, steps)
    gaps = -np.diff([*levels, 0])
    assert len(levels) == steps
    assert levels[0] == 61
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("steps", [-1, 0, 62, 1000])
def test_steps_that_the_schedule_does_not_have_are_refused(steps: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{steps} sampling steps .* takes 1 to 61"):
        sampling_levels(64, steps)
