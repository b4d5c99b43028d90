"""Statistics of a LeRobot data set, of all frames or of one episode, in LeRobot's shapes."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.blocks import blocks

Numbers: TypeAlias = "list[int] | list[float] | list[list[list[float]]]"
QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)


def statistics(values: NDArray[Any]) -> Mapping[str, Numbers]:
    """Return min, max, mean, standard deviation (of the population), quantiles and count of the frames of a key.

    Args:
        values: (M, n) numbers, M at least 1, or images (M, height, width, 3) of 0 to 255.

    Returns:
        Each has n numbers; for images 3 x 1 x 1, colours from 0 to 1 over all pixels. The count is one number.
    """
    found = _of_images(values) if values.ndim == 4 else _of_numbers(np.asarray(values, np.float64))
    shaped: dict[str, Numbers] = {
        name: [[[float(number)]] for number in part] if values.ndim == 4 else [float(number) for number in part]
        for name, part in found.items()
    }
    return {**shaped, "count": [len(values)]}


def _of_numbers(values: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return {
        "min": values.min(axis=0),
        "max": values.max(axis=0),
        "mean": values.mean(axis=0),
        "std": values.std(axis=0),
        **{f"q{round(100 * share):02}": np.quantile(values, share, axis=0) for share in QUANTILES},
    }


def _of_images(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Return the statistics of the colours, from the histograms of their 256 values."""
    counts = np.zeros((3, 256), np.int64)
    for part in blocks(images):
        for colour in range(3):
            counts[colour] += np.bincount(part[..., colour].ravel(), minlength=256)
    levels, total = np.arange(256) / 255, int(counts[0].sum())
    mean = counts @ levels / total
    below = np.cumsum(counts, axis=1)
    return {
        "min": levels[np.argmax(counts > 0, axis=1)],
        "max": levels[255 - np.argmax(counts[:, ::-1] > 0, axis=1)],
        "mean": mean,
        "std": np.sqrt(np.maximum((counts * np.square(levels - mean[:, None])).sum(axis=1) / total, 0)),
        **{f"q{round(100 * share):02}": _quantile(below, share, total) for share in QUANTILES},
    }


def _quantile(below: NDArray[np.int64], share: float, total: int) -> NDArray[np.float64]:
    """Return a quantile of each colour, interpolated between neighbours in order as numpy.quantile does."""
    place = share * (total - 1)
    low, high = (np.argmax(below > rank, axis=1) / 255 for rank in (int(place), min(int(place) + 1, total - 1)))
    return low + (high - low) * (place - int(place))
