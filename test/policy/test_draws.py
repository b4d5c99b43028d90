"""The random stream of a policy: the same numbers as numpy's, however they are drawn."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vdd_ros.policy.draws import BLOCK, Draws


def test_one_at_a_time_are_the_numbers_of_the_generator() -> None:
    """Over the ends of blocks."""
    draws, out = Draws(3), np.empty(1, np.float32)
    found = []
    for _ in range(2 * BLOCK + 1):
        draws.uniform(out)
        found.append(out[0])
    assert_array_equal(found, np.random.default_rng(3).random(2 * BLOCK + 1, np.float32))


@pytest.mark.parametrize("shape", [(1, 8, 1, 2), (1, BLOCK // 2), (1, BLOCK), (700, 1, 2)])
def test_noise_is_that_of_the_generator(shape: tuple[int, ...]) -> None:
    """Whether it is drawn ahead or is too much for that."""
    draws, out = Draws(3), np.empty(shape, np.float32)
    expected = np.random.default_rng(3)
    for _ in range(200):
        draws.normal(out)
        assert_array_equal(out, expected.standard_normal(shape, np.float32))


def test_single_and_batched_draws_in_turns_repeat_themselves() -> None:
    """The same seed and the same calls give the same numbers, each drawn once."""

    def drawn() -> list[float]:
        draws, found = Draws(5), []
        for size in (1, 3, 1, 1, 7):
            uniform, normal = np.empty(size, np.float32), np.empty((size, 2), np.float32)
            draws.uniform(uniform)
            draws.normal(normal)
            found += [*uniform.tolist(), *normal.ravel().tolist()]
        return found

    first = drawn()
    assert first == drawn()
    assert len(set(first)) == len(first)
