"""The observation history against a slow reference and at its edges."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vdd_ros.control.history import ObservationHistory
from vdd_ros.errors import ConfigurationError, ObservationError

INPUTS = {"arm": (0, 2), "camera": (1,), "tool": (3, 4)}


def _values(*numbers: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(numbers)


def _one(history: int = 3, **options: Any) -> ObservationHistory:
    return ObservationHistory({"arm": (0,)}, history=history, period_s=0.1, **options)


@given(
    arrivals=st.lists(st.tuples(st.sampled_from(sorted(INPUTS)), st.integers(0, 300)), max_size=60),
    now=st.integers(0, 400),
    history=st.integers(1, 5),
)
def test_rows_are_the_newest_values_not_after_their_time(
    arrivals: list[tuple[str, int]], now: int, history: int
) -> None:
    """Whole milliseconds, so that the reference can compare stamps exactly."""
    period = 35
    tested = ObservationHistory(INPUTS, history=history, period_s=period / 1000)
    kept: dict[str, list[tuple[int, list[float]]]] = {name: [] for name in INPUTS}
    for serial, (name, stamp) in enumerate(arrivals):
        values = [serial + 0.25 * i for i in range(len(INPUTS[name]))]
        newer = not kept[name] or stamp > kept[name][-1][0]
        assert tested.push(name, stamp / 1000, np.array(values)) is newer
        if newer:
            kept[name].append((stamp, values))
    assert sum(tested.out_of_order.values()) == len(arrivals) - sum(map(len, kept.values()))
    assert tested.complete is all(kept.values())
    if not tested.complete:
        return
    expected = np.empty((history, 5))
    for name, columns in INPUTS.items():
        for row in range(history):
            time = now - (history - 1 - row) * period
            old_enough = [values for stamp, values in kept[name] if stamp <= time]
            expected[row, list(columns)] = old_enough[-1] if old_enough else kept[name][0][1]
    np.testing.assert_array_equal(tested.sample(now / 1000), expected)
    assert not any(tested.too_fast.values())


def test_stamps_on_the_grid_are_not_lost_to_rounding() -> None:
    """With seconds since 1970, now - k * period is not the stamp k periods ago to the last bit."""
    period_s, start_s = 0.035, 1.7e9
    history = ObservationHistory({"arm": (0,)}, history=5, period_s=period_s)
    for tick in range(400):
        history.push("arm", start_s + tick * period_s, _values(tick))
        if tick >= 4:
            np.testing.assert_array_equal(
                history.sample(start_s + tick * period_s)[:, 0], np.arange(tick - 4, tick + 1)
            )


def test_a_fast_input_fills_rows_from_memory_that_was_used_many_times() -> None:
    history = _one(max_input_rate_hz=100)
    for i in range(1000):
        history.push("arm", i / 100, _values(i))
    np.testing.assert_array_equal(history.sample(9.995)[:, 0], [979, 989, 999])
    assert history.too_fast == {"arm": 0}


def test_an_input_faster_than_allowed_for_is_counted() -> None:
    history = _one(max_input_rate_hz=100)
    for i in range(1000):
        history.push("arm", i / 1000, _values(i))
    assert history.too_fast["arm"] == pytest.approx(800, abs=10)
    np.testing.assert_allclose(history.sample(0.999)[:, 0], [799, 899, 999], atol=5)
    assert history.sample(0.999)[-1, 0] == 999


@given(st.lists(st.integers(1, 40), min_size=30, max_size=300))
def test_rows_of_an_input_of_any_rate_are_at_most_one_spacing_old(steps: list[int]) -> None:
    """Faster than allowed for or not: the newest value stands in the last row, and no row is lost."""
    history = _one(max_input_rate_hz=100)
    stamps = np.cumsum(steps) / 1000
    for stamp in stamps:
        assert history.push("arm", stamp, _values(stamp))
    found = history.sample(stamps[-1])[:, 0]
    wanted = [max([s for s in stamps if s <= stamps[-1] - age + 1e-6], default=stamps[0]) for age in (0.2, 0.1, 0.0)]
    assert found[-1] == pytest.approx(stamps[-1])
    assert (np.array(wanted) - found <= 0.0051).all()


def test_after_a_gap_an_input_starts_over() -> None:
    """What was seen before the gap is in no row, not even in one of the gap's time."""
    history = _one(max_gaps_s={"arm": 0.2})
    for stamp in (0.0, 0.1, 0.3):
        history.push("arm", stamp, _values(stamp))
    np.testing.assert_allclose(history.sample(0.3)[:, 0], [0.1, 0.1, 0.3])
    assert not history.push("arm", 0.6, _values(math.nan))
    assert history.sample(0.6)[0, 0] == pytest.approx(0.3)
    history.push("arm", 0.6, _values(0.6))
    np.testing.assert_allclose(history.sample(0.61)[:, 0], [0.6, 0.6, 0.6])


