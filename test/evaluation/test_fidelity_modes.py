"""Modes of mixtures that are known beforehand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from vdd_ros.evaluation.fidelity.modes import INSIDE, NOWHERE, Modes

Floats = NDArray[np.float64]

WEIGHTS = np.array([0.5, 0.3, 0.2])


def blobs(counts: NDArray[np.int64], dim: int, *, seed: int = 0, deviation: float = 0.1) -> Floats:
    """Draw samples from each of three Gaussians, ten deviations apart along the first entry."""
    rng = np.random.default_rng(seed)
    centres = np.zeros((3, dim))
    centres[:, 0] = [0, 1, 2]
    return np.asarray(np.repeat(centres, counts, axis=0) + deviation * rng.normal(size=(counts.sum(), dim)))


def by_weight(found: Modes) -> Floats:
    return np.sort(found.shares)[::-1]


@pytest.mark.parametrize("dim", [1, 2, 16])
def test_the_modes_of_a_mixture_are_its_components(dim: int) -> None:
    counts = (WEIGHTS * 400).astype(np.int64)
    found = Modes.of(blobs(counts, dim))
    assert by_weight(found) == pytest.approx(INSIDE * WEIGHTS, abs=0.04)
    again = blobs(counts, dim, seed=1)
    assert found.recall(found.shares_of(again)) == found.recall(found.shares_of(again), weighted=False) == 1
    assert found.shares_of(again).sum() == pytest.approx(INSIDE, abs=0.06)
    labels = found.labels(again)
    for part in np.split(labels, np.cumsum(counts)[:-1]):
        assert len(set(part.tolist()) - {NOWHERE}) == 1


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("missing", [0, 1, 2])
def test_recall_falls_by_the_weight_of_a_mode_that_is_missing(dim: int, missing: int) -> None:
    found = Modes.of(blobs((WEIGHTS * 400).astype(np.int64), dim))
    counts = np.full(3, 200)
    counts[missing] = 0
    shares = found.shares_of(blobs(counts, dim, seed=1))
    assert found.recall(shares) == pytest.approx(1 - WEIGHTS[missing], abs=0.03)
    assert found.recall(shares, weighted=False) == pytest.approx(2 / 3)
    assert shares.sum() == pytest.approx(INSIDE, abs=0.06)


def test_precision_falls_by_the_weight_of_what_the_teacher_does_not_do() -> None:
    found = Modes.of(blobs(np.array([200, 200, 0]), 2))
    shares = found.shares_of(blobs(np.array([150, 150, 100]), 2, seed=1))
    assert shares.sum() == pytest.approx(0.75 * INSIDE, abs=0.04)
    assert found.recall(shares) == 1


def test_a_stray_sample_reaches_no_mode() -> None:
    found = Modes.of(blobs(np.array([128, 128, 0]), 2))
    shares = found.shares_of(blobs(np.array([255, 1, 0]), 2, seed=1))
    assert found.recall(shares, weighted=False) == 0.5


@pytest.mark.parametrize("shape", ["gaussian", "uniform", "core and halo", "one action", "line"])
def test_one_peak_of_any_shape_is_one_mode(shape: str) -> None:
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(256, 2))
    samples = {
        "gaussian": wide,
        "uniform": rng.uniform(-1, 1, (256, 2)),
        "core and halo": np.concatenate([0.1 * wide[:128], wide[128:]]),
        "one action": np.ones((256, 2)),
        "line": wide * [1, 0],
    }[shape]
    assert len(Modes.of(samples).shares) == 1


def test_sparse_samples_between_modes_do_not_join_them() -> None:
    rng = np.random.default_rng(0)
    bridge = np.stack([rng.uniform(0, 1, 30), 0.1 * rng.normal(size=30)], axis=1)
    found = Modes.of(np.concatenate([blobs(np.array([150, 76, 0]), 2), bridge]))
    assert sum(share > 0.2 for share in found.shares) == 2


def test_the_same_samples_give_the_same_modes() -> None:
    samples = blobs(np.array([100, 100, 56]), 2, deviation=0.3)
    assert np.array_equal(Modes.of(samples, seed=3).labels(samples), Modes.of(samples, seed=3).labels(samples))
