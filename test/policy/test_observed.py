"""Observations that are not finite are found without a warning of numpy's, however large the finite ones are."""

import itertools
import warnings

import numpy as np
import pytest

from vdd_ros.policy.observed import all_finite

LARGEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize("shape", [(1, 5, 4), (7,), (2, 3, 3), (0,)])
def test_large_values_are_finite_and_nothing_warns(shape: tuple[int, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for large in (1.0, 1e19, -2e19, LARGEST, -LARGEST):
            assert all_finite(np.full(shape, large, np.float32))


@pytest.mark.parametrize(("bad", "others"), list(itertools.product((np.nan, np.inf, -np.inf), (0.0, 1e20, -LARGEST))))
def test_one_value_that_is_not_finite_is_found_at_any_place(bad: float, others: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for place in range(20):
            array = np.full((1, 5, 4), others, np.float32)
            array.reshape(-1)[place] = bad
            assert not all_finite(array)