def test_missing_inputs_are_reported_and_sampling_waits_for_them() -> None:
    history = ObservationHistory(INPUTS, history=2, period_s=0.1)
    assert history.missing() == ("arm", "camera", "tool")
    history.push("arm", 0.0, _values(1, 2))
    history.push("tool", 0.0, _values(1, 2))
    assert history.missing() == ("camera",)
    with pytest.raises(ObservationError, match="No value yet of camera"):
        history.sample(0.0)
    history.push("camera", 0.0, _values(5))
    assert history.complete
    assert history.missing() == ()


def test_age_is_that_of_the_newest_value() -> None:
    history = _one()
    assert history.age_s("arm", 3.0) == math.inf
    history.push("arm", 1.0, _values(0))
    history.push("arm", 2.5, _values(0))
    assert history.age_s("arm", 3.0) == pytest.approx(0.5)


@pytest.mark.parametrize("stamp", [2.0, 1.9, -math.inf, math.inf, math.nan])
def test_a_stamp_that_is_not_newer_is_refused_and_counted(stamp: float) -> None:
    history = _one(history=1)
    assert history.push("arm", 2.0, _values(7))
    assert not history.push("arm", stamp, _values(8))
    assert history.out_of_order == {"arm": 1}
    assert history.sample(9.0)[0, 0] == 7


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, -3.5e38])
def test_a_value_that_is_not_finite_is_refused_and_counted(value: float) -> None:
    history = _one(history=1)
    history.push("arm", 1.0, _values(7))
    assert not history.push("arm", 2.0, _values(value))
    assert history.non_finite == {"arm": 1}
    assert history.age_s("arm", 2.0) == 1.0
    assert history.sample(9.0)[0, 0] == 7


def test_the_largest_numbers_of_single_precision_are_taken() -> None:
    largest = float(np.finfo(np.float32).max)
    history = _one(history=1)
    for stamp, value in enumerate((largest, -largest)):
        assert history.push("arm", stamp, _values(value))
        assert history.sample(9.0)[0, 0] == value


def test_reset_forgets_values_and_accepts_an_earlier_clock() -> None:
    history = _one()
    history.push("arm", 100.0, _values(1))
    history.reset()
    assert history.push("arm", 0.0, _values(2))
    np.testing.assert_array_equal(history.sample(0.0)[:, 0], [2, 2, 2])


def test_a_sample_uses_the_same_memory_again() -> None:
    history = _one()
    history.push("arm", 0.0, _values(1))
    sample = history.sample(0.0)
    assert sample.shape == (3, 1)
    assert sample.dtype == np.float32
    assert history.sample(1.0) is sample


def test_unknown_inputs_and_wrong_lengths_are_errors() -> None:
    history = _one()
    with pytest.raises(ObservationError, match="'leg' is unknown; the inputs are arm"):
        history.push("leg", 0.0, _values(1))
    with pytest.raises(ObservationError, match="unknown"):
        history.age_s("leg", 0.0)
    with pytest.raises(ObservationError, match=r"'arm' gave values of the shape \(2,\); it must be \(1,\)"):
        history.push("arm", 0.0, _values(1, 2))


@pytest.mark.parametrize("inputs", [{}, {"a": (0, 1), "b": (1,)}, {"a": (0,), "b": (2,)}, {"a": (0,), "b": ()}])
def test_inputs_must_fill_each_index_once(inputs: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ConfigurationError, match="once each"):
        ObservationHistory(inputs, history=1, period_s=0.1)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"history": 0}, "history"),
        ({"period_s": 0.0}, "period_s"),
        ({"period_s": math.nan}, "period_s"),
        ({"max_input_rate_hz": -1.0}, "max_input_rate_hz"),
    ],
)
def test_options_out_of_range_are_errors(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        ObservationHistory({"a": (0,)}, **({"history": 1, "period_s": 0.1} | options))
