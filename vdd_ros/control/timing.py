"""The latency record of a tick, and percentiles over the newest of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ConfigurationError

LATENCY_LABELS = (
    "seq",
    "stamp_s",
    "period_s",
    "lateness_s",
    "observation_age_s",
    "assemble_s",
    "inference_s",
    "publish_s",
    "total_s",
    "bookkeeping_s",
    "deadline_missed",
    "commanded",
    "novelty",
    "chunk_step",
)
_INDEX = {label: i for i, label in enumerate(LATENCY_LABELS)}


class LatencyRecord:
    """Durations of one tick, in one array that every tick reuses.

    Attributes:
        values: (len(LATENCY_LABELS),) in the order of the labels; NaN if not measured.
    """

    def __init__(self) -> None:
        self.values = np.full(len(LATENCY_LABELS), np.nan)

    def clear(self) -> None:
        """Forget what was measured."""
        self.values.fill(np.nan)

    def fill(self, values: tuple[float, ...]) -> None:
        """Set every number, in the order of `LATENCY_LABELS`."""
        self.values[:] = values

    def __getitem__(self, label: str) -> float:
        return float(self.values[_INDEX[label]])

    def __setitem__(self, label: str, value: float) -> None:
        self.values[_INDEX[label]] = value


@dataclass(frozen=True)
class Percentiles:
    """Percentiles of `count` values; NaN if there are none."""

    p50: float
    p95: float
    p99: float
    count: int


class LatencyStatistics:
    """Percentiles of each label over the newest records, in fixed memory.

    Args:
        window: Number of newest records that count.
        warm_up: Number of first records to skip.

    Raises:
        ConfigurationError: The window is below 1 or the warm-up is negative.
    """

    def __init__(self, window: int = 1000, *, warm_up: int = 0) -> None:
        if window < 1:
            raise ConfigurationError(f"window is {window}; it must be 1 record or more.")
        if warm_up < 0:
            raise ConfigurationError(f"warm_up is {warm_up}; it must be 0 records or more.")
        self._records = np.full((window, len(LATENCY_LABELS)), np.nan)
        self._warm_up = warm_up
        self.reset()

    def reset(self) -> None:
        """Forget all records; the warm-up starts anew."""
        self._records.fill(np.nan)
        self._added = 0

    def add(self, record: LatencyRecord) -> None:
        """Count a record."""
        counted = self._added - self._warm_up
        if counted >= 0:
            self._records[counted % len(self._records)] = record.values
        self._added += 1

    def percentiles(self, label: str) -> Percentiles:
        """Return the percentiles of a label; values that are not finite do not count."""
        values: NDArray[np.float64] = self._records[:, _INDEX[label]]
        values = values[np.isfinite(values)]
        if not values.size:
            return Percentiles(np.nan, np.nan, np.nan, 0)
        p50, p95, p99 = np.percentile(values, (50, 95, 99)).tolist()
        return Percentiles(p50, p95, p99, values.size)
