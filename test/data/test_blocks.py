"""Blocks of rows: results over blocks equal numpy's over the whole."""

import numpy as np
import pytest

from vdd_ros.data import blocks as module
from vdd_ros.data.blocks import blocks, moments


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_blocks_are_the_rows_in_order(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", rows * 16)
    values = np.arange(20.0).reshape(10, 2)
    parts = list(blocks(values))
    assert np.array_equal(np.concatenate(parts), values)
    assert max(len(part) for part in parts) <= rows


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_moments_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", rows * 24)
    values = np.random.default_rng(0).normal(100.0, [1e-3, 1.0, 50.0], (200, 3))
    found = moments(values)
    np.testing.assert_allclose(found.mean, values.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.deviation, values.std(axis=0), rtol=1e-9)
    assert np.array_equal(found.low, values.min(axis=0))
    assert np.array_equal(found.high, values.max(axis=0))


def test_one_block_gives_the_very_bits_of_numpy() -> None:
    values = np.random.default_rng(0).normal(size=(500, 3))
    found = moments(values)
    assert np.array_equal(found.mean, values.mean(axis=0))
    assert np.array_equal(found.deviation, values.std(axis=0))
